"""Representational similarity analysis: whether both sides order the pairs of samples alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW, products_of_rows
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import Points, rounding_of, to_squared_distances
from alignbench.metrics.kernels import GRAM_LIMIT, INVARIANCES
from alignbench.metrics.nulls import matched_products, within_class_mean
from alignbench.metrics.permuted import ProductMoments, kernel_product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]


def average_ranks(values: Matrix, errors: Matrix | None = None) -> Matrix:
    """Return the ranks 1 … m of `values` [m]; values that can't be distinguished share their mean rank.

    Args:
        values: [m].
        errors: the largest rounding error of each value [m]: two successive values whose difference is within
            the sum of both errors are tied. By default, 0.
    """
    runs, counts = _runs(values, errors)
    return _mean_ranks(counts)[runs]


def _runs(values: Matrix, errors: Matrix | None) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return which run of tied values, in order, each value is in [m], and the sizes of all runs."""
    order = np.argsort(values)
    gaps = np.diff(values[order])
    near = np.flatnonzero(gaps <= (0.0 if errors is None else 2 * errors.max()))
    if errors is not None:
        near = near[gaps[near] <= errors[order[near]] + errors[order[near + 1]]]
    del gaps
    starts = np.ones(len(values), dtype=bool)
    starts[near + 1] = False
    runs = np.empty(len(values), dtype=np.int32)
    runs[order] = np.cumsum(starts, dtype=np.int32) - 1
    return runs, np.diff(np.flatnonzero(starts), append=len(values))


def _mean_ranks(counts: NDArray[np.intp]) -> Matrix:
    """Return the mean rank of each run of tied values, given their sizes."""
    ranks: Matrix = np.cumsum(counts) - counts + (counts + 1) / 2
    return ranks


def _upper_distances(points: Points) -> tuple[Matrix, Matrix]:
    """Return the squared distances row by row of the upper triangle, and the rounding error of each."""
    n = len(points.sizes)
    squared, errors = np.empty(n * (n - 1) // 2), np.empty(n * (n - 1) // 2)
    filled = 0
    for rows, products in products_of_rows(points.centered):
        some, others = points.take(rows), points.take(slice(rows.start, None))
        block = products[:, rows.start :]
        to_squared_distances(block, some, others, 0)
        rounding = rounding_of(block, some, others)
        for number in range(len(block)):
            end = filled + block.shape[1] - number - 1
            squared[filled:end] = block[number, number + 1 :]
            errors[filled:end] = rounding[number, number + 1 :]
            filled = end
    return squared, errors


@dataclass(frozen=True, slots=True)
class _Order:
    """The order of all distances of a side.

    Args:
        runs: which run of tied distances each distance is in, row by row of the upper triangle [m].
        counts: the size of each run.
    """

    runs: NDArray[np.int32]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, x: Matrix, name: str) -> _Order:
        return derived(
            "order of distances", x, lambda: cls(*_runs(*_upper_distances(Points.where_they_are(x, name))))
        )

    def ranks(self, name: str) -> tuple[Matrix, float]:
        """Return the centred ranks of all distances [m], and their norm."""
        ranks = _mean_ranks(self.counts)[self.runs]
        ranks -= ranks.mean()
        return ranks, _norm(float(np.linalg.norm(ranks)), name)

    def without(self, gone: NDArray[np.bool_], left: NDArray[np.bool_], name: str) -> tuple[Matrix, float]:
        """Return the centred ranks of the distances that are left, among these, and their norm.

        Args:
            gone: whether a distance is left out [m].
            left: the opposite [m].
            name: the side, for messages.
        """
        counts = self.counts - np.bincount(self.runs[gone], minlength=len(self.counts))
        ranks = _mean_ranks(counts) - (int(counts.sum()) + 1) / 2
        norm = _norm(float(np.sqrt(counts @ np.square(ranks))), name)
        return ranks[self.runs[left]], norm


def _norm(norm: float, name: str) -> float:
    if norm == 0:
        raise DegenerateError(f"rsa: {name}'s distances are all equal, so they have no order to compare")
    return norm


def _rank_matrix(x: Matrix, name: str) -> Matrix:
    """Return the centred ranks of all distances as a symmetric matrix of unit norm with zero diagonal."""
    return derived("rank matrix", x, lambda: _new_rank_matrix(x, name))


def _new_rank_matrix(x: Matrix, name: str) -> Matrix:
    ranks, norm = _Order.of(x, name).ranks(name)
    matrix = np.zeros((len(x), len(x)))
    matrix[np.triu_indices(len(x), 1)] = ranks / (norm * np.sqrt(2))
    return matrix + matrix.T


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = pair_to_center(x, y, 4)
    return _rank_matrix(a, "x"), _rank_matrix(b, "y")


def _correlation(x: ArrayLike, y: ArrayLike) -> float:
    a, b = pair_to_center(x, y, 4)
    if len(a) <= GRAM_LIMIT:
        return float(np.vdot(*_sides(a, b)))
    (of_x, norm_x), (of_y, norm_y) = _Order.of(a, "x").ranks("x"), _Order.of(b, "y").ranks("y")
    return float(of_x @ of_y) / (norm_x * norm_y)


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    return matched_products(*_sides(x, y), permutations)


def _within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    return within_class_mean(*_sides(x, y), codes)


def _moments(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp] | None) -> ProductMoments:
    return kernel_product(_sides(x, y), codes, scale=1.0)


def _deletions(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> Matrix | None:
    """Return the values without each block, whose distances keep their order; None for FEW rows.

    Distances that are tied among all rows stay tied.
    """
    if len(x) <= FEW:
        return None
    of_x, of_y = _Order.of(x, "x"), _Order.of(y, "y")
    values = np.empty(len(blocks))
    for number, block in enumerate(blocks):
        kept = np.ones(len(x), dtype=bool)
        kept[block] = False
        left = np.concatenate([kept[row + 1 :] & kept[row] for row in range(len(x))])
        gone = ~left
        (ranks_x, norm_x), (ranks_y, norm_y) = of_x.without(gone, left, "x"), of_y.without(gone, left, "y")
        values[number] = bounded(float(ranks_x @ ranks_y) / (norm_x * norm_y), (-1, 1), "rsa")
    return values


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
    deletions=_deletions,
    squares=7,
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
    return bounded(_correlation(x, y), (-1, 1), "rsa")
