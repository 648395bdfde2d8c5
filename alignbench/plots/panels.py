"""Panels that figures share: tables of scores in blocks and columns, and grids of equal panels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.plots.marks import limit, name_rows, not_recorded, reading_notes, sample_note, score_bar
from alignbench.plots.style import entitle, new_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score


@dataclass(frozen=True, slots=True)
class Block:
    """Rows with a heading.

    Args:
        heading: what the rows have in common.
        rows: key -> the name that is written beside the row, from top to bottom.
        room: leave room for at least that many rows, so that they are as high as those of a longer neighbour.
    """

    heading: str
    rows: Mapping[Any, str]
    room: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of scores.

    Args:
        title: the title above the uppermost panel.
        cells: for each block, key of a row -> its score; a row may have none.
        label: the label below the lowest panel.
        least: a value that the axis must include.
    """

    title: str
    cells: Sequence[Mapping[Any, Score]]
    label: str = ""
    least: float = 0.0


def table_height(blocks: Sequence[Block], row: float = 0.3, heading: float = 0.3) -> float:
    """Return the height of a table in inches: `row` for each row and `heading` for each block."""
    return row * sum(len(block.rows) + 0.1 for block in blocks) + heading * len(blocks)


def row_panels(
    area: FigureBase,
    blocks: Sequence[Block],
    titles: Sequence[str],
    labels: Sequence[str] = (),
    **shared: Any,
) -> NDArray[Any]:
    """Return empty panels [blocks, columns] whose rows are named on the left.

    Args:
        area: the figure, or a part of it.
        blocks: the blocks, from top to bottom.
        titles: the titles of the columns.
        labels: the labels of the columns' x axes, below the lowest block.
        shared: which axes are shared, as `subplots` takes it.
    """
    heights = [len(block.rows) + 0.1 for block in blocks]
    axes: NDArray[Any] = area.subplots(
        len(blocks), len(titles), squeeze=False, height_ratios=heights, **{"sharex": "col", **shared}
    )
    for block, row in zip(blocks, axes, strict=True):
        for ax in row:
            name_rows(ax, list(block.rows.values()), block.heading, labelled=ax is row[0], room=block.room)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    for ax, label in zip(axes[-1], labels, strict=False):
        ax.set_xlabel(label)
    return axes


def score_table(
    area: FigureBase,
    blocks: Sequence[Block],
    columns: Sequence[Column],
    colour: Callable[[Score], str],
    draw: Callable[[Axes, float, Score, str], None] = score_bar,
    **shared: Any,
) -> NDArray[Any]:
    """Draw a table of scores: blocks down, columns across, and in each row a bar with its interval and null.

    Args:
        area: the figure, or a part of it.
        blocks: the blocks, from top to bottom.
        columns: the columns, from left to right.
        colour: returns the colour of a score's bar.
        draw: draws a score in its row.
        shared: which axes are shared; `sharex="all"` gives all columns one scale.

    Returns:
        The panels [blocks, columns].
    """
    titles, labels = [column.title for column in columns], [column.label for column in columns]
    axes = row_panels(area, blocks, titles, labels, **shared)
    scores = [[score for cells in column.cells for score in cells.values()] for column in columns]
    if shared.get("sharex") == "all":
        scores = [[score for of_column in scores for score in of_column]] * len(columns)
    for column, panels, of_column in zip(columns, axes.T, scores, strict=True):
        for ax, block, cells in zip(panels, blocks, column.cells, strict=True):
            for place, key in enumerate(block.rows):
                if key in cells:
                    draw(ax, place, cells[key], colour(cells[key]))
            if not cells:
                not_recorded(ax)
        limit(panels[0], of_column, column.least)
    return axes


def beside_shuffled(
    scores: Mapping[str, Sequence[Score]], inputs: FigureInputs, title: str, *notes: str, most: int = 5
) -> Figure:
    """Return a figure of every score beside its null: a column a metric, a block an LLM, a row an encoder.

    Rows are in the order of the first metric.

    Args:
        scores: metric -> its scores, at least one.
        inputs: the names and colours of the models.
        title: the title, which the number of samples follows.
        notes: what to know besides how to read the marks.
        most: the most columns side by side; further metrics are in further tables below.
    """
    first = next(iter(scores.values()))
    sign = -1.0 if first[0].higher_is_better else 1.0
    order = sorted(first, key=lambda s: (s.value is None, sign * (s.value or 0.0), str(s.encoder)))
    llms = list(dict.fromkeys(str(s.llm) for s in first))
    blocks = llm_blocks({llm: [str(s.encoder) for s in order if s.llm == llm] for llm in llms}, inputs)
    tables = {metric: by_block(column, lambda s: str(s.llm)) for metric, column in scores.items()}
    columns = [Column(metric, [table.get(llm, {}) for llm in llms]) for metric, table in tables.items()]
    bands = rows_of(len(columns), most)
    wide = -(-len(columns) // bands)
    figure = new_figure(max(7.2, 2.0 + 2.6 * wide), 1.2 + bands * (0.3 + table_height(blocks)))
    for band, area in enumerate(figure.subfigures(bands, 1, squeeze=False).ravel()):
        score_table(area, blocks, columns[band * wide : (band + 1) * wide], inputs.colour)
    every = [score for column in scores.values() for score in column]
    entitle(figure, f"{title}{sample_note(every)}", reading_notes(every), *notes)
    return figure


def panel_grid(area: FigureBase, count: int, most: int, **shared: Any) -> list[Axes]:
    """Return `count` panels, at most `most` in a row; places that are left over stay blank."""
    columns = min(most, count)
    axes = area.subplots(rows_of(count, most), columns, squeeze=False, **shared).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return list(axes[:count])


def grid_figure(
    count: int,
    most: int,
    width: float,
    height: float,
    *,
    margins: tuple[float, float] = (0.0, 1.5),
    least: float = 6.0,
    **shared: Any,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, at most `most` in a row.

    Args:
        count: the number of panels.
        most: the most panels in a row.
        width: the width of a panel, in inches.
        height: the height of a panel, in inches.
        margins: the width and the height of everything around the panels.
        least: the least width of the figure, for its title.
        shared: which axes are shared, as `subplots` takes it.
    """
    rows, columns = rows_of(count, most), min(most, count)
    figure = new_figure(max(least, margins[0] + width * columns), margins[1] + height * rows)
    return figure, panel_grid(figure, count, most, **shared)


def rows_of(count: int, most: int) -> int:
    """Return how many rows `count` panels take with at most `most` in a row."""
    return -(-count // min(most, count)) if count else 0


def llm_blocks(orders: Mapping[str, Iterable[str]], inputs: FigureInputs) -> list[Block]:
    """Return a block for each LLM, with a row for each of its encoders."""
    return [
        Block(f"for {inputs.label(llm)}", {encoder: inputs.label(encoder) for encoder in encoders})
        for llm, encoders in orders.items()
    ]


def encoders_by_llm(scores: Iterable[Score], inputs: FigureInputs) -> dict[str, list[str]]:
    """Return LLM -> its encoders in the order of the run's selection."""
    encoders: dict[str, list[str]] = {}
    for score in scores:
        encoders.setdefault(str(score.llm), []).append(str(score.encoder))
    return {llm: inputs.ordered(names) for llm, names in encoders.items()}


def by_block(scores: Sequence[Score], block: Callable[[Score], Hashable]) -> dict[Any, dict[str, Score]]:
    """Return block -> encoder -> score."""
    blocks: dict[Any, dict[str, Score]] = {}
    for score in scores:
        blocks.setdefault(block(score), {})[str(score.encoder)] = score
    return blocks
