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

    Codes = NDArray[np.intp]

ROWS = 16_384  # in a chunk: about 800 of each cell, enough for a product at full speed


def side_cells(
    values: NDArray[Any], cell: Codes, codes: Codes | None = None, classes: int = 0, *, name: str = "x"
) -> SideCells:
    """Return the moments of one model's rows [n, d], given each row's cell and class [n], ROWS at a time.

    Raises:
        InputError: there is not one cell a row, or a value is not finite; it begins with the side's name.
        DegenerateError: see `SideCells.check`.
    """
    if len(values) != len(cell):
        raise InputError(f"cells: expected one for each of {len(values)} rows, got {len(cell)}")
    side = SideCells(as_matrix(values[:ROWS], name).mean(axis=0), classes)
    for rows in _chunks(len(cell)):
        with np.errstate(over="ignore", invalid="ignore"):  # which is refused below
            side.add(values[rows], Layout.of(cell[rows]), None if codes is None else codes[rows])
        if not np.isfinite(side.total).all():
            as_matrix(values[rows], name)  # says which value it is
    side.check(name)
    return side


def cross_cells(
    x: NDArray[Any], y: NDArray[Any], side_x: SideCells, side_y: SideCells, cell: Codes
) -> CrossCells:
    """Return the moments of pairs of rows of two models, of whose sides the moments are known."""
    cross = CrossCells(x.shape[1], y.shape[1])
    for rows in _chunks(len(cell)):
        layout = Layout.of(cell[rows])
        a, b = layout.shifted(x[rows], side_x.shift), layout.shifted(y[rows], side_y.shift)
        cross.add(a, b, layout.slices)
    return cross


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, n, ROWS))
