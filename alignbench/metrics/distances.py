"""Squared distances that are right at each pair's own scale, and how far rounding can have moved each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.checks import centered_beside
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CLOSE = 1e-4  # closer than this share of the squared lengths, products of rows have lost too many digits
BATCH = 4_000_000  # numbers held at once where differences of rows are computed


def unit_rounding(width: int) -> float:
    r"""Return how far rounding moves a sum of `width` products, as a share of the rows' lengths.

    $(8 + \sqrt{d})\,\varepsilon$: the rounding error of a sum of d terms grows as √d with high probability,
    and the 8 leaves room for scaling, centring and one rotation of the input.

    Source:
        Higham and Mary (2019), SIAM Journal on Scientific Computing 41, for the growth.
    """
    return float((8 + np.sqrt(width)) * np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Points:
    """Rows between which distances are wanted.

    Args:
        centered: [n, d], close to the origin: for products.
        given: [n, d], the same rows before they were centred, which rounded them: for differences.
        noise: how far rounding can have moved each row [n].
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
        """Return these rows only."""
        return Points(self.centered[rows], self.given[rows], self.noise[rows])


def squared_distances(a: Points, b: Points | None = None) -> Matrix:
    """Return the squared Euclidean distances of all rows of `a` [m] and `b` [n] (`a` itself by default).

    They come from products of rows, and where these cancel from differences, so that each is right to its own
    last digits, however far away other rows are. Equal rows (up to rounding) are at exactly 0.
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
    r"""Return how far rounding can have moved each of `squared`, which are the distances of `a` and `b`.

    Two of them that differ by no more than both errors together can't be told apart. Moving the ends of a
    distance r by δ moves r² by $\delta(2r + \delta)$; one that came from products has their error as well.
    """
    other = a if b is None else b
    moved = a.noise[:, None] + other.noise
    error: Matrix = np.sqrt(squared)  # in place from here on: at a large n every further matrix counts
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
