"""The k-th largest value of each row, and the median of many values, without a partition of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import unbuffered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

GROUP = 8  # columns of which only the largest value is looked at first
FEWEST_GROUPS = 4  # times k; with fewer groups, too many values would be above the k-th of their maxima
SAMPLE = 4096  # of very many values, those that tell where the median is
MARGIN = 128  # places in the sample, four times the standard deviation of the median's place


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


def median_of(values: Matrix) -> float:
    """Return the median of one or more values [n]; numpy's selects both middle ones, which takes longer."""
    half = len(values) // 2
    around, below = _around(values, half)
    parted = np.partition(around, half - below)
    upper = float(parted[half - below])
    return upper if len(values) % 2 else (float(parted[: half - below].max()) + upper) / 2


def _around(values: Matrix, place: int) -> tuple[Matrix, int]:
    """Return some values, and how many are smaller, so that those at `place` and before it are among them."""
    if len(values) < 16 * SAMPLE:
        return values, 0
    sample = np.sort(values[:: len(values) // SAMPLE])
    low, high = sample[len(sample) // 2 - MARGIN], sample[len(sample) // 2 + MARGIN]
    below = int(np.count_nonzero(values < low))
    around = values[(values >= low) & (values <= high)]
    return (around, below) if below < place < below + len(around) else (values, 0)
