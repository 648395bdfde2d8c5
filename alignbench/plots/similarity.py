"""Figures of the models among each other: encoders with encoders, and LLMs with LLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.cells import draw_cells, hatch_cell
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, models_of_pair, pick
from alignbench.plots.marks import sample_note
from alignbench.plots.style import SEQUENTIAL, entitle, new_figure
from alignbench.plots.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

WIDEST = 4.2  # inches of a table at most
MOST_NUMBERED = 16  # rows of a table whose cells still hold a number
SIDES = {"vision-vision": "encoders, same images", "text-text": "LLMs, same texts"}
METRICS = ("calibrated_cka", "debiased_cka", "mutual_knn")
OF_DISTRIBUTIONS = ("coral_similarity", "ncoral")


@declare_figure(
    "compare",
    requires="two encoders or two LLMs",
    caption=Caption(
        "How alike are the models to each other?",
        "A cell a pair of models on the same images or the same texts; light: they see the same samples "
        "as alike.",
        "That alike models fit an LLM equally well, or are equally good. Intervals are in the table of "
        "scores.",
    ),
)
def model_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw how alike the encoders are to each other, and the LLMs: a column a metric, a row a side."""
    scores = [s for s in inputs.of("compare") if s.other is not None]
    metrics = [m for m in METRICS if pick(scores, m)][:2]
    figure = _model_matrices(inputs, scores, metrics)
    if figure is None:
        return None
    entitle(
        figure,
        f"How alike are the models to each other? (n = {min(s.n for s in scores)} groups)",
        "Each cell: two models on the same samples, in either order. Light: they see the same things as\n"
        "alike. Shuffled samples get a calibrated_cka of 0, and a mutual_knn of k/(n-1).",
    )
    return figure


@declare_figure(
    "coral",
    requires="two encoders or two LLMs",
    caption=Caption(
        "How alike are the encoders' distributions, and the LLMs'?",
        "A cell a pair of models of one side. CORAL similarity, as published: 1 is the same; hatched: "
        "saturated. Beside it ncoral, which is 0 for the same distribution. Light: alike, in both.",
        "Whether two models see the same samples as alike: CORAL compares clouds, not samples. Hatched cells "
        "cannot tell any two models apart.",
    ),
)
def intra_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw CORAL similarity of each two encoders, and of each two LLMs, beside ncoral: model × model."""
    scores = [score for score in inputs.of("coral") if score.other is not None]
    metrics = [metric for metric in OF_DISTRIBUTIONS if pick(scores, metric)]
    figure = _model_matrices(inputs, scores, metrics, diagonal=True)
    if figure is None:
        return None
    shown = [score for score in scores if score.metric in metrics]
    notes = ["Each cell: the distributions of two models of one side, in either order. Light: alike."]
    if any("saturated" in score.flags for score in shown):
        notes.append(
            "Hatched: saturated, CORAL similarity is about 1 whichever two models are compared. "
            "Read ncoral: 0 is the same distribution, 1 no direction in common."
        )
    entitle(figure, f"How alike are the models of one side?{sample_note(shown)}", *notes)
    return figure


def _model_matrices(
    inputs: FigureInputs, scores: Sequence[Score], metrics: Sequence[str], *, diagonal: bool = False
) -> Figure | None:
    """Return a figure of tables, model × model: a column a metric, a row a side; None where there are none.

    Args:
        inputs: of the run.
        scores: of two models of one side each.
        metrics: those that are shown.
        diagonal: whether a model with itself is shown, with the value that the metric has there.
    """
    sides = {side: own for side in SIDES if (own := [s for s in scores if mode_of(s) == side])}
    if not metrics or not sides:
        return None
    names = {side: _names(own, inputs) for side, own in sides.items()}
    sizes = [float(np.clip(0.55 * len(of_side), 1.3, WIDEST)) for of_side in names.values()]
    width = 2.2 + (1.05 * max(sizes) + 1.0) * len(metrics)
    figure = new_figure(width, 1.7 + sum(sizes) + 1.5 * len(sides))
    axes = figure.subplots(len(sides), len(metrics), squeeze=False, height_ratios=[s + 0.6 for s in sizes])
    for row, (side, own) in enumerate(sides.items()):
        for column, metric in enumerate(metrics):
            ax = axes[row, column]
            image = _similarities(ax, pick(own, metric), names[side], diagonal=diagonal)
            ax.set_aspect("equal", anchor="W")
            labels = [inputs.label(name, 36 if len(names[side]) <= 6 else 24) for name in names[side]]
            ax.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
            ax.set_yticks(range(len(labels)), labels if column == 0 else [""] * len(labels))
            ax.set_title(f"{metric}\n{SIDES[side]}" if column == 0 else f"{metric}\n")
            figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.05, 1)))  # as high as the table, not higher
    return figure


def _names(scores: Sequence[Score], inputs: FigureInputs) -> list[str]:
    return inputs.ordered(name for score in scores for name in models_of_pair(score))


def _similarities(ax: Axes, scores: Sequence[Score], names: Sequence[str], *, diagonal: bool) -> AxesImage:
    """Draw one metric's table; light is alike, whichever way the metric goes, and saturated is hatched."""
    higher = all(score.higher_is_better for score in scores)
    values = np.full((len(names), len(names)), np.nan)
    written = [["" for _ in names] for _ in names]
    for i in range(len(names)) if diagonal else ():
        values[i, i] = 1.0 if higher else 0.0
        written[i][i] = "same"
    for score in scores:
        i, j = map(names.index, models_of_pair(score))
        text = "n/a" if score.value is None else number(score.value)
        for a, b in ((i, j), (j, i)):
            values[a, b] = np.nan if score.value is None else score.value
            written[a][b] = text
            if "saturated" in score.flags:
                hatch_cell(ax, a, b)
    if len(names) > MOST_NUMBERED:
        written = []
    high = max(float(np.nanmax(values)) if np.isfinite(values).any() else 1.0, 0.1)
    low = min(float(np.nanmin(values)) if np.isfinite(values).any() else 0.0, 0.0)
    colours = SEQUENTIAL if higher else f"{SEQUENTIAL}_r"
    return draw_cells(ax, values, low, high, colours, written, 7.5 if len(names) <= 8 else 5.5)
