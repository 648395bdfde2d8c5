"""Nearest neighbours as weights; ties that only rounding would break are shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError, TooFewSamplesError
from alignbench.metrics.blocks import FEW, row_blocks, unbuffered
from alignbench.metrics.checks import Centering
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import (
    Points,
    rounding_of,
    squared_distances,
    to_squared_distances,
    unit_rounding,
)
from alignbench.metrics.kernels import centered_side
from alignbench.metrics.largest import kth_largest
from alignbench.metrics.small_means import SmallMean
from alignbench.metrics.sums import lengths, products_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

MANY = 10  # permutations from which a table of all pairs of rows is worth its memory
TIED = -1  # in a list of neighbours: which one it is depends on rounding
LEAST_OF_LENGTH = 0.25  # of the squared length of each row, once the mean is subtracted
RIGHT_ANGLE = 2.0  # the squared distance of two directions at right angles


def default_k(n: int) -> int:
    """Return the number of neighbours for n rows: min(10, (n−1)//3), at least 1."""
    return max(1, min(10, (n - 1) // 3))


def check_k(k: int | None, n: int, least: int = 1) -> int:
    """Return `k`, or the default for n rows, at least `least`.

    Raises:
        InputError: a given k is not within `least` … n−2 (with n−1, everyone is everyone's neighbour).
        TooFewSamplesError: no k was given, and n rows are too few to choose neighbours.
    """
    if n - 2 < least:
        raise TooFewSamplesError(
            f"x and y: expected at least {least + 2} rows to choose {least} neighbours of, got {n}; "
            "use more samples"
        )
    if k is None:
        return max(least, default_k(n))
    if not least <= int(k) <= n - 2:
        raise InputError(f"k: expected {least} <= k <= n - 2 = {n - 2} neighbours, got {int(k)}")
    return int(k)


def directions(source: Matrix, given: Matrix, *centers: Matrix, typical: float | None = None) -> Points:
    """Return rows minus their center, scaled to unit length; a row at the center up to rounding becomes 0.

    Args:
        source: [n, d].
        given: the squared lengths of the rows before they were first centred, which rounded them [n].
        centers: the center [d], as one or several vectors that are subtracted one after the other.
        typical: the mean length of the rows that the center is the mean of; by default, of these.
    """
    rounding = unit_rounding(source.shape[1])
    size = np.sqrt(given)
    noise = rounding * (
        size + (size.mean() if typical is None else typical)
    )  # of the row, and of the mean that was subtracted from it
    unit, share, sizes = np.empty_like(source), np.empty(len(source)), np.empty(len(source))
    for rows in row_blocks(*source.shape):
        block = np.subtract(source[rows], centers[0], out=unit[rows])
        for center in centers[1:]:
            block -= center
        length = np.linalg.norm(block, axis=1)
        nowhere = length <= noise[rows]  # what is left of it is rounding alone
        divisor = np.where(nowhere, 1.0, length)
        block /= divisor[:, None]
        block[nowhere] = 0.0
        share[rows] = np.where(nowhere, 0.0, noise[rows] / divisor + rounding)
        sizes[rows] = lengths(block)
    return Points(unit, unit, share, sizes, 1.0)


def angular_distances(a: Points, b: Points) -> tuple[Matrix, Matrix]:
    """Return 2 − 2·cosine of all directions of `a` and `b`, and its rounding error.

    As a squared distance of directions, it distinguishes cosines that are 1 up to rounding. A row without
    direction has cosine 0 with everything.
    """
    return _angular(squared_distances(a, b), a, b)


def _angular(squared: Matrix, a: Points, b: Points) -> tuple[Matrix, Matrix]:
    """Return squared distances of directions, corrected in place where a row has none, and their errors."""
    error = rounding_of(squared, a, b)
    nowhere = np.logical_or.outer(a.sizes == 0, b.sizes == 0)
    squared[nowhere], error[nowhere] = RIGHT_ANGLE, 0.0
    return squared, error


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The k nearest neighbours of each of n rows as sparse weights, in the order of rows, then of columns.

    Args:
        n: the number of rows.
        rows: [m].
        columns: the neighbours [m].
        weights: to what degree each is one of the k nearest [m]; those of a row sum to k.
        products: the products of both rows [m].
    """

    n: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: Matrix
    products: Matrix

    @property
    def places(self) -> NDArray[np.intp]:
        """The position of each weight in the dense matrix, which ascends."""
        return self.rows * self.n + self.columns

    def shared(self, other: Neighbors) -> float:
        """Return the sum over all pairs of rows of the product of both weights."""
        if self.n <= FEW:
            return float(np.vdot(self.dense(), other.dense()))
        return float(self.weights @ other.at(self.places))

    def dense(self, values: Matrix | None = None) -> Matrix:
        """Return the weights, or other values of the same pairs of rows, as a matrix [n, n]."""
        result: Matrix = np.zeros((self.n, self.n))
        result[self.rows, self.columns] = self.weights if values is None else values
        return result

    def find(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which of the m pairs each of `places` is, or −1 if it is none of them."""
        own = self.places
        at = np.minimum(np.searchsorted(own, places), len(own) - 1)
        found: NDArray[np.intp] = np.where(own[at] == places, at, -1)
        return found

    def at(self, places: NDArray[np.intp]) -> Matrix:
        """Return the weights at these places of the dense matrix, which are 0 for most of them."""
        found = self.find(places)
        return np.where(found < 0, 0.0, self.weights[found])

    def table(self) -> NDArray[np.int32]:
        """Return `find` of all places [n²], for many look-ups."""
        result = np.full(self.n**2, -1, dtype=np.int32)
        result[self.places] = np.arange(len(self.rows))
        return result


def nearest_weights(distances: Matrix, errors: Matrix, k: int) -> Matrix:
    """Return to what degree each column is among the k nearest of its row, [m, n]; rows sum to k.

    Columns tied at the border share the remaining places, which is the average over random tie-breaking.

    Args:
        distances: [m, n], smaller is nearer; infinite for columns that are not candidates.
        errors: the largest rounding error of each distance [m, n].
        k: the number of neighbours, less than that of candidates.
    """
    weights: Matrix = np.empty_like(distances)
    for rows in row_blocks(*distances.shape):
        weights[rows] = _nearest(distances[rows], errors[rows], k)
    return weights


def _nearest(distances: Matrix, errors: Matrix, k: int) -> Matrix:
    last = np.argpartition(distances, k - 1, axis=1)[:, k - 1, None]
    border, error = (np.take_along_axis(of, last, axis=1) for of in (distances, errors))
    beyond, reach = distances - border, errors + error
    nearer = beyond < -reach
    tied = (beyond <= reach) & ~nearer
    left = k - nearer.sum(axis=1, keepdims=True)
    weights: Matrix = nearer + tied * (left / tied.sum(axis=1, keepdims=True))
    return weights


def nearest_by_products(
    products_of: Iterable[tuple[slice | NDArray[np.intp], Matrix]],
    reach: Matrix,
    exact: Callable[[Matrix, NDArray[np.intp]], tuple[Matrix, Matrix]],
    k: int,
) -> Neighbors:
    """Return the k of n rows with the largest products with each row, itself excluded.

    Only rows that have further candidates within `reach` of the k-th product are looked at closely.

    Args:
        products_of: some rows, ascending, and their products with all rows, which are overwritten [rows, n].
        reach: what two products of a row may differ by, and yet be tied or in the wrong order [n].
        exact: (the products of some rows, their numbers) -> distances and their rounding errors [rows, n].
        k: the number of neighbours.
    """
    n = len(reach)
    found: list[tuple[NDArray[np.intp], Matrix, Matrix]] = []
    for rows, products in products_of:
        numbers = np.arange(n)[rows]
        own = products[np.arange(len(products)), numbers]
        products[np.arange(len(products)), numbers] = -np.inf
        least = kth_largest(products, k) - reach[rows]
        with unbuffered():
            chosen = products >= least[:, None]
        places = np.flatnonzero(chosen)
        weights = np.ones(len(places))
        if len(places) > k * len(products):
            crowded = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
            products[np.arange(len(products)), numbers] = own
            distances, errors = exact(products[crowded], numbers[crowded])
            distances[np.arange(len(crowded)), numbers[crowded]] = np.inf
            dense = chosen.astype(np.float64)
            dense[crowded] = _nearest(distances, errors, k)
            places = np.flatnonzero(dense)
            weights = dense.ravel()[places]
        of_rows, columns = np.divmod(places, n)
        found.append((numbers[of_rows] * n + columns, weights, products.ravel()[places]))
    all_places, all_weights, all_products = map(np.concatenate, zip(*found, strict=True))
    return Neighbors(n, *np.divmod(all_places, n), all_weights, all_products)


def cosine_neighbors(x: Matrix, k: int, name: str = "x") -> Neighbors:
    """Return the k cosine neighbours of each row of `x` after centring, itself excluded.

    Raises:
        InputError: a value is not finite.
        DegenerateError: all rows are equal (up to rounding).
    """
    return derived(("cosine neighbours", k), x, lambda: _cosine_neighbors(x, k, name))


def _cosine_neighbors(x: Matrix, k: int, name: str) -> Neighbors:
    quick = _neighbors_without_centering(x, k, name)
    if quick is not None:
        return quick
    points = _centered_directions(x, name)

    def exact(products: Matrix, rows: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        return _exact_angles(products, points, rows)

    reach = reach_of(points.noise) + 8 * unit_rounding(x.shape[1])
    if len(x) <= FEW or not points.sizes.all():
        return nearest_by_products(products_of_rows(points.centered), reach, exact, k)
    # Other scores need the products of centred rows, too.
    centered = centered_side(x, name)
    return nearest_by_products(cosines_of_rows(centered, np.sqrt(lengths(centered))), reach, exact, k)


def cosines_of_rows(centered: Matrix, size: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Yield some of these rows [n, d], and their cosines with all of them, given their lengths [n]."""
    for rows, products in products_of_rows(centered):
        products /= size
        products /= size[rows, None]
        yield rows, products


def _centered_directions(x: Matrix, name: str) -> Points:
    side = Centering.of(x, name)
    return directions(side.source, lengths(side.source), side.mean, side.rest)


def _exact_angles(products: Matrix, points: Points, rows: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
    """Return the angular distances of some rows to all, given their products, and the rounding errors."""
    some = points.take(rows)
    to_squared_distances(products, some, points)
    return _angular(products, some, points)


def noise_of(given: Matrix, distance: Matrix, rounding: float) -> Matrix:
    """Return the rounding errors of `directions` [n].

    Args:
        given: the length of each row before it was centred [n].
        distance: its distance from the center [n].
        rounding: see `unit_rounding`.
    """
    noise: Matrix = rounding * (given + given.mean()) / distance + rounding
    return noise


def reach_of(noise: Matrix) -> Matrix:
    """Return the most that the errors of two distances amount to, for directions at most 2 apart [n]."""
    moved = noise + noise.max()
    reach: Matrix = 2 * moved * (4 + 2 * moved)
    return reach


def _neighbors_without_centering(x: Matrix, k: int, name: str) -> Neighbors | None:
    r"""Return the cosine neighbours from products of the rows as they are; None if these would lose digits.

    With the mean m, $(x_i - m) \cdot (x_j - m) = x_i \cdot x_j - x_i \cdot m - x_j \cdot m + \|m\|^2$.
    """
    mean = SmallMean.of(x)
    if mean is None:
        return None
    given = lengths(x)
    squared = mean.out_of_lengths(given)
    if (squared < LEAST_OF_LENGTH * given).any() or not squared.all():
        return None
    inverse = 1 / np.sqrt(squared)
    shift, along = mean.along - mean.square, mean.along[:, None]

    def cosines() -> Iterator[tuple[slice, Matrix]]:
        for rows, products in products_of_rows(x):
            with unbuffered():
                products -= shift
                products -= along[rows]
                products *= inverse
                products *= inverse[rows, None]
            yield rows, products

    @cache
    def points() -> Points:
        return _centered_directions(x, name)

    def exact(products: Matrix, rows: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        return _exact_angles(products, points(), rows)

    size, rounding = np.sqrt(given), unit_rounding(x.shape[1])
    noise = noise_of(size, np.sqrt(squared), rounding)
    # Uncentred products are at most 1 / LEAST_OF_LENGTH as large as centred ones, and so is their rounding.
    reach = (reach_of(noise) + 8 * rounding) / LEAST_OF_LENGTH
    return nearest_by_products(cosines(), reach, exact, k)


def ordered_neighbors(x: Matrix, k: int, name: str = "x") -> NDArray[np.intp]:
    """Return the k cosine neighbours of each row of `x` after centring, nearest first [n, k].

    A neighbour that is as near as the one before or after it, up to rounding, is `TIED` instead.

    Raises:
        InputError: a value is not finite.
        DegenerateError: all rows are equal (up to rounding).
    """
    points = _centered_directions(x, name)
    result = np.empty((len(x), k), dtype=np.intp)
    for rows in row_blocks(len(x), len(x)):
        some = points.take(rows)
        distances, errors = angular_distances(some, points)
        numbers = np.arange(rows.start, rows.start + len(distances))
        distances[np.arange(len(distances)), numbers] = np.inf
        nearest = np.argpartition(distances, k, axis=1)[:, : k + 1]
        order = np.argsort(np.take_along_axis(distances, nearest, axis=1), axis=1)
        nearest = np.take_along_axis(nearest, order, axis=1)
        near, error = (np.take_along_axis(of, nearest, axis=1) for of in (distances, errors))
        as_near = np.diff(near, axis=1) <= error[:, 1:] + error[:, :-1]
        as_near[:, 1:] |= as_near[:, :-1].copy()
        result[rows] = np.where(as_near, TIED, nearest[:, :k])
    return result


def neighbor_weights(x: Matrix, k: int, name: str = "x") -> Matrix:
    """Return `cosine_neighbors` as a matrix [n, n].

    Raises:
        DegenerateError: all rows are equal (up to rounding).
    """
    return cosine_neighbors(x, k, name).dense()
