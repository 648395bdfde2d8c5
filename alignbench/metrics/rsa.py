"""Representational similarity analysis: whether both sides order the pairs of samples alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, check_pair
from alignbench.metrics.distances import Points, rounding_of, squared_distances
from alignbench.metrics.kernels import INVARIANCES
from alignbench.metrics.nulls import matched_products, within_class_mean
from alignbench.metrics.permuted import ProductMoments, kernel_product

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]


def average_ranks(values: Matrix, errors: Matrix | None = None) -> Matrix:
    """Return the ranks 1 … m of `values` [m]; values that can't be distinguished share their mean rank.

    Args:
        values: [m].
        errors: the largest rounding error of each value [m]: two successive values whose difference is within
            the sum of both errors are tied. By default, 0.
    """
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    reach = 0.0 if errors is None else errors[order][1:] + errors[order][:-1]
    starts = np.concatenate(([True], gaps > reach))
    tie = np.cumsum(starts) - 1
    counts = np.bincount(tie)
    last = np.cumsum(counts)
    ranks = np.empty(len(values))
    ranks[order] = (last - (counts - 1) / 2)[tie]
    return ranks


def _rank_matrix(x: Matrix, name: str) -> Matrix:
    """Return the centred ranks of all distances as a symmetric matrix of unit norm with zero diagonal."""
    upper = np.triu_indices(len(x), 1)
    points = Points.of(x, name)
    squared = squared_distances(points)
    ranks = average_ranks(squared[upper], rounding_of(squared, points)[upper])
    ranks -= ranks.mean()
    norm = float(np.linalg.norm(ranks))
    if norm == 0:
        raise DegenerateError(f"rsa: {name}'s distances are all equal, so they have no order to compare")
    matrix = np.zeros((len(x), len(x)))
    matrix[upper] = ranks / (norm * np.sqrt(2))
    return matrix + matrix.T


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = check_pair(x, y, 4)
    return _rank_matrix(a, "x"), _rank_matrix(b, "y")


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    return matched_products(*_sides(x, y), permutations)


def _within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    return within_class_mean(*_sides(x, y), codes)


def _moments(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp] | None) -> ProductMoments:
    return kernel_product(_sides(x, y), codes, scale=1.0)


def _null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return the exact mean, 0: centred ranks sum to zero over all pairs."""
    return 0.0, float("nan")


@METRICS.register(
    "rsa",
    family="shape",
    pairing=True,
    bounds=(-1, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=INVARIANCES,
    min_n=4,
    null=NullModel(
        draw=_draw, exact=_null, within_mean=_within_mean, moments=_moments, draws=199, max_groups=500
    ),
    squares=8.5,
)
def rsa(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the Spearman correlation of the two sides' pairwise Euclidean distances.

    It is taken over the upper triangle; tied distances share their mean rank. Only the order of distances
    counts.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].

    Returns:
        A value in [−1, 1]; 0 on average over all re-pairings.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: the distances of a side are all equal, or there are fewer than 4 rows.

    Source:
        Kriegeskorte, Mur, Bandettini (2008), Frontiers in Systems Neuroscience 2:4.
    """
    return bounded(float(np.vdot(*_sides(x, y))), (-1, 1), "rsa")
