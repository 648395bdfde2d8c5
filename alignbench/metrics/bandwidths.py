"""Gaussian kernels whose width changes a little when rows are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.downdating import KernelSums
from alignbench.metrics.kernels import doubly_centered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

_TERMS = 4  # of the series in the change of the width
_LARGEST = 0.02  # change of the squared width, as a share of it: an entry of a kernel is right to 4e-8


@dataclass(frozen=True, slots=True)
class SortedDistances:
    """The distances above 0 of each two of n rows, in order.

    Args:
        values: the distances of i < j that are not 0 [m].
        places: the place of each two rows' distance in `values`, −1 for a distance of 0 [n, n].
    """

    values: Matrix
    places: NDArray[np.int32]

    @classmethod
    def of(cls, distances: Matrix) -> SortedDistances:
        """Return the sorted distances of a symmetric matrix [n, n] with zero diagonal."""
        rows, columns = np.nonzero(np.triu(distances, 1))
        values = distances[rows, columns]
        order = np.argsort(values, kind="stable")
        places = np.full(distances.shape, -1, dtype=np.int32)
        places[rows[order], columns[order]] = places[columns[order], rows[order]] = np.arange(len(order))
        return cls(values[order], places)

    def median(self, block: Indices | None = None) -> float:
        """Return the median of all distances without those of a block of rows; NaN if there are none."""
        gone = np.empty(0, dtype=np.int32)
        if block is not None:
            places = self.places[block]
            places[:, block] = np.where(np.tri(len(block), dtype=bool), -1, places[:, block])
            gone = np.sort(places[places >= 0])
        left = len(self.values) - len(gone)
        if not left:
            return float("nan")
        # Of the places that are left, number k is behind as many gone ones as have fewer than k + 1 left
        # ones before them.
        before = gone - np.arange(len(gone))
        middle = np.asarray([(left - 1) // 2, left // 2])
        return float(self.values[middle + np.searchsorted(before, middle, side="right")].mean())


@dataclass(frozen=True, slots=True)
class NearbyKernels:
    r"""Two Gaussian kernels $K = \exp(-d/2\sigma^2)$ as power series in the change of 1/σ².

    With z = d/2σ² and a squared width σ²/(1 + ε), $K_\varepsilon = \sum_p \varepsilon^p (-z)^p e^{-z} / p!$.
    """

    distances: tuple[SortedDistances, SortedDistances]
    medians: tuple[float, float]
    sums: KernelSums

    @classmethod
    def of(cls, distances: Sequence[Matrix], fraction: float) -> NearbyKernels | None:
        """Return the kernels of both sides' squared distances; None if all of a side's distances are 0."""
        ordered = [SortedDistances.of(side) for side in distances]
        medians = [side.median() for side in ordered]
        if not all(median > 0 for median in medians):
            return None
        terms = []
        for side, median in zip(distances, medians, strict=True):
            exponent = -side / (2 * fraction**2 * median)
            term = np.exp(exponent)
            for power in range(_TERMS):
                terms.append(doubly_centered(term))
                term = term * exponent / (power + 1)
        return cls((ordered[0], ordered[1]), (medians[0], medians[1]), KernelSums.of(terms))

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
