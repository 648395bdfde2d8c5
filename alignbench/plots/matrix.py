"""The figure of encoders against LLMs: a matrix a metric, with what is known of each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, pick
from alignbench.plots.style import INK, MUTED, SEQUENTIAL, entitle, new_figure
from alignbench.plots.text import fit, number
from alignbench.plots.verdict import NONE_BEATS, TOO_CLOSE
from alignbench.stats import beats_shuffled, standings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

    Matrix = Mapping[tuple[str, str], Score]

CELL = 0.92
NAMES = 2.0
WIDEST = 13.0
MOST_METRICS = 6


@declare_figure(
    "multi_llm",
    caption=Caption(
        "Every encoder with every LLM",
        "A row an encoder, a column an LLM; the value ± half its 95% interval. Solid box: the best for "
        "this LLM; dashed boxes: the best of these is too close to call; dotted: no better than shuffled "
        "pairs; no box in a column: no encoder beats shuffled pairs here.",
        "Differences by colour: colours compare cells of one matrix only. Values of two LLMs in one row "
        "were not tested against each other.",
    ),
)
def multi_llm_matrix(inputs: FigureInputs) -> Figure | None:
    """Draw a matrix a metric, encoders down and LLMs across: value, half its interval, best and its ties."""
    recorded = [s for s in inputs.of("multi_llm") if mode_of(s) == "cross-modal"]
    metrics = list(dict.fromkeys(score.metric for score in recorded))
    if not metrics:
        return None
    matrices = {
        m: {(str(s.encoder), str(s.llm)): s for s in pick(recorded, m)} for m in metrics[:MOST_METRICS]
    }
    encoders = sorted({str(s.encoder) for s in recorded}, key=inputs.place)
    llms = sorted({str(s.llm) for s in recorded}, key=inputs.place)
    width = CELL * len(llms) + 0.3
    columns = min(len(matrices), max(1, int((WIDEST - NAMES) / width)))
    rows = -(-len(matrices) // columns)
    figure = new_figure(
        max(6.4, min(WIDEST, NAMES + columns * width)), 1.75 + rows * (0.42 * len(encoders) + 1.2)
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, (ax, (metric, matrix)) in enumerate(zip(axes, matrices.items(), strict=False)):
        _matrix(ax, matrix, encoders, llms)
        higher = all(score.higher_is_better for score in matrix.values())
        ax.set_title(f"{fit(metric, 14 + 8 * len(llms))}\n", fontsize=9.5)
        ax.annotate(
            ("higher is better" if higher else "lower is better") + _untested(matrix),
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 5),
            textcoords="offset points",
            color=MUTED,
            fontsize=8,
        )
        ax.set_yticks(
            range(len(encoders)), [inputs.title(e, 30) for e in encoders] if i % columns == 0 else []
        )
        ax.set_xticks(
            range(len(llms)),
            [inputs.title(m, 22) for m in llms],
            rotation=25,
            ha="right",
            rotation_mode="anchor",
        )
    for ax in axes[len(matrices) :]:
        ax.set_axis_off()
    sizes = sorted({score.n for score in recorded})
    n = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
    notes = [
        "In each cell: the value, and ± half of its 95% interval. Solid box: the best encoder\n"
        f"for this LLM; dashed: {TOO_CLOSE} (paired differences, studentised range).\n"
        f"No box: {NONE_BEATS}, or ties are unknown. Colours compare\n"
        "the cells of one matrix only; a difference may be none: see the intervals."
    ]
    if not any(len(score.deletions) > 1 for score in recorded):
        notes.append("No intervals: n is too small, so ties are unknown.")
    if len(metrics) > len(matrices):
        notes.append(f"The first {len(matrices)} of {len(metrics)} metrics; all are in the summary.")
    entitle(figure, f"Every encoder with every LLM (n = {n} groups)", *notes, legend=_handles())
    return figure


def _untested(matrix: Matrix) -> str:
    """Say of a metric that has no test against shuffled pairs that it has none, so no cell is marked."""
    tested = any(score.null is not None and score.null.p is not None for score in matrix.values())
    return "" if tested else "; not tested"


def _matrix(ax: Axes, matrix: Matrix, encoders: Sequence[str], llms: Sequence[str]) -> None:
    """Draw the coloured cells with what is written in them, and frame the best of each column."""
    import matplotlib as mpl

    values = np.full((len(encoders), len(llms)), np.nan)
    for (encoder, llm), score in matrix.items():
        if score.value is not None:
            values[encoders.index(encoder), llms.index(llm)] = score.value
    higher = all(score.higher_is_better for score in matrix.values())
    colours = mpl.colormaps[SEQUENTIAL if higher else f"{SEQUENTIAL}_r"].with_extremes(bad="#F2F2F2")
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low = min(low, 0.0) if higher else low
    image = ax.imshow(values, cmap=colours, vmin=low, vmax=high if high > low else low + 1.0, aspect="auto")
    for column, llm in enumerate(llms):
        standing = standings({e: matrix[e, llm] for e in encoders if (e, llm) in matrix})
        answer = () if standing.tie_groups is None else standing.answer  # unknown ties have no box
        for row, encoder in enumerate(encoders):
            colour = np.asarray(image.cmap(image.norm(values[row, column])), dtype=np.float64)
            _cell(ax, row, column, matrix.get((encoder, llm)), colour)
            if encoder in answer:
                _frame(ax, row, column, best=standing.winner is not None)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _cell(ax: Axes, row: int, column: int, score: Score | None, colour: NDArray[np.float64]) -> None:
    """Write value and half-width into a cell, in the ink that its colour can bear."""
    from matplotlib.patches import Rectangle

    dark = float(np.dot(colour[:3], (0.299, 0.587, 0.114))) < 0.5
    if score is None or score.value is None:
        ax.text(column, row, "n/a" if score else "-", ha="center", va="center", fontsize=8, color=MUTED)
        return
    if not beats_shuffled(score):
        place = (column - 0.5, row - 0.5)
        ax.add_patch(
            Rectangle(place, 1, 1, fill=False, hatch="....", edgecolor="white" if dark else "#777777", lw=0)
        )
    half = "" if score.interval is None else f" ±{_short((score.interval.high - score.interval.low) / 2)}"
    text = ax.text(
        column,
        row,
        f"{_short(score.value)}{half}",
        ha="center",
        va="center",
        fontsize=7.5,
        color="white" if dark else INK,
    )
    if not beats_shuffled(score):
        text.set_bbox({"facecolor": tuple(colour), "edgecolor": "none", "pad": 1.2})


def _short(value: float) -> str:
    """Return the number without its leading zero: cells are narrow."""
    return number(value).replace("0.", ".", 1) if abs(value) < 1 else number(value)


def _frame(ax: Axes, row: int, column: int, best: bool) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle(
            (column - 0.46, row - 0.43),
            0.92,
            0.86,
            fill=False,
            edgecolor="#D55E00",
            linewidth=2.0 if best else 1.3,
            linestyle="-" if best else (0, (2, 1.5)),
            gid="best" if best else "tied",
            zorder=5,
        )
    )


def _handles() -> list[Artist]:
    from matplotlib.patches import Patch

    return [
        Patch(fill=False, edgecolor="#D55E00", linewidth=2.0, label="best for this LLM"),
        Patch(
            fill=False,
            edgecolor="#D55E00",
            linewidth=1.3,
            linestyle=(0, (2, 1.5)),
            label=TOO_CLOSE,
        ),
        Patch(
            facecolor="white",
            hatch="....",
            edgecolor="#777777",
            linewidth=0,
            label="no better than shuffled pairs",
        ),
    ]
