"""The influence of each row on debiased CKA: all values without one row, in one pass over two matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.cka_debiased import debiased_cka
from alignbench.metrics.kernels import centered_sides

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

CANCELLATION = 1e-9


def debiased_cka_without(x: ArrayLike, y: ArrayLike) -> Vector:
    r"""Return debiased CKA without row i, for every i: [n].

    With zeroed diagonals $\tilde K, \tilde L$ and their row sums k, l, $\mathrm{HSIC}_1 \propto \sum \tilde K
    \circ \tilde L + \frac{\sum k \sum l}{(n-1)(n-2)} - \frac{2}{n-2} k^\top l$, and leaving out row i changes
    each sum by terms of that row, so that all rows take n² operations.

    Args:
        x: vision side [n, dx], n ≥ 5.
        y: text side [n, dy].

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: the value does not exist without some row, or there are fewer than 5 rows.

    Source:
        Song et al. (2012), JMLR 13, equation 5; the deletions are ours.
    """
    a, b = centered_sides(x, y, 5)
    k, m = _hollow(a), _hollow(b)
    both, of_x, of_y = _hsic_without(k, m), _hsic_without(k, k), _hsic_without(m, m)
    rough = (of_x <= CANCELLATION * np.square(k).sum()) | (of_y <= CANCELLATION * np.square(m).sum())
    values: Vector = both / np.sqrt(np.where(rough, 1.0, of_x * of_y))
    for row in np.flatnonzero(rough):
        values[row] = debiased_cka(np.delete(a, row, axis=0), np.delete(b, row, axis=0))
    if not np.isfinite(values).all():
        raise DegenerateError("debiased_cka: it does not exist without some row")
    return np.clip(values, -1.0, 1.0)


def _hollow(side: Matrix) -> Matrix:
    kernel: Matrix = side @ side.T
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic_without(k: Matrix, m: Matrix) -> Vector:
    """Return Song's estimate without each row, times n(n − 3), where n counts the remaining rows."""
    n = len(k) - 1
    rows_k, rows_m = k.sum(axis=0), m.sum(axis=0)
    together = (k * m).sum(axis=0)
    sums = (rows_k.sum() - 2 * rows_k) * (rows_m.sum() - 2 * rows_m)
    product = rows_k @ rows_m - rows_k * rows_m - m @ rows_k - k @ rows_m + together
    result: Vector = together.sum() - 2 * together + sums / ((n - 1) * (n - 2)) - 2 / (n - 2) * product
    return result
