"""Sides with small means, or made so by one subtraction: sums of products are corrected for what is left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW, row_blocks, unbuffered
from alignbench.metrics.derived import derived
from alignbench.metrics.triangles import add_square, lower_product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SAFE_SIZE = 1e100  # squared norms below this and above its inverse have squares in the range of float64
LARGEST_SHARE = 0.25  # of the squared norm of a side that its mean may have, times the root of the rank
ROUNDING = 1e-10  # deviations below this share of the mean may be its rounding alone


@dataclass(frozen=True, eq=False)
class SmallMean:
    r"""The small mean m of rows x that are not centred.

    If $n\|m\|^2$ is at most a quarter of $\|X\|^2/\sqrt{\min(n, d)}$, no product of uncentred rows or columns
    has more than three times the norm of the centred one, so a subtraction loses no digit that counts.

    Args:
        rows: [n, d].
        mean: [d].
        square: ‖m‖².
        size: ‖X‖² of the rows as they are.
    """

    rows: Matrix
    mean: Matrix
    square: float
    size: float

    @classmethod
    def of(cls, x: Matrix) -> SmallMean | None:
        """Return the mean of the rows of `x` [n, d]; None if they have to be centred, scaled or refused.

        That is so if the mean is too large, if a value is not finite, if squares may leave the range of
        float64, and up to FEW rows, where time does not matter.
        """
        return cls._above(1 / SAFE_SIZE, x) if _is_large(x) else None

    @classmethod
    def of_shifted(cls, x: Matrix) -> SmallMean | None:
        r"""Return the mean of the rows of `x` [n, d] minus a vector c near it; None as in `of`.

        A difference $x_{ij} - c_j$ is rounded once, by a share of itself, so no digit is lost whatever c is.
        What the true mean differs from c is the mean of the new rows, for which sums are corrected. It is
        None, too, if the rows may be equal up to rounding.
        """
        if not _is_large(x):
            return None
        n, d = x.shape
        with np.errstate(over="ignore", invalid="ignore"):
            near = np.ones(n) @ x / n
            noise = ROUNDING * float(np.abs(near).max())
            with unbuffered():
                rows = x - near
            return cls._above(max(1 / SAFE_SIZE, n * d * noise * noise), rows)  # ** would refuse an overflow

    @classmethod
    def _above(cls, least: float, x: Matrix) -> SmallMean | None:
        """Return the mean of the rows of `x`; None if it is not small, or ‖X‖² not above `least`."""
        n, d = x.shape
        with np.errstate(over="ignore", invalid="ignore"):
            size = float(np.vdot(x, x))
            if not least < size < SAFE_SIZE:
                return None
            mean = np.ones(n) @ x / n
            square = float(mean @ mean)
        if n * square * np.sqrt(min(n, d)) > LARGEST_SHARE * size:
            return None
        return cls(x, mean, square, size)

    @property
    def centered_size(self) -> float:
        """‖X‖² of the centred rows."""
        return self.size - len(self.rows) * self.square

    @cached_property
    def along(self) -> Matrix:
        """The product of each row with the mean [n]."""
        return self.rows @ self.mean

    def out_of_gram(self, gram: Matrix) -> Matrix:
        """Return the Gram matrix [n, n] of the centred rows, given that of the rows as they are."""
        result, shift = np.empty_like(gram), self.along - self.square
        with unbuffered():
            for rows in row_blocks(*gram.shape):
                block = np.subtract(gram[rows], shift, out=result[rows])
                block -= self.along[rows, None]
        return result

    def out_of_cross(self, other: SmallMean, cross: Matrix) -> Matrix:
        """Return XᵀY [dx, dy] of the centred sides in the place of `cross`, that of the rows as they are."""
        cross -= np.outer(len(self.rows) * self.mean, other.mean)
        return cross

    def lower_covariance(self) -> Matrix | None:
        """Return the lower triangle of the covariance of the rows [d, d], normalised by n−1; zeros above it.

        None if a column's mean is larger than its spread, so that its own variance would lose digits.
        """
        n = len(self.rows)
        lower = lower_product(self.rows, 1 / (n - 1))
        share = n / (n - 1) * np.square(self.mean)
        if (share > np.diagonal(lower) / 2).any():
            return None
        add_square(lower, self.mean, -n / (n - 1))
        return lower

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


def _is_large(x: Matrix) -> bool:
    """Whether `x` has so many rows that time matters, and these are contiguous."""
    return len(x) > FEW and x.flags.c_contiguous


def small_mean(x: Matrix) -> SmallMean | None:
    """Return the mean of the rows of `x` as they are, or shifted; None if neither is small."""
    return SmallMean.of(x) or derived("shifted", x, lambda: SmallMean.of_shifted(x))
