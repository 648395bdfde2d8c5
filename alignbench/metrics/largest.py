"""The largest values of each row, and the median of many values, without a partition of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW, unbuffered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

GROUP = 8  # columns of which only the largest value is looked at first
FEWEST_GROUPS = 4  # times k; with fewer groups, too many values would be above the k-th of their maxima
SAMPLE = 4096  # of very many values, those that tell where the median is
MARGIN = 128  # places in the sample, four times the standard deviation of the median's place
_APART = 4  # groups for each product that is looked for: so few of these share a group
_ROOM = 2  # times as many products as are looked for are kept of a row at most


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


def too_few_to_group(n: int, count: int) -> bool:
    """Return whether n products are too few to look for so many of them by groups."""
    return n <= max(FEW, 2 * _APART * count)


def largest(products: Matrix, count: int) -> tuple[Indices, Matrix, Matrix]:
    """Return at least the `count` largest products of each row, given all of them [m, n].

    If a product is at most as large as the `count`-th of the largest ones of groups, at least `count` are as
    large as that.

    Returns:
        Their columns [m, w], the products, −∞ where a row has fewer [m, w], and what every other product of
        a row is below, ∞ if w places were too few [m].
    """
    (m, n), groups, width = products.shape, _APART * count, _ROOM * count
    of_groups = products[:, : n - n % groups].reshape(m, -1, groups).max(axis=1)
    least = np.partition(of_groups, -count, axis=1)[:, -count]
    places = np.flatnonzero(products >= least[:, None])
    rows, columns = np.divmod(places, n)
    counts = np.bincount(rows, minlength=m)
    at = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    fit = at < width
    where = rows[fit], at[fit]
    kept, found = np.zeros((m, width), dtype=np.intp), np.full((m, width), -np.inf)
    kept[where], found[where] = columns[fit], products.ravel()[places[fit]]
    return kept, found, np.where(counts <= width, least, np.inf)
