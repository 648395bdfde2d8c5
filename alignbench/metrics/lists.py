"""Nearest neighbours of some rows among very many, which are read a few at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.checks import as_matrix, check_range
from alignbench.metrics.nearest import angular_distances, directions, nearest_weights
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.distances import Points

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

PRODUCTS = 2**23  # numbers (64 MiB) in memory at once
LEAST_ROWS = 256  # that are read at once, however many queries there are
BESIDE = 500  # lists that are compared at once, so that they stay in the cache
SPARE = 22  # candidates beyond the k-th, among which rounding and ties decide


@dataclass(frozen=True, slots=True)
class Lists:
    """The k nearest neighbours of some of n rows.

    Args:
        columns: the neighbours of each of these rows, in no order [q, w].
        weights: to what degree each is one of the k nearest [q, w]; 0 is padding. Those of a row sum to k.
        k: the number of neighbours.
    """

    columns: Indices
    weights: Matrix
    k: int

    @property
    def parts(self) -> tuple[Lists]:
        """What holds memory of its own."""
        return (self,)

    @property
    def nbytes(self) -> int:
        """The memory of the lists."""
        return self.columns.nbytes + self.weights.nbytes

    def repaired(self, order: Indices, names: Indices) -> Lists:
        """Return the lists of other rows, with other numbers for all n rows.

        Args:
            order: which of these lists each row gets [q].
            names: the new number of each row [n].
        """
        return replace(self, columns=names[self.columns[order]], weights=self.weights[order])


def shared_neighbors(of_x: Lists, of_y: Lists) -> Vector:
    """Return which share of its nearest neighbours each row has in common on both sides [q]."""
    both = np.zeros(len(of_x.columns))
    for start in range(0, len(both), BESIDE):
        rows = slice(start, start + BESIDE)
        same = of_x.columns[rows, :, None] == of_y.columns[rows, None, :]
        if same.any():
            row, i, j = np.nonzero(same)
            degrees = of_x.weights[rows][row, i] * of_y.weights[rows][row, j]
            both[rows] = np.bincount(row, degrees, len(same))
    return both / of_x.k


def cosine_lists(x: ArrayLike, rows: Indices, queries: Indices, k: int, name: str = "x") -> Lists:
    """Return the k cosine neighbours after centring of some rows among all of `rows`, themselves excluded.

    It equals `cosine_neighbors` of `x[rows]` in the rows `queries`, but nothing of the size of x is held.

    Args:
        x: [m, d], which may be memory-mapped.
        rows: the n rows of x that there are.
        queries: positions in `rows` [q].
        k: the number of neighbours, below n − 1.
        name: the side, for messages.

    Raises:
        InputError: a value is not finite, or its square is beyond float64.
        DegenerateError: all rows are equal (up to rounding).
    """
    side = _Side.of(np.asarray(x), rows, name)
    columns, weights = np.zeros((len(queries), 0), dtype=np.intp), np.zeros((len(queries), 0))
    open_, kept = np.arange(len(queries)), k + SPARE
    while len(open_):  # rows with more ties than fit are looked at again, with longer lists
        kept = min(kept, len(rows) - 1)
        found, degrees, certain = _nearest(side, queries[open_], k, kept)
        certain |= kept == len(rows) - 1
        width = max(columns.shape[1], kept)
        columns = np.pad(columns, ((0, 0), (0, width - columns.shape[1])))
        weights = np.pad(weights, ((0, 0), (0, width - weights.shape[1])))
        columns[open_[certain], :kept], weights[open_[certain], :kept] = found[certain], degrees[certain]
        open_, kept = open_[~certain], 8 * kept
    order = np.argsort(-weights, axis=1, kind="stable")[:, : int(np.count_nonzero(weights, axis=1).max())]
    return Lists(np.take_along_axis(columns, order, axis=1), np.take_along_axis(weights, order, axis=1), k)


@dataclass(frozen=True, slots=True)
class _Side:
    """Rows with their mean, and the mean of their lengths."""

    x: NDArray[np.floating]
    rows: Indices
    mean: Vector
    length: float
    name: str

    @classmethod
    def of(cls, x: NDArray[np.floating], rows: Indices, name: str) -> _Side:
        total, length, low, high = np.zeros(x.shape[1]), 0.0, np.inf, -np.inf
        for _, values in _chunks(x, rows, name, PRODUCTS // x.shape[1]):
            check_range(values, name)
            total += values.sum(axis=0)
            length += float(np.sqrt(lengths(values)).sum())
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
        if not np.max(high - low) > 0:
            raise DegenerateError(f"{name}: zero variance, all {len(rows)} rows are equal")
        return cls(x, rows, total / len(rows), length / len(rows), name)

    def points(self, values: Matrix) -> Points:
        return directions(values, lengths(values), self.mean, typical=self.length)

    def take(self, positions: Indices) -> Points:
        return self.points(as_matrix(self.x[self.rows[positions]], self.name))


def _chunks(x: NDArray[np.floating], rows: Indices, name: str, size: int) -> Iterator[tuple[int, Matrix]]:
    """Yield rows of x in float64, a few at a time, and the position of the first of them."""
    step = max(LEAST_ROWS, size)
    for start in range(0, len(rows), step):
        yield start, as_matrix(x[rows[start : start + step]], name)


def _nearest(side: _Side, queries: Indices, k: int, kept: int) -> tuple[Indices, Matrix, NDArray[np.bool_]]:
    """Return neighbours [q, kept] with their weights, and whether no further row could be one."""
    columns, _ = _candidates(side, queries, kept)
    weights, certain = np.empty(columns.shape), np.empty(len(queries), dtype=bool)
    for number, (query, near) in enumerate(zip(queries, columns, strict=True)):
        distances, errors = angular_distances(side.take(np.array([query])), side.take(near))
        weights[number] = nearest_weights(distances, errors, k)[0] if kept > k else 1.0
        farthest = int(np.argmax(distances[0]))
        border = np.partition(distances[0], k - 1)[k - 1]
        certain[number] = distances[0, farthest] - border > 2 * (errors[0, farthest] + errors.max())
    return columns, weights, certain


def _candidates(side: _Side, queries: Indices, kept: int) -> tuple[Indices, Matrix]:
    """Return the rows with the largest cosines with each query, itself excluded, and these [q, kept]."""
    own = side.take(queries).centered
    columns, products = np.zeros((len(queries), 0), dtype=np.intp), np.zeros((len(queries), 0))
    for start, values in _chunks(side.x, side.rows, side.name, PRODUCTS // len(queries)):
        further = own @ side.points(values).centered.T
        inside = np.flatnonzero((queries >= start) & (queries < start + len(values)))
        further[inside, queries[inside] - start] = -np.inf
        products = np.concatenate([products, further], axis=1)
        numbers = np.broadcast_to(np.arange(start, start + len(values)), further.shape)
        columns = np.concatenate([columns, numbers], axis=1)
        if products.shape[1] > kept:
            best = np.argpartition(products, -kept, axis=1)[:, -kept:]
            columns = np.take_along_axis(columns, best, axis=1)
            products = np.take_along_axis(products, best, axis=1)
    return columns, products
