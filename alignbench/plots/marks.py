"""Marks and notes that figures share: bars with interval and null, missing values, and legends."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.plots.style import INK, MUTED, NULL, SATURATED_HATCH
from alignbench.text import clean, cut, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from alignbench.types import Null, Score

BAR = 0.62
CHANCE = "#C0392B"


def reading_notes(scores: Sequence[Score]) -> str:
    """Return a note on how to read the marks of these scores, or that they have no intervals."""
    notes = []
    if any(score.null is not None and score.null.mean is not None for score in scores):
        notes.append("Grey: what shuffled pairs give (line: mean; band: ±2 standard deviations).")
    if any(score.interval is not None for score in scores):
        notes.append("Black bar: 95% interval.")
    else:
        notes.append("No intervals: n is too small, or none were asked for.")
    return " ".join(notes)


def sample_note(scores: Sequence[Score]) -> str:
    """Return the end of a title: the number of groups, and the data types of scores that are not of all."""
    types = sorted({score.data_type for score in scores} - {ALL})
    parts = [f"{span_text(score.n for score in scores)} groups", *types]
    return f" (n = {', '.join(parts)})"


def span_text(sizes: Iterable[int]) -> str:
    """Return the smallest and the largest number, as in `12 to 45`; only one if they are equal."""
    ordered = sorted(sizes)
    return " to ".join(str(size) for size in dict.fromkeys((ordered[0], ordered[-1])))


def left_out(shown: int, total: int, what: str) -> list[str]:
    """Return a note that only the first of many things are shown; no note if all of them are."""
    return [f"The first {shown} of {total} {what}."] if shown < total else []


def legend_mark(label: str, marker: str, colour: str, **style: Any) -> Artist:
    """Return a legend entry for a mark without a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=marker, color=colour, label=label, **style)


def legend_line(label: str, **style: Any) -> Artist:
    """Return a legend entry for a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def beside(
    ax: Axes,
    text: str,
    at: tuple[float, float],
    shift: tuple[float, float] = (0, 0),
    coordinates: Any = "data",
    **style: Any,
) -> None:
    """Write small text beside a place.

    Args:
        ax: the axes to write on.
        text: the text.
        at: the place.
        shift: how far to the right of and above the place, in points.
        coordinates: the coordinates of `at`: "data", "axes fraction", or one of them per direction.
        style: the style of the text, if other than small and in ink.
    """
    style = {"fontsize": 7.5, "color": INK, **style}
    ax.annotate(text, at, xytext=shift, xycoords=coordinates, textcoords="offset points", **style)


def score_bar(ax: Axes, row: float, score: Score, colour: str) -> None:
    """Draw a score as a horizontal bar with its interval, its null and its value as a number."""
    if score.value is None:
        missing(ax, row, score)
        return
    saturated = "saturated" in score.flags
    hatch = SATURATED_HATCH if saturated else None
    edge = "white" if saturated else colour
    ax.barh(row, score.value, BAR, color=colour, edgecolor=edge, hatch=hatch, linewidth=0)
    bar_ends(ax, row, score)


def bar_ends(ax: Axes, row: float, score: Score) -> None:
    """Draw the null and the interval on a score's bar, and its value as a number beside it."""
    null_mark(ax, row, score.null)
    interval_mark(ax, row, score)
    value_label(ax, row, score)


def interval_mark(ax: Axes, row: float, score: Score) -> None:
    """Draw the score's interval as a capped line."""
    if score.interval is not None:
        interval_line(ax, row, score.interval.low, score.interval.high)


def interval_line(ax: Axes, row: float, low: float, high: float) -> None:
    """Draw a capped line from low to high."""
    half = max(0.0, (high - low) / 2)
    style: Any = {"fmt": "none", "ecolor": INK, "elinewidth": 1.1, "capsize": 2.5, "zorder": 4}
    ax.errorbar((low + high) / 2, row, xerr=half, **style)


def null_mark(ax: Axes, row: float, null: Null | None, height: float = BAR) -> None:
    """Draw what shuffled pairs give: their mean as a line and ±2 standard deviations as a band."""
    if null is None or null.mean is None:
        return
    if null.std:
        left, width = null.mean - 2 * null.std, 4 * null.std
        ax.barh(row, width, height + 0.16, left=left, color=NULL, alpha=0.4, zorder=2.5)
    half = height / 2 + 0.12
    ax.plot([null.mean] * 2, [row - half, row + half], color="#555555", linewidth=1.6, zorder=3)


def chance_mark(ax: Axes, row: float, score: Score) -> None:
    """Draw the chance level as a line across the score's row."""
    if score.chance is not None and score.value is not None:
        ax.plot([score.chance] * 2, [row - 0.46, row + 0.46], color=CHANCE, linewidth=1.2, zorder=3.5)


def missing(ax: Axes, row: float, score: Score) -> None:
    """Write in the score's row why there is no value; an empty bar would look like 0."""
    reason = cut(f"n/a: {clean(score.reason)}", 46)
    beside(
        ax, reason, (0, row), (4, 0), ("axes fraction", "data"), va="center", fontstyle="italic", color=MUTED
    )


def not_recorded(ax: Axes) -> None:
    """Write in an empty panel that nothing was recorded."""
    reason_note(ax, "not recorded")


def reason_note(ax: Axes, text: str) -> None:
    """Write in an empty panel why it is empty, in a few short lines."""
    lines = "\n".join(wrap(cut(text, 110), 28))
    style: Any = {"ha": "center", "va": "center", "fontsize": 7.5, "fontstyle": "italic", "color": MUTED}
    ax.text(0.5, 0.5, lines, transform=ax.transAxes, **style)


def value_label(ax: Axes, row: float, score: Score, *others: float | None) -> None:
    """Write the score's value to the right of all its marks, and of the other places given for its row."""
    ends = [0.0, *score_ends(score), *(other for other in others if other is not None)]
    beside(ax, number(score.value), (max(ends), row), (5, 0), va="center")


def name_rows(ax: Axes, names: Sequence[str], block: str = "", labelled: bool = True, room: int = 0) -> None:
    """Write a name beside each row, row 0 on top, and the block's name above them.

    Args:
        ax: the axes with the rows.
        names: one name per row.
        block: what the rows have in common.
        labelled: whether to write the names; the right-hand columns of a table of panels have none.
        room: leave room for at least that many rows, so that they are as high as those of a longer neighbour.
    """
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(len(names), room) - 0.45, -0.55)
    ax.tick_params(labelleft=labelled)
    ax.grid(axis="x")
    if labelled and block:
        style: Any = {"ha": "right", "va": "bottom", "color": MUTED, "fontstyle": "italic", "fontsize": 9}
        beside(ax, block, (0, 1), (-4, 3), "axes fraction", **style)


def limit(ax: Axes, scores: Sequence[Score], least: float = 0.0) -> None:
    """Set x limits that include 0, every bar, interval and null, and the numbers beside; no tick beyond 1."""
    low, high = span([0.0, least, *(end for score in scores for end in score_ends(score))])
    ax.set_xlim(low, high)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= min(high, 1.0)])


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return limits around the values, with room for a number at the right end."""
    low, high = min(values), max(values)
    width = (high - low) or 1.0
    return low - (0.04 * width if low < 0 else 0), high + 0.2 * width


def score_ends(score: Score) -> list[float]:
    """Return the x values where the marks of a score end."""
    ends = [] if score.value is None else [score.value]
    if score.interval is not None:
        ends += [score.interval.low, score.interval.high]
    if score.null is not None and score.null.mean is not None:
        reach = 2 * (score.null.std or 0)
        ends += [score.null.mean - reach, score.null.mean + reach]
    return ends
