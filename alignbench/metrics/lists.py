"""Nearest neighbours of some rows among very many, which are read a few at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.checks import as_matrix, check_range
from alignbench.metrics.distances import Points, unit_rounding
from alignbench.metrics.nearest import TIED, angular_distances, directions, nearest_weights
from alignbench.metrics.products import product
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

PRODUCTS = 2**23  # numbers (64 MiB) in memory at once
LEAST_ROWS = 256  # that are read at once, however many queries there are
MOST_QUERIES = 10_000  # that are compared with all rows in one pass
SPARE = 22  # candidates beyond the k-th, among which rounding and ties decide


@dataclass(frozen=True, slots=True)
class Lists:
    """The k nearest neighbours of some of n rows.

    Args:
        of: the number of each of these rows, ascending [q].
        columns: the neighbours of each of them, in no order [q, w].
        weights: to what degree each is one of the k nearest [q, w]; 0 is padding. Those of a row sum to k.
        products: the products with each neighbour of the rows as they were compared [q, w].
        ordered: the k neighbours, nearest first, or `TIED` where it depends on rounding which it is [q, k].
    """

    of: Indices
    columns: Indices
    weights: Matrix
    products: Matrix
    ordered: Indices

    @property
    def k(self) -> int:
        """The number of neighbours."""
        return int(self.ordered.shape[1])

    @property
    def neighbours(self) -> Indices:
        """All rows that are a neighbour of one of these, ascending [m]."""
        return np.unique(self.columns[self.weights > 0])

    def take(self, places: Indices) -> Lists:
        """Return the lists at these places."""
        return Lists(
            self.of[places],
            self.columns[places],
            self.weights[places],
            self.products[places],
            self.ordered[places],
        )

    def joined(self, other: Lists) -> Lists:
        """Return the lists of both, which have no row in common."""
        order = np.argsort(np.concatenate([self.of, other.of]), kind="stable")
        width = max(self.columns.shape[1], other.columns.shape[1])

        def both(of: Callable[[Lists], NDArray[Any]]) -> NDArray[Any]:
            parts = [_widened(of(lists), width) for lists in (self, other)]
            return np.concatenate(parts)[order]

        return Lists(
            np.concatenate([self.of, other.of])[order],
            both(lambda lists: lists.columns),
            both(lambda lists: lists.weights),
            both(lambda lists: lists.products),
            np.concatenate([self.ordered, other.ordered])[order],
        )

    def repaired(self, partner: Indices, rows: Indices | None = None) -> Lists:
        """Return the lists of some rows after re-pairing, given those of the rows that take their places.

        Args:
            partner: which row takes the place of each of the n rows [n].
            rows: the rows, ascending; by default, those whose lists these are.
        """
        of = self.of if rows is None else rows
        names = np.empty_like(partner)
        names[partner] = np.arange(len(partner))
        moved = self.take(np.searchsorted(self.of, partner[of]))
        ordered = np.where(moved.ordered == TIED, TIED, names[moved.ordered])
        return replace(moved, of=of, columns=names[moved.columns], ordered=ordered)

    def entries(self, n: int, values: Matrix) -> Entries:
        """Return values of these neighbours [q, w], to be looked up by row and column, of n rows."""
        real = self.weights > 0
        places = (self.of[:, None] * n + self.columns)[real]
        order = np.argsort(places)
        return Entries(n, places[order], values[real][order])


@dataclass(frozen=True, slots=True)
class Entries:
    """Some entries of an n x n matrix, whose other entries are 0: their places, ascending, and values [m]."""

    n: int
    places: Indices
    values: Vector

    def at(self, rows: Indices, columns: Indices) -> Matrix:
        """Return the entries at these rows and columns."""
        wanted = rows * self.n + columns
        found = np.minimum(np.searchsorted(self.places, wanted), len(self.places) - 1)
        return np.where(self.places[found] == wanted, self.values[found], 0.0)


@dataclass(frozen=True, slots=True)
class Rows(ABC):
    """Rows that are compared, of which some are in memory.

    Args:
        x: [m, d], which may be memory-mapped.
        rows: the n rows of x that there are, ascending.
        name: the side, for messages.
    """

    x: NDArray[np.floating]
    rows: Indices
    name: str

    @classmethod
    @abstractmethod
    def of(cls, x: NDArray[np.floating], rows: Indices, name: str = "x") -> Self:
        """Return these rows of x, checked in one pass over them.

        Raises:
            InputError: a value is not finite, or its square is beyond float64.
            DegenerateError: all rows are equal (up to rounding).
        """

    @abstractmethod
    def points(self, values: Matrix) -> Points:
        """Return rows of x as they are compared, given their values [m, d]."""

    @abstractmethod
    def distances(self, a: Points, b: Points) -> tuple[Matrix, Matrix]:
        """Return the distances of all rows of `a` and `b`, and their rounding errors."""

    def take(self, rows: Indices) -> Points:
        """Return these rows of x as they are compared."""
        return self.points(as_matrix(self.x[rows], self.name))


@dataclass(frozen=True, slots=True)
class Directions(Rows):
    """Rows that are compared by their cosines after centring.

    Args:
        mean: the mean of the n rows [d].
        length: the mean of their lengths.
    """

    mean: Vector
    length: float

    @classmethod
    def of(cls, x: NDArray[np.floating], rows: Indices, name: str = "x") -> Self:
        """Return these rows with their mean; see `Rows.of`."""
        total, length = np.zeros(x.shape[1]), 0.0
        for values in _checked(x, rows, name):
            total += values.sum(axis=0)
            length += float(np.sqrt(lengths(values)).sum())
        return cls(x, rows, name, total / len(rows), length / len(rows))

    def points(self, values: Matrix) -> Points:
        """Return the directions of these rows."""
        return directions(values, lengths(values), self.mean, typical=self.length)

    def distances(self, a: Points, b: Points) -> tuple[Matrix, Matrix]:
        """Return 2 − 2·cosine and its rounding error."""
        return angular_distances(a, b)


@dataclass(frozen=True, slots=True)
class Products(Rows):
    """Rows that are compared by their products, as they are."""

    @classmethod
    def of(cls, x: NDArray[np.floating], rows: Indices, name: str = "x") -> Self:
        """Return these rows; see `Rows.of`."""
        for _ in _checked(x, rows, name):
            pass
        return cls(x, rows, name)

    def points(self, values: Matrix) -> Points:
        """Return these rows."""
        return Points(values, values, np.zeros(len(values)), lengths(values), 1.0)

    def distances(self, a: Points, b: Points) -> tuple[Matrix, Matrix]:
        """Return the negative products and their rounding errors."""
        sizes = np.outer(np.sqrt(a.sizes), np.sqrt(b.sizes))
        return -product(a.centered, b.centered.T), unit_rounding(a.centered.shape[1]) * sizes


class Known:
    """Lists of rows of one side, each of which is searched when it is first asked for.

    Args:
        among: the rows that they are the neighbours in.
        k: the number of neighbours, below n − 1.
    """

    def __init__(self, among: Rows, k: int) -> None:
        self._among, self._k = among, k
        self._lists = nearest_lists(among, np.zeros(0, dtype=np.intp), k)

    @property
    def parts(self) -> tuple[Known]:
        """What holds memory of its own."""
        return (self,)

    @property
    def nbytes(self) -> int:
        """The memory of the lists."""
        lists = self._lists
        arrays = lists.of, lists.columns, lists.weights, lists.products, lists.ordered
        return sum(array.nbytes for array in arrays)

    def of(self, numbers: Indices) -> Lists:
        """Return the lists of these rows, which are positions among all n, ascending [q]."""
        missing = np.setdiff1d(numbers, self._lists.of, assume_unique=True)
        for start in range(0, len(missing), MOST_QUERIES):
            found = nearest_lists(self._among, missing[start : start + MOST_QUERIES], self._k)
            self._lists = self._lists.joined(found)
        return self._lists.take(np.searchsorted(self._lists.of, numbers))


def nearest_lists(among: Rows, numbers: Indices, k: int) -> Lists:
    """Return the k nearest neighbours of some of the n rows, themselves excluded.

    For `Directions`, they equal `cosine_neighbors` of all n rows in these, and for `Products`
    `product_neighbors`, but nothing of the size of x is held.

    Args:
        among: the rows.
        numbers: positions among them, ascending [q].
        k: the number of neighbours, below n − 1.
    """
    columns, weights, products, ordered = lists_from_outside(among, among.rows[numbers], k)
    return Lists(numbers, columns, weights, products, ordered)


def lists_from_outside(among: Rows, queries: Indices, k: int) -> tuple[Indices, Matrix, Matrix, Indices]:
    """Return columns, weights, products and the order of `Lists`, for any rows of x.

    Args:
        among: the rows that neighbours are searched in.
        queries: rows of x [q]; one that is among the others is not its own neighbour.
        k: the number of neighbours.
    """
    n, q = len(among.rows), len(queries)
    columns, ordered = np.zeros((q, 0), dtype=np.intp), np.zeros((q, k), dtype=np.intp)
    weights, products = np.zeros((q, 0)), np.zeros((q, 0))
    open_, kept = np.arange(q), k + SPARE
    while len(open_):  # rows with more ties than fit are looked at again, with longer lists
        kept = min(kept, n - 1)
        found = _nearest(among, queries[open_], k, kept)
        certain = found.certain | (kept == n - 1)
        done, width = open_[certain], max(columns.shape[1], kept)
        columns, weights, products = (_widened(of, width) for of in (columns, weights, products))
        columns[done, :kept], ordered[done] = found.columns[certain], found.ordered[certain]
        weights[done, :kept], products[done, :kept] = found.weights[certain], found.products[certain]
        open_, kept = open_[~certain], 8 * kept
    used = int(np.count_nonzero(weights, axis=1).max(initial=k))
    order = np.argsort(-weights, axis=1, kind="stable")[:, :used]
    weights, products = (np.take_along_axis(of, order, axis=1) for of in (weights, products))
    return np.take_along_axis(columns, order, axis=1), weights, products, ordered


def _widened(array: NDArray[Any], width: int) -> NDArray[Any]:
    """Return an array [q, w] that is padded by 0 to this width."""
    return np.pad(array, ((0, 0), (0, width - array.shape[1])))


def _checked(x: NDArray[np.floating], rows: Indices, name: str) -> Iterator[Matrix]:
    """Yield the rows of x, a few at a time, and refuse them at the end if they are all equal."""
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for _, values in _chunks(x, rows, name, PRODUCTS // x.shape[1]):
        check_range(values, name)
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
        yield values
    if not np.max(high - low) > 0:
        raise DegenerateError(f"{name}: zero variance, all {len(rows)} rows are equal")


def _chunks(x: NDArray[np.floating], rows: Indices, name: str, size: int) -> Iterator[tuple[int, Matrix]]:
    """Yield rows of x in float64, a few at a time, and the position of the first of them."""
    step = max(LEAST_ROWS, size)
    for start in range(0, len(rows), step):
        yield start, as_matrix(x[rows[start : start + step]], name)


@dataclass(frozen=True, slots=True)
class _Found:
    """`Lists` of candidates, and whether no further row could be a neighbour [q]."""

    columns: Indices
    weights: Matrix
    products: Matrix
    ordered: Indices
    certain: NDArray[np.bool_]


def _nearest(among: Rows, queries: Indices, k: int, kept: int) -> _Found:
    columns, products = _candidates(among, queries, kept)
    weights, ordered = np.empty(columns.shape), np.empty((len(queries), k), dtype=np.intp)
    certain = np.empty(len(queries), dtype=bool)
    for number, (query, near) in enumerate(zip(queries, columns, strict=True)):
        (distances,), (errors,) = among.distances(among.take(query[None]), among.take(among.rows[near]))
        weights[number] = nearest_weights(distances[None], errors[None], k)[0]
        order = np.argsort(distances, kind="stable")
        ordered[number] = _sure_of(order, distances, errors, near, k)
        reach = 2 * (errors[order[-1]] + errors.max())
        certain[number] = distances[order[-1]] - distances[order[k]] > reach
    return _Found(columns, weights, products, ordered, certain)


def _sure_of(order: Indices, distances: Vector, errors: Vector, near: Indices, k: int) -> Indices:
    """Return the k nearest of these candidates, nearest first, or `TIED` where two are as near."""
    first = order[: k + 1]
    as_near = np.diff(distances[first]) <= errors[first[1:]] + errors[first[:-1]]
    tied = np.zeros(k, dtype=bool)
    tied[: len(as_near)] |= as_near[:k]
    tied[1:] |= as_near[: k - 1]
    return np.where(tied, TIED, near[first[:k]])


def _candidates(among: Rows, queries: Indices, kept: int) -> tuple[Indices, Matrix]:
    """Return the rows with the largest products with each query, itself excluded, and these [q, kept]."""
    own = among.take(queries).centered
    columns, products = np.zeros((len(queries), 0), dtype=np.intp), np.zeros((len(queries), 0))
    place = np.minimum(np.searchsorted(among.rows, queries), len(among.rows) - 1)
    place[among.rows[place] != queries] = -1
    for start, values in _chunks(among.x, among.rows, among.name, PRODUCTS // max(1, len(queries))):
        further = product(own, among.points(values).centered.T)
        inside = np.flatnonzero((place >= start) & (place < start + len(values)))
        further[inside, place[inside] - start] = -np.inf
        products = np.concatenate([products, further], axis=1)
        numbers = np.broadcast_to(np.arange(start, start + len(values)), further.shape)
        columns = np.concatenate([columns, numbers], axis=1)
        if products.shape[1] > kept:
            best = np.argpartition(products, -kept, axis=1)[:, -kept:]
            columns = np.take_along_axis(columns, best, axis=1)
            products = np.take_along_axis(products, best, axis=1)
    return columns, products
