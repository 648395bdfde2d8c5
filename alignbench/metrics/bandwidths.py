"""Gaussian kernels whose width changes a little when rows are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.downdating import KernelSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

_AROUND = 0.03  # the part of all distances on each side of the median that is in order
_TERMS = 4  # of the series in the change of the width
_LARGEST = 0.02  # change of the squared width, as a share of it: an entry of a kernel is right to 4e-8


@dataclass(frozen=True, slots=True)
class CentralDistances:
    """The distances above 0 of each two of n rows, of which those near the median are in order.

    Args:
        distances: the symmetric matrix [n, n].
        count: the number of distances of i < j that are not 0.
        below: how many of these come before `central`.
        central: the distances near the median, in order [m].
    """

    distances: Matrix
    count: int
    below: int
    central: Matrix

    @classmethod
    def of(cls, distances: Matrix) -> CentralDistances:
        """Return the distances of a symmetric matrix [n, n] with zero diagonal."""
        values = _above_zero(distances)
        count = len(values)
        low, high = int(count * (0.5 - _AROUND)), min(count, int(count * (0.5 + _AROUND)) + 2)
        if count:
            values.partition((low, high - 1))
        return cls(distances, count, low, np.sort(values[low:high]))

    def median(self, block: Indices | None = None) -> float:
        """Return the median of all distances without those of a block of rows; NaN if there are none."""
        if block is None or not self.count:
            return self._left(np.empty(0), self.below, self.count) if self.count else float("nan")
        rows = self.distances[block]
        rows[:, block] = np.tril(rows[:, block], -1)  # each two rows of the block once
        gone = rows[rows > 0]
        near = np.sort(gone[(gone >= self.central[0]) & (gone <= self.central[-1])])
        below = self.below - int(np.count_nonzero(gone < self.central[0]))
        middle = self._left(near, below, self.count - len(gone))
        if np.isnan(middle):
            values = _above_zero(np.delete(np.delete(self.distances, block, axis=0), block, axis=1))
            return float(np.median(values)) if len(values) else float("nan")
        return middle

    def _left(self, gone: Matrix, below: int, count: int) -> float:
        """Return the median of `count` distances; NaN if `central` does not have it.

        Args:
            gone: those of `central` that are left out, in order.
            below: how many of the distances that are left come before `central`.
            count: the number of distances that are left.
        """
        first = np.searchsorted(gone, gone)  # of equal ones
        places = np.searchsorted(self.central, gone) + np.arange(len(gone)) - first
        if (places >= np.searchsorted(self.central, gone, side="right")).any():
            return float("nan")  # of equal ones at an edge, more are left out than there are inside it
        left = np.delete(self.central, places)
        middle = np.asarray([(count - 1) // 2, count // 2]) - below
        return float(left[middle].mean()) if middle[0] >= 0 and middle[1] < len(left) else float("nan")


def _above_zero(distances: Matrix) -> Matrix:
    """Return the distances of i < j that are not 0."""
    if len(distances) < 2:
        return np.empty(0)
    upper = np.concatenate([row[number:] for number, row in enumerate(distances, 1)])
    return upper if upper.all() else upper[upper > 0]


def _series(distances: Matrix, scale: float) -> Matrix:
    """Return the terms of the series of some rows of a kernel [_TERMS, m, n]; see `NearbyKernels`."""
    exponent = distances / -scale
    terms = np.empty((_TERMS, *distances.shape))
    np.exp(exponent, out=terms[0])
    for power in range(1, _TERMS):
        np.multiply(terms[power - 1], exponent, out=terms[power])
        terms[power] /= power
    return terms


@dataclass(frozen=True, slots=True)
class NearbyKernels:
    r"""Two Gaussian kernels $K = \exp(-d/2\sigma^2)$ as power series in the change of 1/σ².

    With z = d/2σ² and a squared width σ²/(1 + ε), $K_\varepsilon = \sum_p \varepsilon^p (-z)^p e^{-z} / p!$.
    """

    distances: tuple[CentralDistances, CentralDistances]
    medians: tuple[float, float]
    sums: KernelSums

    @classmethod
    def of(cls, distances: Sequence[Matrix], fraction: float) -> NearbyKernels | None:
        """Return the kernels of both sides' squared distances; None if all of a side's distances are 0."""
        ordered = [CentralDistances.of(side) for side in distances]
        medians = [side.median() for side in ordered]
        if not all(median > 0 for median in medians):
            return None
        n, scales = len(distances[0]), [2 * fraction**2 * median for median in medians]

        def terms(some: slice | Indices) -> Matrix:
            return np.concatenate(
                [_series(side[some], scale) for side, scale in zip(distances, scales, strict=True)]
            )

        means = np.concatenate([terms(some).mean(axis=2) for some in row_blocks(n, n)], axis=1)
        overall = means.mean(axis=1)[:, None]

        def centered(some: slice | Indices) -> Matrix:
            result = terms(some)
            result -= means[:, None, :]
            result -= (means[:, some] - overall)[:, :, None]
            return result

        return cls((ordered[0], ordered[1]), (medians[0], medians[1]), KernelSums.of(centered, len(means), n))

    def cka_without(self, block: Indices) -> float | None:
        """Return the CKA without a block, each kernel with its own width; None if a width is not near."""
        left = self.sums.without(block)
        changes = [
            median / side.median(block) - 1 for side, median in zip(self.distances, self.medians, strict=True)
        ]
        if left is None or not all(abs(change) <= _LARGEST for change in changes):
            return None
        x, y = (change ** np.arange(_TERMS) for change in changes)
        inner = left.inner
        cross = x @ inner[:_TERMS, _TERMS:] @ y
        both = (x @ inner[:_TERMS, :_TERMS] @ x) * (y @ inner[_TERMS:, _TERMS:] @ y)
        return float(cross / np.sqrt(both))
