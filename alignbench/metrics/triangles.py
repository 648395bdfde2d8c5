"""Products of columns without copies, and symmetric ones by their lower triangles, in half the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import unbuffered
from alignbench.metrics.products import product, travels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

TILE = 128  # rows and columns that are mirrored at once, so that they stay in the cache


def lower_product(x: Matrix, factor: float = 1.0) -> Matrix:
    """Return the lower triangle of a factor times XᵀX [d, d] of `x` [n, d], with zeros above it."""
    from scipy.linalg.blas import dsyrk

    if travels(x.T, x):
        return np.tril(factor * product(x.T, x))
    lower: Matrix = dsyrk(factor, x.T).T
    return lower


def add_products(total: Matrix, x: Matrix) -> None:
    """Add XᵀX to the lower triangle of `total` [d, d], without a copy; the upper one is not used."""
    from scipy.linalg.blas import dsyrk

    if travels(x.T, x):
        total += product(x.T, x)
    else:
        dsyrk(1.0, x.T, beta=1.0, c=total.T, overwrite_c=True)


def add_cross_products(total: Matrix, x: Matrix, y: Matrix) -> None:
    """Add XᵀY to `total` [dx, dy], without a copy."""
    from scipy.linalg.blas import dgemm

    if travels(x.T, y):
        total += product(x.T, y)
    else:
        dgemm(1.0, y.T, x.T, trans_b=True, beta=1.0, c=total.T, overwrite_c=True)


def without_outer(total: Matrix, a: Matrix, b: Matrix, c: Matrix, d: Matrix) -> Matrix:
    """Return `total` − abᵀ − cdᵀ [dx, dy]."""
    with unbuffered():
        result: Matrix = total - np.outer(a, b)
        result -= np.outer(c, d)
    return result


def add_square(total: Matrix, v: Matrix, factor: float) -> None:
    """Add a factor times vvᵀ to the lower triangle of `total` [d, d]; the upper one is not used."""
    from scipy.linalg.blas import dsyr

    dsyr(factor, v, a=total.T, overwrite_a=True)


def mirrored(lower: Matrix) -> Matrix:
    """Return the symmetric matrix with this lower triangle [d, d], in its place."""
    tiles = [slice(start, start + TILE) for start in range(0, len(lower), TILE)]
    for number, rows in enumerate(tiles):
        for columns in tiles[:number]:
            lower[columns, rows] = lower[rows, columns].T
        tile = lower[rows, rows]
        np.copyto(tile, tile.T.copy(), where=np.triu(np.ones(tile.shape, dtype=bool), 1))
    return lower


def square_sum(lower: Matrix) -> float:
    """Return ‖A‖² of the symmetric matrix with this lower triangle [d, d], which has zeros above it."""
    total, diagonal = float(np.vdot(lower, lower)), np.diagonal(lower)
    return total if np.isinf(total) else 2 * total - float(diagonal @ diagonal)
