"""Products of rows of two sides, which add up over disjoint rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Products:
    """Some rows X of a side and Y of another, or of the same one: their number, their sums, and XᵀY.

    All arrays have the precision of the rows.
    """

    count: int
    left_sum: Array
    right_sum: Array
    cross: Array

    @classmethod
    def of(cls, left: Array, right: Array) -> Products:
        """Return the products of rows [n, p] and [n, q]."""
        return cls(len(left), left.sum(axis=0), right.sum(axis=0), left.T @ right)

    def __add__(self, other: Products) -> Products:
        """Return the products of the rows of both."""
        return Products(
            self.count + other.count,
            self.left_sum + other.left_sum,
            self.right_sum + other.right_sum,
            self.cross + other.cross,
        )

    @property
    def left_mean(self) -> Array:
        """Return the mean of the rows of X."""
        return np.asarray(self.left_sum / self.left_sum.dtype.type(self.count))

    @property
    def right_mean(self) -> Array:
        """Return the mean of the rows of Y."""
        return np.asarray(self.right_sum / self.right_sum.dtype.type(self.count))

    def around(self, left: Array, right: Array) -> Array:
        """Return the products of the rows minus these two."""
        rest = self.left_sum - self.left_sum.dtype.type(self.count) * left
        result: Array = self.cross - np.outer(left, self.right_sum)
        result -= np.outer(rest, right)
        return result


def others(parts: Sequence[Products], number: int) -> Products:
    """Return all parts but one, together: a sum, from which nothing that is large has to be subtracted."""
    return reduce(Products.__add__, [part for place, part in enumerate(parts) if place != number])
