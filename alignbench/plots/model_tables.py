"""Tables that compare models of one side: encoders with encoders, and LLMs with LLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.cells import draw_cells, hatch_cell
from alignbench.plots.inputs import mode_of, models_of_pair, pick
from alignbench.plots.style import SEQUENTIAL, new_figure
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

WIDEST = 4.2  # inches, the most that a table takes
MOST_NUMBERED = 16  # rows; the cells of a larger table have no room for numbers
SIDES = {"vision-vision": "encoders, same images", "text-text": "LLMs, same texts"}


def model_tables(
    inputs: FigureInputs, scores: Sequence[Score], metrics: Sequence[str], *, diagonal: bool = False
) -> Figure | None:
    """Return a figure of tables, model × model: one column per metric, one row per side; None without tables.

    Args:
        inputs: the inputs of the run's figures.
        scores: scores that each compare two models of one side.
        metrics: the metrics to show.
        diagonal: whether to show each model with itself, with the value that the metric has there.
    """
    by_side = {side: [score for score in scores if mode_of(score) == side] for side in SIDES}
    sides = {side: of_side for side, of_side in by_side.items() if of_side}
    if not metrics or not sides:
        return None
    names = {
        side: inputs.ordered(name for score in of_side for name in models_of_pair(score))
        for side, of_side in sides.items()
    }
    sizes = [float(np.clip(0.55 * len(models), 1.3, WIDEST)) for models in names.values()]
    width = 2.2 + (1.05 * max(sizes) + 1.0) * len(metrics)
    figure = new_figure(width, 1.7 + sum(sizes) + 1.5 * len(sides))
    axes = figure.subplots(len(sides), len(metrics), squeeze=False, height_ratios=[s + 0.6 for s in sizes])
    for row, (side, of_side) in enumerate(sides.items()):
        for column, metric in enumerate(metrics):
            ax = axes[row, column]
            image = _similarities(ax, pick(of_side, metric), names[side], diagonal=diagonal)
            ax.set_aspect("equal", anchor="W")
            labels = [inputs.label(name, 36 if len(names[side]) <= 6 else 24) for name in names[side]]
            ax.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
            ax.set_yticks(range(len(labels)), labels if column == 0 else [""] * len(labels))
            ax.set_title(f"{metric}\n{SIDES[side]}" if column == 0 else f"{metric}\n")
            figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.05, 1)))  # no higher than the table
    return figure


def _similarities(ax: Axes, scores: Sequence[Score], names: Sequence[str], *, diagonal: bool) -> AxesImage:
    """Draw one metric's table; alike models are light, whatever the metric's direction."""
    higher = all(score.higher_is_better for score in scores)
    values = np.full((len(names), len(names)), np.nan)
    written = [["" for _ in names] for _ in names]
    if diagonal:
        np.fill_diagonal(values, 1.0 if higher else 0.0)
        for i in range(len(names)):
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
