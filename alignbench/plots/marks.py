"""What figures share: bars with interval, null and saturation; missing values."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.plots.style import INK, MUTED, NULL, SATURATED_HATCH
from alignbench.plots.text import clean, cut, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from alignbench.types import Null, Score

BAR = 0.62


def reading_notes(scores: Sequence[Score]) -> str:
    """Return how to read the marks that these scores have, or that they have no intervals."""
    notes = []
    if any(score.null is not None and score.null.mean is not None for score in scores):
        notes.append("Grey: what shuffled pairs give (line: mean; band: ±2 standard deviations).")
    if any(score.interval is not None for score in scores):
        notes.append("Black bar: 95% interval.")
    else:
        notes.append("No intervals: n is too small, or none were asked for.")
    return " ".join(notes)


def sample_note(scores: Sequence[Score]) -> str:
    """Return how many groups of which data the scores are of, to end a title with."""
    sizes = sorted({score.n for score in scores})
    n = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    types = sorted({score.data_type for score in scores} - {ALL})
    return f" (n = {n} groups{', ' + ', '.join(types) if types else ''})"


def score_bars(ax: Axes, scores: Sequence[Score], colours: Sequence[str], rows: Sequence[int]) -> None:
    """Draw a horizontal bar a score in its row, with its interval, its null and its value in figures."""
    for row, score, colour in zip(rows, scores, colours, strict=True):
        if score.value is None:
            missing(ax, row, score)
            continue
        saturated = "saturated" in score.flags
        ax.barh(
            row,
            score.value,
            BAR,
            color=colour,
            edgecolor="white" if saturated else colour,
            hatch=SATURATED_HATCH if saturated else None,
            linewidth=0,
        )
        null_mark(ax, row, score.null)
        interval_mark(ax, row, score)
        value_label(ax, row, score)


def interval_mark(ax: Axes, row: float, score: Score) -> None:
    """Draw the score's interval as a capped line."""
    if score.interval is not None:
        low, high = score.interval.low, score.interval.high
        middle = (low + high) / 2
        ax.errorbar(
            middle, row, xerr=high - middle, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5, zorder=4
        )


def null_mark(ax: Axes, row: float, null: Null | None, height: float = BAR) -> None:
    """Draw what shuffled pairs give: the mean as a line, two standard deviations about it as a band."""
    if null is None or null.mean is None:
        return
    if null.std:
        ax.barh(
            row, 4 * null.std, height + 0.16, left=null.mean - 2 * null.std, color=NULL, alpha=0.4, zorder=2.5
        )
    half = height / 2 + 0.12
    ax.plot([null.mean] * 2, [row - half, row + half], color="#555555", linewidth=1.6, zorder=3)


def missing(ax: Axes, row: float, score: Score) -> None:
    """Say in the score's row that there is no value, and why: no bar, which would look like 0."""
    ax.annotate(
        cut(f"n/a: {clean(score.reason)}", 46),
        (0, row),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        fontstyle="italic",
        color=MUTED,
    )


def not_recorded(ax: Axes) -> None:
    """Say in an empty panel that it is empty because nothing was recorded."""
    ax.text(
        0.5, 0.5, "not recorded", transform=ax.transAxes, ha="center", va="center", color=MUTED, fontsize=8
    )


def value_label(ax: Axes, row: float, score: Score) -> None:
    """Write the value right of the bar and of all that is drawn on it."""
    ax.annotate(
        number(score.value),
        (max(0.0, *_ends(score)), row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )


def name_rows(ax: Axes, names: Sequence[str], block: str = "", labelled: bool = True, room: int = 0) -> None:
    """Write a name at each row, row 0 on top, and the block's name above them.

    Args:
        ax: where the rows are.
        names: one a row.
        block: what the rows have in common.
        labelled: whether names are written; in the right-hand columns of a table of panels they aren't.
        room: leave room for so many rows at least: rows are then as high as a longer neighbour's.
    """
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(len(names), room) - 0.45, -0.55)
    ax.tick_params(labelleft=labelled)
    ax.grid(axis="x")
    if labelled and block:
        above: Any = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "ha": "right",
            "va": "bottom",
        }
        ax.annotate(block, (0, 1), xytext=(-4, 3), color=MUTED, fontstyle="italic", **above)


def limit(ax: Axes, scores: Sequence[Score], least: float = 0.0) -> None:
    """Set x limits that hold 0, every bar, interval and null, and the figures beside; no tick beyond 1."""
    low, high = span([0.0, least, *(end for score in scores for end in _ends(score))])
    ax.set_xlim(low, high)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= min(high, 1.0)])


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return limits around the values, with room for a number at the right end."""
    low, high = min(values), max(values)
    width = (high - low) or 1.0
    return low - (0.04 * width if low < 0 else 0), high + 0.2 * width


def _ends(score: Score) -> list[float]:
    """Return the x values of all that is drawn of a score."""
    ends = [] if score.value is None else [score.value]
    if score.interval is not None:
        ends += [score.interval.low, score.interval.high]
    if score.null is not None and score.null.mean is not None:
        reach = 2 * (score.null.std or 0)
        ends += [score.null.mean - reach, score.null.mean + reach]
    return ends


def reason_note(ax: Axes, text: str) -> None:
    """Say in an empty panel why it is empty, in a few short lines."""
    lines = wrap(cut(text, 110), 28)
    ax.text(
        0.5,
        0.5,
        "\n".join(lines),
        transform=ax.transAxes,
        ha="center",
        va="center",
        color=MUTED,
        fontsize=7.5,
        fontstyle="italic",
    )
