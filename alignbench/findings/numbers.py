"""Numbers and lists as text, in the same form wherever they are shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.types import Interval, Score


def value_text(score: Score) -> str:
    """Return the text of a score's value."""
    if score.value is not None and score.experiment == "speed":
        return measured(score.value)
    return number(score.value)


def measured(value: float) -> str:
    """Return the text of a timing or a size, with about two significant digits."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def probability(p: float | None, missing: str = "-") -> str:
    """Return a p-value with three decimals, never as 0."""
    if p is None:
        return missing
    return "<.001" if p < 0.0005 else f"{p:.3f}"


def p_sentence(p: float) -> str:
    """Return a p-value as a sentence has it: `p = 0.011` or `p < .001`."""
    text = probability(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def interval_text(interval: Interval | None, missing: str = "-") -> str:
    """Return the ends of an interval, such as `0.390 to 0.510`."""
    return missing if interval is None else f"{number(interval.low)} to {number(interval.high)}"


def share(p: float | None, missing: str = "-") -> str:
    """Return a probability with two decimals, never as 0 or 1."""
    if p is None:
        return missing
    return "<.01" if p < 0.005 else ">.99" if p > 0.995 else f"{p:.2f}"


def and_list(items: Sequence[str]) -> str:
    """Return one or more items as `a`, `a and b` or `a, b and c`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def about(count: float) -> str:
    """Return a rough count: `about 600`, `more than 100,000`.

    The count is rounded up to one digit (or to 15, 150, 1,500), because it comes from a difference that is
    too uncertain for a second digit.
    """
    if count > 100_000:
        return "more than 100,000"
    step = 10 ** math.floor(math.log10(max(count, 1)))
    step = step // 2 if count <= 2 * step and step > 1 else step
    return f"about {step * math.ceil(count / step):,}"
