"""Linear and Gaussian kernels of centred sides, and what can be had of them without an n x n matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.checks import check_pair, standardized
from alignbench.metrics.nulls import KernelMoments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

INVARIANCES = ("rotation", "isotropic_scale", "translation")
GRAM_LIMIT = 2000  # rows up to which permutations and deletions work on n x n matrices


def centered_sides(x: ArrayLike, y: ArrayLike, min_n: int) -> tuple[Matrix, Matrix]:
    """Return both sides checked, centred and scaled into the range of float64; see `standardized`."""
    a, b = check_pair(x, y, min_n)
    return standardized(a, "x"), standardized(b, "y")


def inner(x: Matrix, y: Matrix) -> float:
    """Return ⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖² by whichever form takes fewer operations."""
    n, dx, dy = len(x), x.shape[1], y.shape[1]
    if x is y:
        return float(np.square(x @ x.T if n < dx else x.T @ x).sum())
    if n * (dx + dy) < dx * dy:
        return float(np.vdot(x @ x.T, y @ y.T))
    return float(np.square(x.T @ y).sum())


def lengths(x: Matrix) -> Matrix:
    """Return the squared length of each row."""
    result: Matrix = np.einsum("ij,ij->i", x, x)
    return result


def linear_moments(x: Matrix) -> KernelMoments:
    """Return what the exact permutation null needs of the linear kernel of centred `x`."""
    squared = lengths(x)
    return KernelMoments(len(x), float(squared.sum()), inner(x, x), float(squared @ squared))


def norms(a: Matrix, b: Matrix) -> float:
    """Return ‖A‖‖B‖."""
    return float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))


def doubly_centered(kernel: Matrix) -> Matrix:
    """Return HKH."""
    result: Matrix = kernel - kernel.mean(axis=0)
    result -= result.mean(axis=1, keepdims=True)
    return result


def squared_distances(x: Matrix) -> Matrix:
    """Return all squared Euclidean distances [n, n]; those of equal points (up to rounding) are exactly 0."""
    lengths = np.einsum("ij,ij->i", x, x)
    result: Matrix = np.maximum(lengths[:, None] + lengths - 2 * (x @ x.T), 0.0)
    result = (result + result.T) / 2
    np.fill_diagonal(result, 0.0)
    result[result < 1e-13 * result.max()] = 0.0
    return result


def rbf_kernel(x: Matrix, fraction: float = 1.0, median: Literal["nonzero", "all"] = "nonzero") -> Matrix:
    r"""Return $K = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$ with σ = fraction · √median of the squared distances.

    Args:
        x: [n, d], with variance.
        fraction: the multiple of the median distance.
        median: of the non-zero distances of the upper triangle, or of all n² with the diagonal (as some
            papers do).
    """
    if not fraction > 0:
        raise InputError(f"fraction: expected a number above 0, got {fraction}")
    distances = squared_distances(x)
    chosen = distances[np.triu_indices(len(x), 1)] if median == "nonzero" else distances.ravel()
    if median == "nonzero":
        chosen = chosen[chosen > 0]
    middle = float(np.median(chosen))
    if middle == 0:
        raise DegenerateError(
            "rbf_kernel: the median distance is 0: most rows are equal; use median='nonzero'"
        )
    kernel: Matrix = np.exp(-distances / (2 * fraction**2 * middle))
    return kernel
