"""The largest products of each row, found by the largest ones of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

_APART = 4  # groups for each product that is looked for: so few of these share a group
_ROOM = 2  # times as many products as are looked for are kept of a row at most


def kth_largest(products: Matrix, k: int) -> Vector:
    """Return the k-th largest product of each row [m], given all of them [m, n]."""
    if too_few_to_group(products.shape[1], k):
        return np.partition(products, -k, axis=1)[:, -k]
    _, found, least = largest(products, k)
    border: Vector = np.partition(found, -k, axis=1)[:, -k]
    crowded = np.isinf(least)
    if crowded.any():
        border[crowded] = np.partition(products[crowded], -k, axis=1)[:, -k]
    return border


def too_few_to_group(n: int, count: int) -> bool:
    """Return whether n products are too few to look for so many of them by groups."""
    return n <= max(FEW, 2 * _APART * count)


def largest(products: Matrix, count: int) -> tuple[Indices, Matrix, Vector]:
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
