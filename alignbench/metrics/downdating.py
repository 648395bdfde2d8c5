"""Sums over kernels without a block of rows: those of all rows minus those of the block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.sums import CANCELLATION

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """Sums over symmetric kernels [n, n].

    Args:
        rows_of: which rows -> these rows of each kernel [k, m, n].
        rows: the row sums of each kernel [k, n].
        inner: ⟨Kₚ, Kᵩ⟩ of each two of them [k, k].
        diagonals: the diagonal of each [k, n].
    """

    rows_of: Callable[[slice | Indices], Matrix]
    rows: Matrix
    inner: Matrix
    diagonals: Matrix

    @classmethod
    def of(cls, rows_of: Callable[[slice | Indices], Matrix], count: int, n: int) -> KernelSums:
        """Return the sums of `count` kernels, of which few rows are in memory at once."""
        rows, diagonals, inner = np.empty((count, n)), np.empty((count, n)), np.zeros((count, count))
        for some in row_blocks(n, count * n):
            block = rows_of(some)
            rows[:, some] = block.sum(axis=2)
            diagonals[:, some] = np.diagonal(block[:, :, some], axis1=1, axis2=2)
            flat = block.reshape(count, -1)
            inner += flat @ flat.T
        return cls(rows_of, rows, inner, diagonals)

    def without(self, block: Indices) -> CenteredSums | None:
        r"""Return the sums without a block, in O(n) for each of its rows; None if digits were lost.

        For m rows with row sums r and total T, $\langle HKH, HLH\rangle = \langle K, L\rangle - \frac 2m r_K
        \cdot r_L + T_K T_L / m^2$, and the diagonal of HKH is $k_{ii} - \frac 2m r_i + T / m^2$.
        """
        keep = np.delete(np.arange(self.rows.shape[1]), block)
        m = len(keep)
        taken = self.rows_of(block)
        twice = taken.reshape(len(taken), -1)
        inside = taken[:, :, block].reshape(len(taken), -1)
        inner = self.inner - 2 * twice @ twice.T + inside @ inside.T
        if (np.diagonal(inner) < CANCELLATION * np.diagonal(self.inner)).any():
            return None
        rows = (self.rows - taken.sum(axis=1))[:, keep]
        totals = rows.sum(axis=1)
        inner -= 2 / m * rows @ rows.T
        inner += np.outer(totals, totals) / m**2
        return CenteredSums(inner, self.diagonals[:, keep] - 2 / m * rows + (totals / m**2)[:, None])
