"""Linear and Gaussian kernels of centred sides, and what can be computed of them without an n x n matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.blocks import unbuffered
from alignbench.metrics.checks import pair_to_center, standardized
from alignbench.metrics.derived import derived
from alignbench.metrics.largest import median_of
from alignbench.metrics.products import product
from alignbench.metrics.small_means import small_mean
from alignbench.metrics.sums import LinearSums, gram

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

INVARIANCES = ("rotation", "isotropic_scale", "translation")
GRAM_LIMIT = 2000  # up to this many rows, permutations and deletions work on n x n matrices


def centered_sides(x: ArrayLike, y: ArrayLike, min_n: int) -> tuple[Matrix, Matrix]:
    """Return both sides checked, centred and scaled into the range of float64; see `standardized`."""
    a, b = pair_to_center(x, y, min_n)
    return centered_side(a, "x"), centered_side(b, "y")


def centered_side(x: Matrix, name: str) -> Matrix:
    """Return one side of `centered_sides`."""
    return derived("centred", x, lambda: standardized(x, name))


def linear_sums(x: ArrayLike, y: ArrayLike, min_n: int = 3) -> LinearSums:
    """Return, in one pass, the sums that determine linear, debiased and calibrated CKA and their null.

    Args:
        x: vision side [n, dx], n ≥ `min_n`.
        y: text side [n, dy].
        min_n: the smallest number of rows.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are too few rows.
    """
    a, b = pair_to_center(x, y, min_n)
    quick = LinearSums.of_uncentered(a, b)
    return LinearSums.of_features(centered_side(a, "x"), centered_side(b, "y")) if quick is None else quick


def centered_gram(x: Matrix, name: str) -> Matrix:
    """Return the Gram matrix [n, n] of the centred side, up to a power of two."""
    return derived("centred gram", x, lambda: _centered_gram(x, name))


def _centered_gram(x: Matrix, name: str) -> Matrix:
    mean = small_mean(x)
    if mean is None:
        return gram(centered_side(x, name))
    # With more rows than both sides have columns, nothing else asks for products of the rows as they are.
    rows = mean.rows
    return mean.out_of_gram(gram(rows) if len(x) < 2 * x.shape[1] else product(rows, rows.T))


def norms(a: Matrix, b: Matrix) -> float:
    """Return ‖A‖‖B‖."""
    return float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))


def doubly_centered(kernel: Matrix, out: Matrix | None = None) -> Matrix:
    """Return HKH, in `out` if that is given, which may be `kernel`."""
    columns = kernel.mean(axis=0)
    with unbuffered():
        result: Matrix = np.subtract(kernel, columns, out=out)
    rows = result.mean(axis=1, keepdims=True)
    with unbuffered():
        result -= rows
    return result


def rbf_kernel(
    distances: Matrix,
    fraction: float = 1.0,
    median: Literal["nonzero", "all"] = "nonzero",
    out: Matrix | None = None,
) -> Matrix:
    r"""Return $K = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$ with σ = fraction · √median of the squared distances.

    Args:
        distances: squared distances [n, n], see `alignbench.metrics.distances`.
        fraction: the multiple of the median distance.
        median: over the non-zero distances of the upper triangle, or over all n² with the diagonal (as some
            do).
        out: where the kernel is stored, which may be `distances`; a new matrix by default.

    Raises:
        InputError: the fraction is not above 0.
        DegenerateError: the median is 0.
    """
    if not fraction > 0:
        raise InputError(f"fraction: expected a number above 0, got {fraction}")
    chosen = distances.ravel()
    if median == "nonzero":
        chosen = np.concatenate([row[number:] for number, row in enumerate(distances, 1)])
        chosen = chosen if chosen.all() else chosen[chosen > 0]
    middle = median_of(chosen) if len(chosen) else 0.0
    if middle == 0:
        raise DegenerateError(
            "rbf_kernel: the median distance is 0, as most rows are equal; use median='nonzero'"
        )
    kernel: Matrix = np.divide(distances, -(2 * fraction**2 * middle), out=out)
    return np.exp(kernel, out=kernel)
