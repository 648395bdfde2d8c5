"""Numbers as text, the same wherever they are shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.text import number

if TYPE_CHECKING:
    from alignbench.types import Score


def value_text(score: Score) -> str:
    """Return a score's value as it is shown."""
    if score.value is not None and score.experiment == "speed":
        return measured(score.value)
    return number(score.value)


def measured(value: float) -> str:
    """Return a timing or a size in the digits that a measurement deserves."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def probability(p: float | None, missing: str = "-") -> str:
    """Return a p value in three decimals, never as 0."""
    if p is None:
        return missing
    return "<.001" if p < 0.0005 else f"{p:.3f}"


def share(p: float | None, missing: str = "-") -> str:
    """Return a probability in two decimals, never as 0 or 1."""
    if p is None:
        return missing
    return "<.01" if p < 0.005 else ">.99" if p > 0.995 else f"{p:.2f}"


def about(count: float) -> str:
    """Return a rough count: `about 600`, `more than 100,000`.

    Rounded up to one digit (or to 15, 150, 1,500): it comes from a difference that is uncertain by more than
    a second digit could say.
    """
    if count > 100_000:
        return "more than 100,000"
    step = 10 ** math.floor(math.log10(max(count, 1)))
    step = step // 2 if count <= 2 * step and step > 1 else step
    return f"about {step * math.ceil(count / step):,}"
