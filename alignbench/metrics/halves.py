"""The CORAL family from moments: a basis from those of one half, covariances from those of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.checks import bounded
from alignbench.metrics.coral import coral_distance_of, ncoral_of
from alignbench.metrics.procrustes import nuclear_norm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alignbench.metrics.moments import Moments

    Matrix = NDArray[np.float64]


def _axes(covariance: Matrix, k: int, n: int, name: str) -> Matrix:
    """Return the k leading eigenvectors [d, k]; directions beyond the rank are 0."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    if values[0] <= 0:
        raise DegenerateError(f"{name}: zero variance, all {n} rows are equal")
    real = values > max(n, len(covariance)) * np.finfo(np.float64).eps * values[0]
    axes: Matrix = vectors * real
    return axes


def _root(covariance: Matrix) -> Matrix:
    """Return a matrix R with RᵀR = C."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64).T
    except np.linalg.LinAlgError:  # there is a direction without variance
        values, vectors = np.linalg.eigh(covariance)
        root: Matrix = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        return root


def based_scores(train: Moments, held: Moments, align: str, k: int) -> Mapping[str, float]:
    """Return the scores of the CORAL family by name.

    Args:
        train: the moments of the pairs that the basis is fitted to.
        held: those of the pairs that are scored; the same where nothing is fitted to pairs.
        align: "procrustes", "pca" or "none"; see `alignbench.metrics.basis.to_shared_basis`.
        k: the width of the basis.
    """
    mean_x, mean_y = held.means()
    c, d = held.covariances()
    if align == "none":
        return _scores(c, d, mean_x - mean_y)
    center_x, center_y = train.means()
    fitted = train.covariances()
    axes_x, axes_y = (_axes(of, k, train.n, name) for of, name in zip(fitted, "xy", strict=True))
    if align == "procrustes":
        scale_x, scale_y = (
            1 / np.sqrt(np.trace(axes.T @ of @ axes))
            for axes, of in zip((axes_x, axes_y), fitted, strict=True)
        )
        left, _, right = np.linalg.svd(axes_x.T @ train.centered().cross.outer @ axes_y)
        axes_x, axes_y = axes_x @ (left @ right) * scale_x, axes_y * scale_y
    distance = (mean_x - center_x) @ axes_x - (mean_y - center_y) @ axes_y
    return _scores(axes_x.T @ c @ axes_x, axes_y.T @ d @ axes_y, distance)


def _scores(c: Matrix, d: Matrix, distance: Matrix) -> Mapping[str, float]:
    fidelity = nuclear_norm(_root(c) @ _root(d).T)
    coral = coral_distance_of(c, d)
    return {
        "coral_distance": coral,
        "coral_similarity": 1 / (1 + coral),
        "ncoral": ncoral_of(c, d),
        "mean_distance": float(np.linalg.norm(distance)),
        "bures_similarity": bounded(
            fidelity / np.sqrt(float(np.trace(c)) * float(np.trace(d))), (0, 1), "bures_similarity"
        ),
    }
