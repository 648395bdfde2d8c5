"""Scores as small inline SVG: a dot, its 95% interval, and a tick at the mean of shuffled pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score

_TICKS = 3  # spaces between the numbers of an axis, at most
_MARGIN = 3.0  # percent at either side, so that a dot at an end is not cut


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis that scores share; `low` and `high` are its ends in the unit of the metric."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the position of the value in percent of the width."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(_MARGIN + (100 - 2 * _MARGIN) * min(max(share, 0.0), 1.0), 2)


def scale_of(scores: Iterable[Score]) -> Scale:
    """Return the axis that includes 0 and the values, intervals and null means of these scores."""
    ends: list[float | None] = [0.0]
    for score in scores:
        ends += [score.value, score.null.mean if score.null else None]
        if score.interval is not None:
            ends += [score.interval.low, score.interval.high]
    known = [end for end in ends if end is not None]
    return Scale(min(known), max(known))


def bar(score: Score, scale: Scale, colour: str) -> Markup:
    """Return a drawing of the score on the axis; empty if it has no value.

    Lines keep their width however far the drawing is stretched, and a line of no length with round ends is a
    dot. The drawing is hidden from screen readers, because the numbers are beside it.
    """
    if score.value is None:
        return Markup("")
    parts = [_line("zero", scale.at(0.0))]
    if score.null is not None and score.null.mean is not None:
        parts.append(_line("null", scale.at(score.null.mean)))
    if score.interval is not None:
        low, high = scale.at(score.interval.low), scale.at(score.interval.high)
        parts.append(Markup('<path class="range" d="M{} 10H{}"/>').format(low, high))
    parts.append(
        Markup('<path class="dot" stroke="{}" d="M{} 10h.01"/>').format(colour, scale.at(score.value))
    )
    head = Markup('<svg class="bar" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">')
    return head + Markup("").join(parts) + Markup("</svg>")


def axis(scale: Scale) -> Markup:
    """Return the numbers of the axis, drawn below the scores; hidden from screen readers like these."""
    from matplotlib.ticker import MaxNLocator

    ticks = [float(tick) for tick in MaxNLocator(_TICKS).tick_values(scale.low, scale.high)]
    rounding = 1e-9 * (scale.high - scale.low)
    shown = [tick for tick in ticks if scale.low - rounding <= tick <= scale.high + rounding]
    texts = [Markup('<text x="{}%" y="11">{:g}</text>').format(scale.at(tick), tick) for tick in shown]
    return Markup('<svg class="axis" aria-hidden="true">') + Markup("").join(texts) + Markup("</svg>")


def _line(kind: str, x: float) -> Markup:
    return Markup('<path class="{}" d="M{} 2V18"/>').format(kind, x)
