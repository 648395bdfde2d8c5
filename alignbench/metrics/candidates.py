"""The largest products of each row with others, found by the largest ones of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

_APART = 4  # groups for each product that is looked for: so few of these share a group
_ROOM = 2  # times as many products as are looked for are kept of a row at most


def kth_largest(products: Matrix, k: int) -> Vector:
    """Return the k-th largest product of each row [m], given all of them [m, n]."""
    if _too_few(products.shape[1], k):
        return np.partition(products, -k, axis=1)[:, -k]
    _, found, least = _largest(products, k)
    border: Vector = np.partition(found, -k, axis=1)[:, -k]
    crowded = np.isinf(least)
    if crowded.any():
        border[crowded] = np.partition(products[crowded], -k, axis=1)[:, -k]
    return border


@dataclass(frozen=True, slots=True)
class Candidates:
    """The largest products of each of n rows with others, in no order.

    Args:
        columns: these other rows [n, w].
        products: their products [n, w]; −∞ where a row has fewer.
        least: every other product of a row is below this [n]; ∞ where there may be larger ones.
    """

    columns: Indices
    products: Matrix
    least: Vector

    @classmethod
    def of(cls, products_of: Iterable[tuple[slice, Matrix]], n: int, count: int) -> Candidates | None:
        """Return at least the `count` largest products of each row with others; None if rows are too few.

        Args:
            products_of: some rows, and their products with all rows, which are overwritten [rows, n].
            n: the number of rows.
            count: how many products are needed.
        """
        if _too_few(n, count):
            return None
        found = []
        for rows, products in products_of:
            products[np.arange(len(products)), np.arange(rows.start, rows.stop)] = -np.inf
            found.append(_largest(products, count))
        return cls(*(np.concatenate(of_rows) for of_rows in zip(*found, strict=True)))

    def take(self, left: Indices) -> Candidates:
        """Return the candidates of these rows among them [m], by their numbers there."""
        place = np.full(len(self.least), -1)
        place[left] = np.arange(len(left))
        columns = place[self.columns[left]]
        products = np.where(columns < 0, -np.inf, self.products[left])
        return Candidates(np.maximum(columns, 0), products, self.least[left])


def _too_few(n: int, count: int) -> bool:
    return n <= max(FEW, 2 * _APART * count)


def _largest(products: Matrix, count: int) -> tuple[Indices, Matrix, Vector]:
    """Return `Candidates` of some rows, given all their products [m, n].

    If a product is at most as large as the `count`-th of the largest ones of groups, at least `count` are as
    large as that.
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
