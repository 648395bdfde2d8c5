"""Trustworthiness and continuity: whether neighbours in a picture are neighbours in the space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

NEIGHBORS = 5


def neighbors_for(n: int) -> int:
    """Return how many neighbours count: 5, or fewer if the normalisation requires it (k < n / 2)."""
    return min(NEIGHBORS, (n - 1) // 2)


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """The neighbours of every row: `order` [n, n] from near to far, itself first, and its inverse `ranks`.

    `ranks[i, j]` is 1 if j is the nearest to i. Of two rows at equal distance the earlier counts as nearer.
    """

    order: Indices
    ranks: Indices

    @classmethod
    def of(cls, x: Matrix) -> Neighborhood:
        """Return the neighbourhood by Euclidean distance of the rows of `x` [n, d]."""
        from scipy.spatial.distance import cdist  # by differences, so that equal rows are at exactly 0

        distances = cdist(x, x, "sqeuclidean")
        np.fill_diagonal(distances, -1.0)
        order = np.argsort(distances, axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(len(x))[None, :], axis=1)
        return cls(order, ranks)

    def permuted(self, p: Indices) -> Neighborhood:
        """Return the neighbourhood of x[p]."""
        return Neighborhood(np.argsort(p)[self.order[p]], self.ranks[p][:, p])


def preserved(ranks: Indices, neighbors: Indices) -> Matrix:
    r"""Return for each sample how near its k neighbours in one space are in the other, [n] from 0 to 1.

    $1 - \frac{2}{k(2n-3k-1)} \sum_{j \in N_k(i)} \max(0, r(i, j) - k)$: 1 if all of them are among the k
    nearest in the other space, 0 if they are the k farthest.

    Args:
        ranks: r(i, j) in the other space [n, n].
        neighbors: N_k(i) in the one space [n, k], k < n / 2.
    """
    n, k = neighbors.shape
    beyond = np.maximum(np.take_along_axis(ranks, neighbors, axis=1) - k, 0).sum(axis=1)
    result: Matrix = 1.0 - 2.0 / (k * (2 * n - 3 * k - 1)) * beyond
    return result


def trustworthiness_of(space: Neighborhood, layout: Neighborhood, k: int) -> Matrix:
    """Return each sample's trustworthiness: are its neighbours in the layout its neighbours in the space?

    Source:
        Venna and Kaski (2001), ICANN, for both measures.
    """
    return preserved(space.ranks, layout.order[:, 1 : k + 1])


def continuity_of(space: Neighborhood, layout: Neighborhood, k: int) -> Matrix:
    """Return each sample's continuity: are its neighbours in the space its neighbours in the layout?"""
    return preserved(layout.ranks, space.order[:, 1 : k + 1])


MEASURES: dict[str, Callable[[Neighborhood, Neighborhood, int], Matrix]] = {
    "trustworthiness": trustworthiness_of,
    "continuity": continuity_of,
}


def chance(n: int, k: int) -> float:
    r"""Return the expected value of both measures for a random layout, about one half.

    $1 - \frac{(n-1-k)(n-k)}{(n-1)(2n-3k-1)}$, since the k neighbours are then any k of the n−1 others.
    """
    return 1.0 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))
