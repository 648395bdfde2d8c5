"""The figure of encoders against LLMs: one matrix per metric, with intervals, best encoders and ties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.cells import (
    NO_BETTER,
    colour_of,
    draw_cells,
    frame_cell,
    frame_style,
    hatch_cell,
    ink_on,
)
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, pick
from alignbench.plots.marks import beside, left_out, span_text
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle
from alignbench.stats import beats_shuffled
from alignbench.stats.verdict import NONE_BEATS, TOO_CLOSE
from alignbench.text import fit, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
        "Each row is an encoder, each column an LLM; a cell has the value ± half its 95% interval. Solid "
        "box: the best encoder for this LLM; dashed boxes: which of these is best is too close to call; "
        "dotted: no better than shuffled pairs; no box in a column: no encoder beats shuffled pairs here.",
        "Differences by colour: colours compare cells of one matrix only. Values of two LLMs in one row "
        "were not tested against each other.",
    ),
)
def multi_llm_matrix(inputs: FigureInputs) -> Figure | None:
    """Draw one matrix per metric, encoders down and LLMs across, with intervals, best encoders and ties."""
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
    most = max(1, int((WIDEST - NAMES) / width))
    height = 0.42 * len(encoders) + 1.2
    figure, axes = grid_figure(
        len(matrices), most, min(width, WIDEST - NAMES), height, margins=(NAMES, 1.75), least=6.4
    )
    names = [inputs.title(encoder, 30) for encoder in encoders]
    across = [inputs.title(llm, 22) for llm in llms]
    for i, (ax, (metric, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        _matrix(ax, matrix, encoders, llms, inputs)
        higher = all(score.higher_is_better for score in matrix.values())
        ax.set_title(f"{fit(metric, 14 + 8 * len(llms))}\n", fontsize=9.5)
        direction = "higher is better" if higher else "lower is better"
        beside(ax, direction + _untested(matrix), (0, 1), (0, 5), "axes fraction", color=MUTED, fontsize=8)
        ax.set_yticks(range(len(encoders)), names if i % most == 0 else [""] * len(names))
        ax.set_xticks(range(len(llms)), across, rotation=25, ha="right", rotation_mode="anchor")
    notes = [
        "Each cell has the value ± half its 95% interval. Solid box: the best encoder for this LLM; dashed: "
        f"{TOO_CLOSE} (paired differences, studentised range). No box: {NONE_BEATS}, or ties are unknown. "
        "Colours compare the cells of one matrix only; a difference may be chance: see the intervals."
    ]
    if not any(len(score.deletions) > 1 for score in recorded):
        notes.append("No intervals: n is too small, so ties are unknown.")
    notes += left_out(len(matrices), len(metrics), "metrics; all are in the summary")
    n = span_text(score.n for score in recorded)
    entitle(figure, f"Every encoder with every LLM (n = {n} groups)", *notes, legend=_handles())
    return figure


def _untested(matrix: Matrix) -> str:
    """Return a remark for a metric that is not tested against shuffled pairs, so that no cell is marked."""
    tested = any(score.null is not None and score.null.p is not None for score in matrix.values())
    return "" if tested else "; not tested"


def _matrix(
    ax: Axes, matrix: Matrix, encoders: Sequence[str], llms: Sequence[str], inputs: FigureInputs
) -> None:
    """Draw the coloured cells with their texts, and frame the best of each column."""
    values = np.full((len(encoders), len(llms)), np.nan)
    written = [["-" for _ in llms] for _ in encoders]
    for (encoder, llm), cell in matrix.items():
        row, column = encoders.index(encoder), llms.index(llm)
        written[row][column] = _written(cell)
        values[row, column] = np.nan if cell.value is None else cell.value
    higher = all(score.higher_is_better for score in matrix.values())
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low = min(low, 0.0) if higher else low
    colours = SEQUENTIAL if higher else f"{SEQUENTIAL}_r"
    image = draw_cells(ax, values, low, high if high > low else low + 1.0, colours, written)
    texts = {text.get_position(): text for text in ax.texts}
    for column, llm in enumerate(llms):
        standing = inputs.standing({e: matrix[e, llm] for e in encoders if (e, llm) in matrix})
        for row, encoder in enumerate(encoders):
            score = matrix.get((encoder, llm))
            if score is not None and score.value is not None and not beats_shuffled(score):
                colour = colour_of(image, score.value)
                hatch_cell(ax, row, column, "white" if ink_on(colour) == "white" else "#777777", NO_BETTER)
                texts[column, row].set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1.2})
            if standing.tie_groups is not None and encoder in standing.answer:  # unknown ties have no box
                frame_cell(ax, row, column, best=standing.winner is not None)


def _written(score: Score) -> str:
    if score.value is None:
        return "n/a"
    half = "" if score.interval is None else f" ±{_short((score.interval.high - score.interval.low) / 2)}"
    return _short(score.value) + half


def _short(value: float) -> str:
    """Return the number without its leading zero, since cells are narrow."""
    return number(value).replace("0.", ".", 1) if abs(value) < 1 else number(value)


def _handles() -> list[Artist]:
    from matplotlib.patches import Patch

    dotted: Any = {"facecolor": "white", "hatch": NO_BETTER, "edgecolor": "#777777", "linewidth": 0}
    return [
        Patch(label="best for this LLM", **frame_style(best=True)),
        Patch(label=TOO_CLOSE, **frame_style(best=False)),
        Patch(label="no better than shuffled pairs", **dotted),
    ]
