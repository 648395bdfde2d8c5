"""The k-th largest value of each row of a matrix, without a partition of whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import unbuffered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

GROUP = 8  # columns of which only the largest value is looked at first
FEWEST_GROUPS = 4  # times k; with fewer groups, too many values would be above the k-th of their maxima


def kth_largest(values: Matrix, k: int) -> Matrix:
    """Return the k-th largest value of each row [m] of `values` [m, n].

    The k-th largest of the maxima of some groups of columns is no larger, and few values are above it.
    """
    m, n = values.shape
    groups = n // GROUP
    if groups < FEWEST_GROUPS * k:
        return _by_partition(values, k)
    least = _by_partition(values[:, : groups * GROUP].reshape(m, GROUP, groups).max(axis=1), k)
    with unbuffered():
        above = values >= least[:, None]
    counts = np.count_nonzero(above, axis=1)
    left: Matrix = np.full((m, counts.max()), -np.inf)
    left[np.arange(left.shape[1]) < counts[:, None]] = values.ravel()[np.flatnonzero(above)]
    return _by_partition(left, k)


def _by_partition(values: Matrix, k: int) -> Matrix:
    place = values.shape[1] - k
    result: Matrix = np.partition(values, place, axis=1)[:, place]
    return result
