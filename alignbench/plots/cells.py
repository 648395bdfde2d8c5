"""Tables of cells: a colour and a number in each; and the models' similarity to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, pick
from alignbench.plots.style import INK, MUTED, SATURATED_HATCH, SEQUENTIAL, entitle, new_figure
from alignbench.plots.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

EMPTY = "#F1F1F1"
WIDEST = 4.2  # inches of a table at most
MOST_NUMBERED = 16  # rows of a table whose cells still hold a number
SIDES = {"vision-vision": "encoders, same images", "text-text": "LLMs, same texts"}
METRICS = ("calibrated_cka", "debiased_cka", "mutual_knn")


def draw_cells(
    ax: Axes, values: NDArray[np.float64], low: float, high: float, cmap: str, written: Any, size: float = 7.5
) -> AxesImage:
    """Draw a table of colours, NaN as pale grey, with what is written in each cell in legible ink.

    Args:
        ax: where.
        values: [rows, columns]; NaN has no colour.
        low: the value of the colour map's first colour.
        high: of its last.
        cmap: its name.
        written: the strings [rows][columns].
        size: of the letters, in points.
    """
    from matplotlib import colormaps

    colours = colormaps[cmap].with_extremes(bad=EMPTY)
    image = ax.imshow(
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=low,
        vmax=high,
        aspect="auto",
        interpolation="nearest",
    )
    for row, line in enumerate(written):
        for column, text in enumerate(line):
            if text:
                value = values[row, column]
                red, green, blue, _ = image.to_rgba(value) if np.isfinite(value) else (1, 1, 1, 1)
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
                ink = "white" if dark else (INK if np.isfinite(value) else MUTED)
                cell = ax.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
                cell.set_in_layout(False)  # it stays in its cell, and measuring hundreds takes time
    rows, columns = values.shape
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(visible=True, which="minor", color="white", linewidth=1.2)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def hatch_cell(ax: Axes, row: int, column: int, colour: str = "#888888") -> None:
    """Hatch a cell of a table: what is in it is saturated."""
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    cell = Rectangle(corner, 1, 1, fill=False, hatch=SATURATED_HATCH, edgecolor=colour, linewidth=0)
    ax.add_patch(cell)


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
    figure = model_matrices(inputs, scores, metrics)
    if figure is None:
        return None
    entitle(
        figure,
        f"How alike are the models to each other? (n = {min(s.n for s in scores)} groups)",
        "Each cell: two models on the same samples, in either order. Light: they see the same things as\n"
        "alike. Shuffled samples get a calibrated_cka of 0, and a mutual_knn of k/(n-1).",
    )
    return figure


def model_matrices(
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
    found = {str(name) for s in scores for name in (s.encoder, s.llm, s.other) if name is not None}
    return sorted(found, key=inputs.place)


def _similarities(ax: Axes, scores: Sequence[Score], names: Sequence[str], *, diagonal: bool) -> AxesImage:
    """Draw one metric's table; light is alike, whichever way the metric goes, and saturated is hatched."""
    higher = all(score.higher_is_better for score in scores)
    values = np.full((len(names), len(names)), np.nan)
    written = [["" for _ in names] for _ in names]
    for i in range(len(names)) if diagonal else ():
        values[i, i] = 1.0 if higher else 0.0
        written[i][i] = "same"
    for score in scores:
        i = names.index(str(score.encoder or score.llm))
        j = names.index(str(score.other))
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
