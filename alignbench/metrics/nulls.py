"""Pairing metrics on re-paired data: exact moments, or fast numerators of drawn permutations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


Float = TypeVar("Float", np.float32, np.float64)
_FEW = 0.1  # of the entries: above this share, gathering whole rows is faster
_WHOLE = 300  # rows: up to here, a permuted matrix is gathered as a whole
_ROWS = 64  # of a permuted matrix that are gathered at once, which should fit into the cache


@dataclass(frozen=True, slots=True)
class KernelMoments:
    """The moments of one doubly centred, symmetric kernel matrix A that the exact permutation null needs.

    Args:
        n: the size of A.
        trace: tr A.
        squared: tr A² (the squared Frobenius norm).
        diagonal: Σ aᵢᵢ².
    """

    n: int
    trace: float
    squared: float
    diagonal: float


def kernel_moments(kernel: Matrix) -> KernelMoments:
    """Return the moments of a doubly centred kernel matrix [n, n]."""
    diagonal = np.diagonal(kernel)
    return KernelMoments(
        len(kernel), float(diagonal.sum()), float(np.vdot(kernel, kernel)), float(diagonal @ diagonal)
    )


def permutation_moments(a: KernelMoments, b: KernelMoments) -> tuple[float, float]:
    r"""Return mean and standard deviation of ⟨A, PBPᵀ⟩ over all n! permutation matrices P.

    $E = TU/(n-1)$, and the variance of Kazi-Aoual et al. For n = 3, the standard deviation is NaN.

    Source: Kazi-Aoual, Hitier, Sabatier, Lebreton (1995), Computational Statistics & Data Analysis 20,
    643-656.
    """
    n = a.n
    mean = a.trace * b.trace / (n - 1)
    if n < 4:
        return mean, float("nan")

    def spherical(k: KernelMoments) -> float:
        return (n - 1) * k.squared - k.trace**2

    def diagonal(k: KernelMoments) -> float:
        return n * (n + 1) * k.diagonal - (n - 1) * (k.trace**2 + 2 * k.squared)

    variance = 2 * spherical(a) * spherical(b) / ((n - 1) ** 2 * (n + 1) * (n - 2))
    variance += diagonal(a) * diagonal(b) / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return mean, float(np.sqrt(max(variance, 0.0)))


def within_class_mean(a: Matrix, b: Matrix, codes: NDArray[np.intp]) -> float:
    r"""Return the mean of ⟨A, PBPᵀ⟩ over all permutations within the classes, for any two n x n matrices.

    Entries of two different classes average to the product of the blocks' means; within a class, this holds
    separately for diagonal and off-diagonal entries.
    """
    member = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    counts = member.sum(axis=0)
    sums_a, sums_b = member.T @ a @ member, member.T @ b @ member
    blocks = sums_a * sums_b / np.outer(counts, counts)
    between = float(blocks.sum() - np.trace(blocks))
    trace_a, trace_b = member.T @ np.diagonal(a), member.T @ np.diagonal(b)
    off_a, off_b = np.diagonal(sums_a) - trace_a, np.diagonal(sums_b) - trace_b
    within = trace_a * trace_b / counts + off_a * off_b / np.maximum(counts * (counts - 1), 1)
    return between + float(within.sum())


def matched_products(a: Matrix, b: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return ⟨A, B[p][:, p]⟩ for each row p of `permutations` [K, n]: re-pairing changes nothing else.

    If one side has few entries, such as a graph of k neighbours, only these entries of the other are read.
    """
    result = np.empty(len(permutations))
    of_a, of_b = np.count_nonzero(a), np.count_nonzero(b)
    if min(of_a, of_b) > _FEW * a.size:
        if len(a) > _WHOLE and np.array_equal(a, a.T) and np.array_equal(b, b.T):
            return products_of_halves(upper_half(a), b, permutations)
        for row, p in enumerate(permutations):
            result[row] = np.vdot(a, b[p].take(p, axis=1))
        return result
    if of_b < of_a:
        a, b, permutations = b, a, np.argsort(permutations, axis=1)  # ⟨A, PBPᵀ⟩ = ⟨PᵀAP, B⟩
    rows, columns = np.nonzero(a)
    entries, flat, n = a[rows, columns], np.ascontiguousarray(b).ravel(), len(a)
    for row, p in enumerate(permutations):
        result[row] = entries @ flat.take(p[rows] * n + p[columns])
    return result


def products_of_halves(
    halves: list[NDArray[Float]], kernel: NDArray[Float], permutations: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return `matched_products` of two symmetric matrices, the first of them as its `upper_half`."""
    result = np.empty(len(permutations))
    for row, p in enumerate(permutations):
        result[row] = sum(
            float(np.vdot(*blocks)) for blocks in zip(halves, permuted_half(kernel, p), strict=True)
        )
    return result


def upper_half(kernel: NDArray[Float]) -> list[NDArray[Float]]:
    """Return a symmetric matrix as blocks of rows, each from its diagonal on.

    What stands for two entries counts twice, so ⟨A, B⟩ is the sum of the products with another matrix's
    blocks, as `permuted_half` returns them.
    """
    blocks = []
    for start in range(0, len(kernel), _ROWS):
        block = kernel[start : start + _ROWS, start:].copy()
        block[:, _ROWS:] *= 2
        blocks.append(block)
    return blocks


def permuted_half(kernel: NDArray[Float], p: NDArray[np.intp]) -> Iterator[NDArray[Float]]:
    """Yield the blocks of K[p][:, p], a symmetric matrix, in the order of `upper_half`."""
    for start in range(0, len(p), _ROWS):
        yield kernel[p[start : start + _ROWS]].take(p[start:], axis=1)


def matched_norms(
    x: NDArray[Float], y: NDArray[Float], permutations: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return ‖Xᵀ Y[p]‖² for each row p of `permutations`: `matched_products` of linear kernels."""
    return np.asarray([np.square(x.T @ y[p]).sum() for p in permutations], dtype=np.float64)
