"""Two covariances after one is turned by a map that was fitted to re-paired rows, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.basis import Halves

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Single = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Turns:
    r"""The covariances of both held-out halves, and the train rows along their eigenvectors.

    With eigenvalues λ and μ, and the orthogonal map R between the eigenvectors that fits the train pairs
    best, $\langle R^\top C_xR, C_y\rangle = \sum_{ij}\lambda_i R_{ij}^2\mu_j$. All other terms of CORAL are
    sums of eigenvalues, which no re-pairing within the halves changes.

    Args:
        x: train rows [n, k], with unit trace.
        y: train rows [n, k], with unit trace.
        of_x: the eigenvalues of x's covariance [k].
        of_y: those of y's.
    """

    x: Single
    y: Single
    of_x: Vector
    of_y: Vector

    @classmethod
    def of(cls, halves: Halves) -> Turns:
        """Return what the turns of these halves need."""
        cov_x, cov_y = halves.covariances()
        x, of_x = _along(halves.train_x, cov_x)
        y, of_y = _along(halves.train_y, cov_y)
        return cls(x, y, of_x, of_y)

    def products(self, pairings: NDArray[np.intp]) -> Vector:
        """Return ⟨RᵀC_xR, C_y⟩ for each choice of y's train rows [draws, n]."""
        from scipy.linalg import svd  # numpy takes no less time than for float64

        result, turned = np.empty(len(pairings)), np.ascontiguousarray(self.x.T)
        for number, rows in enumerate(pairings):
            left, _, right = svd(turned @ self.y[rows], overwrite_a=True, check_finite=False)
            result[number] = self.of_x @ np.square(left @ right) @ self.of_y
        return result

    def coral_distances(self, products: Vector) -> Vector:
        """Return `coral_distance`, given `products`."""
        gap = self.of_x @ self.of_x + self.of_y @ self.of_y - 2 * products
        distances: Vector = np.maximum(gap, 0.0) / (4 * len(self.of_x) ** 2)
        return distances

    def ncorals(self, products: Vector) -> Vector:
        """Return `ncoral`, given `products`."""
        trace_x, trace_y = self.of_x.sum(), self.of_y.sum()
        squares = self.of_x @ self.of_x * (trace_y / trace_x) + self.of_y @ self.of_y * (trace_x / trace_y)
        scores: Vector = 1 - 2 * products / squares
        return scores


def _along(train: Matrix, covariance: Matrix) -> tuple[Single, Vector]:
    """Return train rows along the eigenvectors of a covariance, and the eigenvalues, both with unit trace."""
    scale = np.sqrt((len(train) - 1) / np.square(train).sum())
    values, vectors = np.linalg.eigh(covariance)
    return (train @ vectors * scale).astype(np.float32), values * scale**2
