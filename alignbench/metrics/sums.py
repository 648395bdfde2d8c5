"""The nine numbers that determine every linear-kernel score, and those scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.blocks import FEW, row_blocks
from alignbench.metrics.checks import bounded
from alignbench.metrics.derived import derived, kept
from alignbench.metrics.nulls import KernelMoments, permutation_moments
from alignbench.metrics.products import product
from alignbench.metrics.small_means import small_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

WHOLE = 2**25  # numbers (256 MiB) of products that are computed at once, which takes half the operations
LARGE = 2**21  # entries from which a copy of a product is worth avoiding
CANCELLATION = 1e-3  # HSIC₁ below this share of ‖A‖² has lost digits in the feature form


def inner(x: Matrix, y: Matrix) -> float:
    """Return ⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖² by the form that takes fewer operations."""
    n, dx, dy = len(x), x.shape[1], y.shape[1]
    if x is y:
        return derived("inner", x, lambda: _sum_of_squares(product(x, x.T) if n < dx else product(x.T, x)))
    if n * (dx + dy) < dx * dy:
        return float(np.vdot(product(x, x.T), product(y, y.T)))
    return _sum_of_squares(product(x.T, y))


def _sum_of_squares(matrix: Matrix) -> float:
    """Return ‖P‖², of a large matrix without a copy."""
    return float(np.square(matrix).sum() if matrix.size < LARGE else np.vdot(matrix, matrix))


def gram(x: Matrix) -> Matrix:
    """Return XXᵀ."""
    return derived("gram", x, lambda: product(x, x.T))


def products_of_rows(x: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Yield some rows of x [n, d], and their products with all rows [rows, n], which may be overwritten.

    Up to `WHOLE` products, they come from one symmetric product; beyond that, no more are in memory at once.
    """
    n = len(x)
    step = max(1, WHOLE // n)
    whole = kept("gram", x) if step >= n else None
    for start in range(0, n, step):
        products = product(x[start : start + step], x.T) if whole is None else whole
        for rows in row_blocks(len(products), n):
            some = products[rows] if whole is None else products[rows].copy()
            yield slice(start + rows.start, start + rows.stop), some


def lengths(x: Matrix) -> Matrix:
    """Return the squared length of each row."""
    result: Matrix = np.einsum("ij,ij->i", x, x)
    return result


def _products(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix, float, float, float]:
    """Return aᵢ, bᵢ, ⟨A, B⟩, ‖A‖² and ‖B‖² of two sides; see `LinearSums`.

    With fewer rows than both sides have columns together, two Gram matrices take fewer operations than three
    products of columns: n²(dx + dy) < n(dx + dy)².
    """
    if FEW < len(x) < x.shape[1] + y.shape[1]:
        return _of_grams(gram(x), gram(y))
    return lengths(x), lengths(y), inner(x, y), inner(x, x), inner(y, y)


def _of_grams(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix, float, float, float]:
    xy, xx, yy = (float(np.vdot(*pair)) for pair in ((a, b), (a, a), (b, b)))
    return np.diagonal(a), np.diagonal(b), xy, xx, yy


@dataclass(frozen=True, slots=True)
class LinearSums:
    """Sums over n centred pairs, where aᵢ = ‖xᵢ‖², bᵢ = ‖yᵢ‖², A = XXᵀ, B = YYᵀ.

    Args:
        n: the number of pairs.
        xy: ⟨A, B⟩ = ‖XᵀY‖².
        xx: ‖A‖².
        yy: ‖B‖².
        trace_x: Σaᵢ.
        trace_y: Σbᵢ.
        square_x: Σaᵢ².
        square_y: Σbᵢ².
        product: Σaᵢbᵢ.
    """

    n: int
    xy: float
    xx: float
    yy: float
    trace_x: float
    trace_y: float
    square_x: float
    square_y: float
    product: float

    @classmethod
    def of_features(cls, x: Matrix, y: Matrix) -> LinearSums:
        """Return the sums of centred sides [n, dx] and [n, dy]."""
        return derived("linear sums", (x, y), lambda: cls._of(*_products(x, y)))

    @classmethod
    def of_uncentered(cls, x: Matrix, y: Matrix) -> LinearSums | None:
        """Return the sums of the centred sides, given sides as they are; None if that would lose digits."""
        return derived("uncentred sums", (x, y), lambda: cls._of_uncentered(x, y))

    @classmethod
    def _of_uncentered(cls, x: Matrix, y: Matrix) -> LinearSums | None:
        mean_x = small_mean(x)
        mean_y = None if mean_x is None else small_mean(y)
        if mean_x is None or mean_y is None:
            return None
        a, b, xy, xx, yy = _products(mean_x.rows, mean_y.rows)
        return cls._of(
            mean_x.out_of_lengths(a),
            mean_y.out_of_lengths(b),
            mean_x.out_of_inner(mean_y, xy),
            mean_x.out_of_inner(mean_x, xx),
            mean_y.out_of_inner(mean_y, yy),
        )

    @classmethod
    def of_kernels(cls, kernel_x: Matrix, kernel_y: Matrix) -> LinearSums:
        """Return the sums of doubly centred kernels [n, n]."""
        return cls._of(*_of_grams(kernel_x, kernel_y))

    @classmethod
    def _of(cls, a: Matrix, b: Matrix, xy: float, xx: float, yy: float) -> LinearSums:
        return cls(
            n=len(a),
            xy=xy,
            xx=xx,
            yy=yy,
            trace_x=float(a.sum()),
            trace_y=float(b.sum()),
            square_x=float(a @ a),
            square_y=float(b @ b),
            product=float(a @ b),
        )

    @property
    def scale(self) -> float:
        """Return ‖A‖‖B‖, which re-pairing does not change.

        Raises:
            DegenerateError: a side without variance.
        """
        result = float(np.sqrt(self.xx) * np.sqrt(self.yy))
        if result == 0:
            side = "x" if self.xx == 0 else "y"
            raise DegenerateError(f"{side}: zero variance, all {self.n} rows are equal")
        return result

    def linear_cka(self) -> float:
        """Return ⟨A, B⟩ / (‖A‖‖B‖), in [0, 1]."""
        return bounded(self.xy / self.scale, (0, 1), "linear_cka")

    def linear_cka_null(self) -> tuple[float, float]:
        """Return mean and standard deviation of linear CKA over all re-pairings (the latter from n = 4)."""
        mean, std = permutation_moments(
            KernelMoments(self.n, self.trace_x, self.xx, self.square_x),
            KernelMoments(self.n, self.trace_y, self.yy, self.square_y),
        )
        return mean / self.scale, std / self.scale

    def headroom(self) -> tuple[float, float]:
        """Return `linear_cka_null`, after checking that there is room above chance.

        Raises:
            DegenerateError: every re-pairing scores 1.
        """
        mean, std = self.linear_cka_null()
        if 1 - mean < 1e-6:
            raise DegenerateError(
                f"calibrated_cka: every pairing scores {mean:.9f}: nothing is above chance; use more samples"
            )
        return mean, std

    def calibrated_cka(self) -> float:
        """Return (CKA − μ₀) / (1 − μ₀), at most 1."""
        mean, _ = self.headroom()
        return (self.linear_cka() - mean) / (1 - mean)

    def _hsic(self, inner: float, product: float, trace: float) -> float:
        n = self.n
        return inner - n / (n - 2) * product + trace / ((n - 1) * (n - 2))

    def debiased_cka(self) -> float | None:
        """Return the cosine of U-centred kernels, in [−1, 1]; None if its terms cancel (n near d)."""
        hsic_x = self._hsic(self.xx, self.square_x, self.trace_x**2)
        hsic_y = self._hsic(self.yy, self.square_y, self.trace_y**2)
        if hsic_x <= CANCELLATION * self.xx or hsic_y <= CANCELLATION * self.yy:
            return None
        hsic = self._hsic(self.xy, self.product, self.trace_x * self.trace_y)
        return bounded(hsic / np.sqrt(hsic_x * hsic_y), (-1, 1), "debiased_cka")

    def debiased_norm(self) -> float:
        """Return n(n−3)·√(HSIC₁(x, x)·HSIC₁(y, y)), which re-pairing does not change."""
        hsic_x = self._hsic(self.xx, self.square_x, self.trace_x**2)
        hsic_y = self._hsic(self.yy, self.square_y, self.trace_y**2)
        return float(np.sqrt(hsic_x * hsic_y))
