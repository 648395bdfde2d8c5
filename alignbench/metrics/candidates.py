"""Nearest neighbours from the largest products of each row, of all rows or of those that are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.largest import largest, too_few_to_group
from alignbench.metrics.nearest import Neighbors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

_KEPT = 3  # times k products of a row are kept, so that k of them and their bounds outlast most deletions


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
    def of(cls, products_of: Iterable[tuple[slice, Matrix]], n: int, k: int) -> Candidates | None:
        """Return what the k nearest of n rows are looked for among; None if rows are too few.

        Args:
            products_of: some rows, and their products with all rows, which are overwritten [rows, n].
            n: the number of rows.
            k: the number of neighbours.
        """
        if too_few_to_group(n, _KEPT * k):
            return None
        found = []
        for rows, products in products_of:
            products[np.arange(len(products)), np.arange(rows.start, rows.stop)] = -np.inf
            found.append(largest(products, _KEPT * k))
        return cls(*(np.concatenate(of_rows) for of_rows in zip(*found, strict=True)))

    def take(self, left: Indices) -> Candidates:
        """Return the candidates of these rows among them [m], by their numbers there."""
        place = np.full(len(self.least), -1)
        place[left] = np.arange(len(left))
        columns = place[self.columns[left]]
        products = np.where(columns < 0, -np.inf, self.products[left])
        return Candidates(np.maximum(columns, 0), products, self.least[left])


def nearest_of_candidates(
    near: Candidates, reach: Vector, k: int, search: Callable[[Indices], Neighbors]
) -> Neighbors:
    """Return the k of n rows with the largest products with each row.

    Args:
        near: the largest products of each row.
        reach: what two products of a row may differ by, and yet be tied or in the wrong order [n].
        k: the number of neighbours.
        search: finds the neighbours of some rows, whose candidates do not settle which ones they are.
    """
    border = np.partition(near.products, -k, axis=1)[:, -k] - reach
    chosen = near.products >= border[:, None]
    settled = (border - reach > near.least) & (np.count_nonzero(chosen, axis=1) == k)
    rows, at = np.nonzero(chosen & settled[:, None])
    columns, products, weights = near.columns[rows, at], near.products[rows, at], np.ones(len(rows))
    rest = np.flatnonzero(~settled)
    if len(rest):
        more = search(rest)
        rows, columns = np.append(rows, more.rows), np.append(columns, more.columns)
        products, weights = np.append(products, more.products), np.append(weights, more.weights)
    order = np.argsort(rows * len(reach) + columns)
    return Neighbors(len(reach), rows[order], columns[order], weights[order], products[order])
