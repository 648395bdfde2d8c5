"""Sides that need not be centred: their means are so small that sums of products can be corrected instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW, row_blocks
from alignbench.metrics.products import product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SAFE_SIZE = 1e100  # squared norms below this and above its inverse have squares in the range of float64
LARGEST_SHARE = 0.25  # of the squared norm of a side that its mean may have, times the root of the rank


@dataclass(frozen=True, eq=False)
class SmallMean:
    r"""The mean m of rows x that are not centred.

    If $n\|m\|^2$ is at most a quarter of $\|X\|^2/\sqrt{\min(n, d)}$, no product of uncentred rows or columns
    has more than three times the norm of the centred one, so a subtraction loses no digit that counts.

    Args:
        rows: [n, d].
        mean: [d].
        square: ‖m‖².
    """

    rows: Matrix
    mean: Matrix
    square: float

    @classmethod
    def of(cls, x: Matrix) -> SmallMean | None:
        """Return the mean of the rows of `x` [n, d]; None if they have to be centred, scaled or refused.

        That is so if the mean is too large, if a value is not finite, if squares may leave the range of
        float64, and up to FEW rows, where time does not matter.
        """
        n, d = x.shape
        if n <= FEW or not x.flags.c_contiguous:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            size = float(np.vdot(x, x))
            if not 1 / SAFE_SIZE < size < SAFE_SIZE:
                return None
            mean = np.ones(n) @ x / n
            square = float(mean @ mean)
        if n * square * np.sqrt(min(n, d)) > LARGEST_SHARE * size:
            return None
        return cls(x, mean, square)

    @cached_property
    def along(self) -> Matrix:
        """The product of each row with the mean [n]."""
        return self.rows @ self.mean

    def out_of_gram(self, gram: Matrix) -> Matrix:
        """Return the Gram matrix [n, n] of the centred rows, given that of the rows as they are."""
        result = np.empty_like(gram)
        for rows in row_blocks(*gram.shape):
            block = np.subtract(gram[rows], self.along - self.square, out=result[rows])
            block -= self.along[rows, None]
        return result

    def covariance(self) -> Matrix | None:
        """Return the covariance [d, d] of the rows, normalised by n−1.

        None if a column's mean is larger than its spread, so that its own variance would lose digits.
        """
        n, products = len(self.rows), product(self.rows.T, self.rows)
        if (n * np.square(self.mean) > np.diagonal(products) / 2).any():
            return None
        for rows in row_blocks(*products.shape):
            block = products[rows]
            block -= np.multiply.outer(n * self.mean[rows], self.mean)
            block /= n - 1
        return products

    def out_of_lengths(self, squared: Matrix) -> Matrix:
        """Return the squared lengths of the centred rows [n], given those of the rows as they are."""
        result: Matrix = squared - 2 * self.along + self.square
        return result

    def out_of_inner(self, other: SmallMean, inner: float) -> float:
        r"""Return ⟨XXᵀ, YYᵀ⟩ of the centred sides, given that of the sides as they are.

        Centring subtracts $2n\,(Xm_x)\cdot(Ym_y) - n^2\|m_x\|^2\|m_y\|^2$.
        """
        n = len(self.rows)
        return float(inner - 2 * n * (self.along @ other.along) + n**2 * self.square * other.square)
