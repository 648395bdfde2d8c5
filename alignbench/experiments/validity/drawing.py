"""Draws correlations of scores with outcomes: all of them as a matrix, one of them as points of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.cells import draw_cells
from alignbench.plots.marks import left_out, legend_mark
from alignbench.plots.panels import grid_figure
from alignbench.plots.scatter import Point, draw_points, name_points
from alignbench.plots.style import DIVERGING, entitle, new_figure, type_looks
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
MOST_ROWS, MOST_COLUMNS, MOST_PANELS = 30, 8, 4
_WIDE, _NARROW = 1.12, 0.58  # inches of a column, with a title across or upright


@dataclass(frozen=True, slots=True)
class Cell:
    """A correlation in a matrix.

    Args:
        r: Pearson's r.
        p: how often the largest |r| of the matrix is as large by chance; None if too few lineages can tell.
    """

    r: float
    p: float | None

    @property
    def written(self) -> str:
        """The coefficient with its stars."""
        level = next((mark for level, mark in STARS if self.p is not None and self.p <= level), "")
        return f"{round(self.r, 2) + 0.0:.2f}{level}".replace("0.", ".", 1)  # adding 0.0 avoids -0.00


@dataclass(frozen=True, slots=True)
class Panel:
    """The encoders of one column or block, as points of a score and an outcome.

    Args:
        name: the column or block.
        encoders, families: what the points are, and what they are coloured by.
        x, y: the score and the outcome of each encoder.
    """

    name: str
    encoders: Sequence[str]
    families: Sequence[str]
    x: Sequence[float]
    y: Sequence[float]


def draw_matrix(
    cells: Mapping[tuple[str, str], Cell],
    heading: str,
    notes: Sequence[str],
    title_of: Callable[[str], str],
    *,
    most_columns: int = MOST_COLUMNS,
) -> Figure:
    """Draw r of every score (down) with every outcome (across), strongest first; stars show p.

    Args:
        cells: (score, outcome) -> their correlation; a missing one is left empty.
        heading: the title of the figure.
        notes: what stands below it.
        title_of: outcome -> the title of its column.
        most_columns: the number of outcomes that are drawn.
    """
    every = list(dict.fromkeys(outcome for _, outcome in cells))
    outcomes = every[:most_columns]

    def strength(score: str) -> float:
        return max((abs(cells[score, o].r) for o in outcomes if (score, o) in cells), default=0.0)

    scores = sorted(dict.fromkeys(score for score, _ in cells), key=lambda score: (-strength(score), score))
    shown = scores[:MOST_ROWS]
    upright = len(outcomes) > MOST_COLUMNS  # or the figure would be too wide to be read on a page
    width = 2.6 + (_NARROW if upright else _WIDE) * len(outcomes)
    figure = new_figure(max(7.2, width), 2.75 + 0.27 * len(shown) + 0.6 * upright)
    ax = figure.subplots()
    grid = [[cells.get((score, outcome)) for outcome in outcomes] for score in shown]
    values = np.asarray([[np.nan if cell is None else cell.r for cell in row] for row in grid])
    written = [["" if cell is None else cell.written for cell in row] for row in grid]
    draw_cells(ax, values, -1, 1, DIVERGING, written, size=8)
    ax.set_yticks(range(len(shown)), [fit(clean(score), 28) for score in shown])
    ax.xaxis.tick_top()
    titles = [title_of(outcome) for outcome in outcomes]
    ax.set_xticks(range(len(outcomes)), titles, fontsize=8, rotation=90 if upright else 0)
    beyond = [*left_out(len(shown), len(scores), "scores"), *left_out(len(outcomes), len(every), "outcomes")]
    entitle(figure, heading, *notes, *beyond)
    return figure


def draw_scatter(
    panels: Sequence[Panel], heading: str, labels: tuple[str, str], notes: Sequence[str], what: str
) -> Figure:
    """Draw one panel per column or block, with one named point per encoder.

    Args:
        panels: the columns or blocks.
        heading: the title of the figure.
        labels: the names of the score and the outcome.
        notes: what stands below it.
        what: the word for several panels, such as "columns".
    """
    shown = panels[:MOST_PANELS]
    figure, axes = grid_figure(len(shown), 2, 5.2, 4.0, margins=(0.0, 1.7), least=6.8)
    looks = type_looks([family for panel in panels for family in panel.families])
    drawn = []
    for ax, panel in zip(axes, shown, strict=True):
        points = [
            Point(fit(clean(name), 20), x, y, looks[family].colour, looks[family].marker)
            for name, family, x, y in zip(panel.encoders, panel.families, panel.x, panel.y, strict=True)
        ]
        draw_points(ax, points, 0.14, 6.5)
        r = np.corrcoef(panel.x, panel.y)[0, 1]
        ax.set_title(f"{fit(clean(panel.name), 44)}   r = {r:.2f}".strip(), fontsize=8.5, fontweight="normal")
        ax.set_xlabel(clean(labels[0]))
        ax.set_ylabel(clean(labels[1]))
        drawn.append((ax, points))
    handles = [
        legend_mark(fit(clean(name), 30), look.marker, look.colour) for name, look in list(looks.items())[:8]
    ]
    entitle(figure, heading, *notes, *left_out(len(shown), len(panels), what), legend=handles)
    name_points(figure, drawn)
    return figure
