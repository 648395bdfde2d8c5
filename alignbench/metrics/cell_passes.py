"""One pass over the rows of one model, or of two, a chunk at a time, that adds them up in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.metrics.cells import CrossCells, Layout, SideCells
from alignbench.metrics.checks import as_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.intp]

ROWS = 16_384  # in a chunk: about 800 of each cell, enough for a product at full speed


def side_cells(values: NDArray[Any], cell: Codes, codes: Codes | None = None, classes: int = 0) -> SideCells:
    """Return the moments of one model's rows [n, d], given each row's cell and class [n], ROWS at a time.

    Raises:
        InputError: there is not one cell a row, or a value is not finite.
    """
    if len(values) != len(cell):
        raise InputError(f"cells: expected one for each of {len(values)} rows, got {len(cell)}")
    side = SideCells(as_matrix(values[:ROWS], "rows").mean(axis=0), classes)
    space = _space(side, len(cell))
    for rows in _chunks(len(cell)):
        layout = Layout.of(cell[rows])
        part = layout.rows(values[rows], side.shift, space)
        side.add(part, layout, None if codes is None else codes[rows])
        if not np.isfinite(side.total).all():
            as_matrix(values[rows], "rows")  # says which value it is
    return side


def cross_cells(
    x: NDArray[Any], y: NDArray[Any], side_x: SideCells, side_y: SideCells, cell: Codes
) -> CrossCells:
    """Return the moments of pairs of rows of two models, of whose sides the moments are known."""
    cross = CrossCells(x.shape[1], y.shape[1])
    spaces = _space(side_x, len(cell)), _space(side_y, len(cell))
    for rows in _chunks(len(cell)):
        layout = Layout.of(cell[rows])
        a, b = (
            layout.rows(values[rows], side.shift, space)
            for values, side, space in zip((x, y), (side_x, side_y), spaces, strict=True)
        )
        cross.add(a, b, layout)
    return cross


def _space(side: SideCells, n: int) -> Matrix:
    """Return room for the rows of a chunk, which the next one overwrites."""
    return np.empty((min(n, ROWS), len(side.shift)))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, n, ROWS))
