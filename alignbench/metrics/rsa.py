"""Representational similarity analysis: whether both sides order the pairs of samples alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW, row_blocks
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import Points, rounding_of, to_squared_distances
from alignbench.metrics.kernels import GRAM_LIMIT, INVARIANCES
from alignbench.metrics.nulls import matched_products, within_class_mean
from alignbench.metrics.orders import Order
from alignbench.metrics.permuted import ProductMoments, kernel_product
from alignbench.metrics.sums import products_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


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


def _order(x: Matrix, name: str) -> Order:
    """Return the order of all distances, row by row of the upper triangle."""
    return derived(
        "order of distances", x, lambda: Order.of(*_upper_distances(Points.where_they_are(x, name)))
    )


def _centered_ranks(x: Matrix, name: str) -> tuple[Matrix, float]:
    """Return the centred ranks of all distances [m], and their norm."""
    ranks = _order(x, name).ranks()
    ranks -= ranks.mean()
    return ranks, _norm(float(np.linalg.norm(ranks)), name)


def _norm(norm: float, name: str) -> float:
    if norm == 0:
        raise DegenerateError(f"rsa: {name}'s distances are all equal, so they have no order to compare")
    return norm


def _rank_matrix(x: Matrix, name: str) -> Matrix:
    """Return the centred ranks of all distances as a symmetric matrix of unit norm with zero diagonal."""
    return derived("rank matrix", x, lambda: _new_rank_matrix(x, name))


def _new_rank_matrix(x: Matrix, name: str) -> Matrix:
    ranks, norm = _centered_ranks(x, name)
    ranks /= norm * np.sqrt(2)
    n, filled = len(x), 0
    matrix = np.zeros((n, n))
    for row in range(n):
        matrix[row, row + 1 :] = ranks[filled : filled + n - row - 1]
        filled += n - row - 1
    for rows in row_blocks(n, n):
        matrix[rows, rows] += matrix[rows, rows].T
        matrix[rows.stop :, rows] = matrix[rows, rows.stop :].T
    return matrix


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = pair_to_center(x, y, 4)
    return _rank_matrix(a, "x"), _rank_matrix(b, "y")


def _correlation(x: ArrayLike, y: ArrayLike) -> float:
    a, b = pair_to_center(x, y, 4)
    if len(a) <= GRAM_LIMIT:
        return float(np.vdot(*_sides(a, b)))
    (of_x, norm_x), (of_y, norm_y) = _centered_ranks(a, "x"), _centered_ranks(b, "y")
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
    of_x, of_y = _order(x, "x"), _order(y, "y")
    place_x, place_y = of_x.places(), of_y.places()
    partner = place_y[of_x.order].astype(np.intp)  # the place in y's order of what is at each place of x's
    values = np.empty(len(blocks))
    for number, block in enumerate(blocks):
        kept = np.ones(len(x), dtype=bool)
        kept[block] = False
        gone = np.flatnonzero(np.concatenate([~(kept[row + 1 :] & kept[row]) for row in range(len(x))]))
        ranks_x, ranks_y = _ranks_left(of_x, place_x[gone]), _ranks_left(of_y, place_y[gone])
        xy, xx, yy = np.sum(
            [
                (a @ b, a @ a, b @ b)
                for some in row_blocks(len(partner), 1)
                for a, b in [(ranks_x[some].astype(np.float64), ranks_y[partner[some]].astype(np.float64))]
            ],
            axis=0,
        )
        values[number] = bounded(xy / (_norm(xx**0.5, "x") * _norm(yy**0.5, "y")), (-1, 1), "rsa")
    return values


def _ranks_left(of: Order, gone: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return twice the centred ranks of the distances that are left, and 0 for others, by place [m]."""
    left = np.ones(len(of.order), dtype=bool)
    left[gone] = False
    return of.centered(left)


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
