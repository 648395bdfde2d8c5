"""Squared distances, accurate at each pair's own scale, with a bound on the rounding error of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks, unbuffered
from alignbench.metrics.checks import Centering
from alignbench.metrics.derived import derived
from alignbench.metrics.products import product
from alignbench.metrics.small_means import SmallMean
from alignbench.metrics.sums import gram, lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CLOSE = 1e-4  # below this share of the squared lengths, products of rows have lost too many digits
BATCH = 4_000_000  # numbers in memory at once while differences of rows are computed


def unit_rounding(width: int) -> float:
    r"""Return a bound on the rounding error of a sum of `width` products, as a share of the rows' lengths.

    $(8 + \sqrt{d})\,\varepsilon$: the rounding error of a sum of d terms grows like √d with high probability,
    and the 8 leaves room for scaling, centring and one rotation of the input.

    Source:
        Higham and Mary (2019), SIAM Journal on Scientific Computing 41, for the growth.
    """
    return float((8 + np.sqrt(width)) * np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Points:
    """Rows whose distances are to be computed.

    Args:
        centered: [n, d], close to the origin, for products.
        given: [n, d], the same rows before centring, which rounded them, and before scaling, for differences.
        noise: the largest rounding error of each row [n].
        sizes: the squared length of each centred row [n].
        scale: the power of two by which `given` was multiplied.
    """

    centered: Matrix
    given: Matrix
    noise: Matrix
    sizes: Matrix
    scale: float

    @classmethod
    def of(cls, x: Matrix, name: str = "x") -> Points:
        """Return the rows of a side, scaled into the range of float64.

        Raises:
            InputError: a value is not finite.
            DegenerateError: all rows are equal (up to rounding).
        """
        side = Centering.of(x, name)
        centered, scale = side.scaled()
        centered = derived("centred", x, lambda: centered)  # so that others' products of it are found
        noise = unit_rounding(x.shape[1]) * (scale * np.sqrt(lengths(side.source)))
        return cls(centered, side.source, noise, lengths(centered), scale)

    @classmethod
    def where_they_are(cls, x: Matrix, name: str = "x") -> Points:
        """Return rows for distances among themselves alone, centred only if their mean is large.

        Raises: see `of`.
        """
        if SmallMean.of(x) is None:
            return cls.of(x, name)
        sizes = lengths(x)
        return cls(x, x, unit_rounding(x.shape[1]) * np.sqrt(sizes), sizes, 1.0)

    def take(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Points:
        """Return a selection of the rows."""
        return Points(self.centered[rows], self.given[rows], self.noise[rows], self.sizes[rows], self.scale)


def squared_distances(a: Points, b: Points | None = None) -> Matrix:
    """Return the squared Euclidean distances of all rows of `a` [m] and `b` [n] (`a` itself by default).

    They are computed from products of rows, and from differences where products cancel, so that each is
    accurate to its own last digits, however far away other rows are. Rows that are equal up to rounding are
    at exactly 0.
    """
    other = a if b is None else b
    result: Matrix = gram(a.centered) if b is None else product(a.centered, other.centered.T)
    if not result.flags.writeable:  # others need the products, too
        result = result.copy()
    for rows in row_blocks(*result.shape):
        to_squared_distances(result[rows], a.take(rows), other, rows.start if b is None else None)
    return result


def to_squared_distances(products: Matrix, a: Points, b: Points, diagonal: int | None = None) -> None:
    """Replace the products of the rows of `a` [m] and `b` [n] by their squared distances, in place.

    Args:
        products: [m, n]; a few rows at a time stay in the cache.
        a: the rows.
        b: the other rows.
        diagonal: the position in `b` of the first row of `a`, if all of them are in `b`.
    """
    with unbuffered():
        sizes = a.sizes[:, None] + b.sizes
    products *= -2
    products += sizes
    np.maximum(products, 0.0, out=products)
    sizes *= CLOSE
    close = products < sizes
    if diagonal is not None:
        own = np.arange(len(products)), np.arange(diagonal, diagonal + len(products))
        products[own], close[own] = 0.0, False
    if not close.any():
        return
    rows, columns = np.nonzero(close)
    batch = max(1, BATCH // a.given.shape[1])
    for start in range(0, len(rows), batch):
        i, j = rows[start : start + batch], columns[start : start + batch]
        squares = lengths(a.scale * (a.given[i] - b.given[j]))
        squares[squares <= np.square(a.noise[i] + b.noise[j])] = 0.0
        products[i, j] = squares


def rounding_of(squared: Matrix, a: Points, b: Points | None = None) -> Matrix:
    r"""Return a bound on the rounding error of each of `squared`, the distances of `a` and `b`.

    Two distances that differ by no more than the sum of both errors can't be distinguished. Moving the ends
    of a distance r by δ moves r² by $\delta(2r + \delta)$; a distance from products has their error in
    addition.
    """
    other = a if b is None else b
    error: Matrix = np.empty_like(squared)
    for rows in row_blocks(*squared.shape):
        with unbuffered():
            moved = a.noise[rows, None] + other.noise
            sizes = a.sizes[rows, None] + other.sizes
        block = np.sqrt(squared[rows], out=error[rows])
        block *= 2
        block += moved
        block *= moved
        from_differences = squared[rows] < CLOSE * sizes
        sizes *= unit_rounding(a.given.shape[1])
        sizes[from_differences] = 0.0
        block += sizes
    return error
