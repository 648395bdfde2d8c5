"""The principal directions that a side's canonical correlations look at, and how many these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

VARIANCE = 0.99  # the share of a side's variance that its kept directions hold
ROWS = 5  # that a side has for each direction that is kept, at least
TIED = 1e-10  # variances that differ by less, as a share of the largest, have no directions of their own
NOTHING = 1e-18  # a variance below this is rounding, for sides whose largest deviation is about 1


def most_directions(n: int, rows: int) -> int:
    """Return how many directions of n rows are kept at most: one for each `rows` rows, at least 1.

    Raises:
        InputError: fewer than one row for each direction.
    """
    if rows < 1:
        raise InputError(f"rows: expected at least 1 row for each direction, got {rows}")
    return max(1, n // rows)


@dataclass(frozen=True, slots=True)
class Directions:
    """The principal directions of one side.

    Args:
        left: the coordinates of the rows, orthonormal [n, k].
        sizes: the singular values [k], the largest first.
        mean: the mean row [d].
        axes: maps a row minus `mean` to its coordinates [d, k].
    """

    left: Matrix
    sizes: Matrix
    mean: Matrix
    axes: Matrix

    @classmethod
    def of(cls, x: Matrix, most: int, name: str) -> Directions:
        """Return the directions that hold 99% of the variance of `x` [n, d], at most `most` of them.

        Directions of equal variance can't be told apart, so all of them are kept if one is.

        Raises:
            DegenerateError: the rows are all equal.
        """
        mean = x.mean(axis=0)
        deviations = x - mean
        wide = deviations.shape[0] < deviations.shape[1]
        gram = deviations @ deviations.T if wide else deviations.T @ deviations
        values, vectors = np.linalg.eigh(gram)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        if values[0] <= NOTHING:
            raise DegenerateError(f"{name}: zero variance of the rows that the directions are fitted to")
        held = int((np.cumsum(values) < (VARIANCE - TIED) * values.sum()).sum()) + 1
        last = values[min(held, most, len(values)) - 1]
        count = int((values >= last - TIED * values[0]).sum())
        sizes, vectors = np.sqrt(values[:count]), vectors[:, :count]
        if wide:
            return cls(vectors, sizes, mean, deviations.T @ (vectors / np.square(sizes)))
        axes = vectors / sizes
        return cls(deviations @ axes, sizes, mean, axes)

    def coordinates(self, x: Matrix) -> Matrix:
        """Return the coordinates [m, k] of other rows [m, d]."""
        result: Matrix = (x - self.mean) @ self.axes
        return result
