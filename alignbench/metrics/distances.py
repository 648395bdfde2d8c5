"""Squared distances, accurate at each pair's own scale, with a bound on the rounding error of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.checks import centered_beside
from alignbench.metrics.sums import lengths

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
        given: [n, d], the same rows before centring, which rounded them, for differences.
        noise: the largest rounding error of each row [n].
    """

    centered: Matrix
    given: Matrix
    noise: Matrix

    @classmethod
    def of(cls, x: Matrix, name: str = "x") -> Points:
        """Return the rows of a side, scaled into the range of float64.

        Raises:
            DegenerateError: all rows are equal (up to rounding).
        """
        centered, given = centered_beside(x, name)
        return cls(centered, given, unit_rounding(x.shape[1]) * np.sqrt(lengths(given)))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Points:
        """Return a selection of the rows."""
        return Points(self.centered[rows], self.given[rows], self.noise[rows])


def squared_distances(a: Points, b: Points | None = None) -> Matrix:
    """Return the squared Euclidean distances of all rows of `a` [m] and `b` [n] (`a` itself by default).

    They are computed from products of rows, and from differences where products cancel, so that each is
    accurate to its own last digits, however far away other rows are. Rows that are equal up to rounding are
    at exactly 0.
    """
    other = a if b is None else b
    sizes = _sizes(a, other)
    result: Matrix = np.maximum(sizes - 2 * (a.centered @ other.centered.T), 0.0)
    if b is None:
        result = (result + result.T) / 2
    close = result < CLOSE * sizes
    if b is None:
        np.fill_diagonal(result, 0.0)
        close = np.triu(close, 1)
    rows, columns = np.nonzero(close)
    batch = max(1, BATCH // a.given.shape[1])
    for start in range(0, len(rows), batch):
        i, j = rows[start : start + batch], columns[start : start + batch]
        squares = lengths(a.given[i] - other.given[j])
        squares[squares <= np.square(a.noise[i] + other.noise[j])] = 0.0
        result[i, j] = squares
        if b is None:
            result[j, i] = squares
    return result


def rounding_of(squared: Matrix, a: Points, b: Points | None = None) -> Matrix:
    r"""Return a bound on the rounding error of each of `squared`, the distances of `a` and `b`.

    Two distances that differ by no more than the sum of both errors can't be distinguished. Moving the ends
    of a distance r by δ moves r² by $\delta(2r + \delta)$; a distance from products has their error in
    addition.
    """
    other = a if b is None else b
    moved = a.noise[:, None] + other.noise
    error: Matrix = np.sqrt(squared)  # in place from here on, for a large n
    error *= 2
    error += moved
    error *= moved
    del moved
    sizes = _sizes(a, other)
    from_differences = squared < CLOSE * sizes
    sizes *= unit_rounding(a.given.shape[1])
    sizes[from_differences] = 0.0
    error += sizes
    return error


def _sizes(a: Points, b: Points) -> Matrix:
    """Return the sum of both rows' squared lengths for each pair [m, n]."""
    sizes: Matrix = lengths(a.centered)[:, None] + lengths(b.centered)
    return sizes
