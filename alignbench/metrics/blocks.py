"""Matrices of all rows with all rows, a few rows at a time: so that they stay in the cache or fit memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.metrics.products import product

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

FEW = 300  # up to this many rows, the form of a product makes no difference in time
CACHED = 100_000  # numbers that are worked on at once
WHOLE = 2**25  # numbers (256 MiB) of products that are computed at once, which takes half the operations


def row_blocks(m: int, n: int) -> Iterator[slice]:
    """Yield the rows of a matrix [m, n], a few at a time."""
    step = max(1, CACHED // n)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))


def products_of_rows(x: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Yield some rows of x [n, d], and their products with all rows [rows, n], which may be overwritten.

    Up to `WHOLE` products, they come from one symmetric product; beyond that, no more are in memory at once.
    """
    n = len(x)
    step = max(1, WHOLE // n)
    for start in range(0, n, step):
        # Of all rows, this is the product of a matrix with its own transpose.
        products: Matrix = product(x[start : start + step], x.T)
        for rows in row_blocks(len(products), n):
            yield slice(start + rows.start, start + rows.stop), products[rows]
