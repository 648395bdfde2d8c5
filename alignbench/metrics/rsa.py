"""Representational similarity analysis: do both sides order the pairs of samples alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded
from alignbench.metrics.kernels import INVARIANCES, centered_sides, squared_distances
from alignbench.metrics.nulls import matched_products, within_class_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

TIE = 1e-11  # squared distances closer than this share of the largest are tied: rounding must not order them


def average_ranks(values: Matrix, tolerance: float = 0.0) -> Matrix:
    """Return the ranks 1 … m of `values` [m]; those at most `tolerance` apart share their mean rank."""
    order = np.argsort(values, kind="stable")
    starts = np.concatenate(([True], np.diff(values[order]) > tolerance))
    tie = np.cumsum(starts) - 1
    counts = np.bincount(tie)
    last = np.cumsum(counts)
    ranks = np.empty(len(values))
    ranks[order] = (last - (counts - 1) / 2)[tie]
    return ranks


def _rank_matrix(x: Matrix, name: str) -> Matrix:
    """Return the centred ranks of all distances as a symmetric matrix of unit norm with zero diagonal."""
    upper = np.triu_indices(len(x), 1)
    distances = squared_distances(x)[upper]
    ranks = average_ranks(distances, TIE * float(distances.max()))
    ranks -= ranks.mean()
    norm = float(np.linalg.norm(ranks))
    if norm == 0:
        raise DegenerateError(f"rsa: {name}'s distances are all equal, so they have no order to compare")
    matrix = np.zeros((len(x), len(x)))
    matrix[upper] = ranks / (norm * np.sqrt(2))
    return matrix + matrix.T


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = centered_sides(x, y, 4)
    return _rank_matrix(a, "x"), _rank_matrix(b, "y")


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    return matched_products(*_sides(x, y), permutations)


def _within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    return within_class_mean(*_sides(x, y), codes)


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
    null=NullModel(draw=_draw, exact=_null, within_mean=_within_mean, draws=199, max_groups=500),
    squares=6,
)
def rsa(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the Spearman correlation of the two sides' pairwise Euclidean distances.

    Over the upper triangle; tied distances share their mean rank. Only the order of the distances counts.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].

    Returns:
        A value in [−1, 1]; 0 on average over all re-pairings.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side whose distances are all equal, or fewer than 4 rows.

    Source:
        Kriegeskorte, Mur, Bandettini (2008), Frontiers in Systems Neuroscience 2:4.
    """
    return bounded(float(np.vdot(*_sides(x, y))), (-1, 1), "rsa")
