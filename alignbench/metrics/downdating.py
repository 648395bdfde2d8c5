"""Sums over kernels without a block of rows: those of all rows minus those of the block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.sums import CANCELLATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

DOWNDATED_FROM = 300  # above this many rows, the sums of a block are subtracted instead of summing the rest


@dataclass(frozen=True, slots=True)
class CenteredSums:
    """Sums over kernels that were doubly centred after a block of rows was left out.

    Args:
        inner: ⟨HKₚH, HKᵩH⟩ of each two kernels [k, k].
        diagonals: the diagonal of each HKₚH [k, m].
    """

    inner: Matrix
    diagonals: Matrix


@dataclass(frozen=True, slots=True)
class KernelSums:
    """Symmetric kernels [n, n] with the sums of their rows, and of the rows of their products.

    Args:
        kernels: k matrices [n, n].
        rows: the row sums of each [k, n].
        products: the row sums of the elementwise product of each two [k, k, n].
    """

    kernels: tuple[Matrix, ...]
    rows: Matrix
    products: Matrix

    @classmethod
    def of(cls, kernels: Sequence[Matrix]) -> KernelSums:
        """Return the sums of these kernels."""
        count, n = len(kernels), len(kernels[0])
        products = np.empty((count, count, n))
        for p in range(count):
            for q in range(p + 1):
                products[p, q] = products[q, p] = np.einsum("ij,ij->i", kernels[p], kernels[q])
        return cls(tuple(kernels), np.asarray([k.sum(axis=1) for k in kernels]), products)

    def without(self, block: Indices) -> CenteredSums | None:
        r"""Return the sums without a block, in O(n) for each of its rows; None if digits were lost.

        For m rows with row sums r and total T, $\langle HKH, HLH\rangle = \langle K, L\rangle - \frac 2m r_K
        \cdot r_L + T_K T_L / m^2$, and the diagonal of HKH is $k_{ii} - \frac 2m r_i + T / m^2$.
        """
        keep = np.delete(np.arange(self.rows.shape[1]), block)
        m = len(keep)
        taken = np.asarray([kernel[block] for kernel in self.kernels])
        twice = taken.reshape(len(taken), -1)
        inside = taken[:, :, block].reshape(len(taken), -1)
        inner = self.products.sum(axis=2) - 2 * twice @ twice.T + inside @ inside.T
        if (np.diagonal(inner) < CANCELLATION * np.diagonal(self.products.sum(axis=2))).any():
            return None
        rows = (self.rows - taken.sum(axis=1))[:, keep]
        totals = rows.sum(axis=1)
        inner -= 2 / m * rows @ rows.T
        inner += np.outer(totals, totals) / m**2
        entries = np.asarray([np.diagonal(kernel)[keep] for kernel in self.kernels])
        return CenteredSums(inner, entries - 2 / m * rows + (totals / m**2)[:, None])
