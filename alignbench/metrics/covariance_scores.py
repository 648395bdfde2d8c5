"""Scores of the CORAL family of two sides in one basis, from their covariances and means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.checks import bounded
from alignbench.metrics.procrustes import nuclear_norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def unit_trace(matrix: Matrix) -> Matrix:
    """Return a covariance scaled to trace 1, which keeps its shape and drops its size."""
    scaled: Matrix = matrix / np.trace(matrix)
    return scaled


def coral_distance_of(c: Matrix, d: Matrix) -> float:
    """Return the CORAL distance of two covariances [d, d]; see `coral_distance`."""
    with np.errstate(over="ignore", invalid="ignore"):
        gap = c - d
        value = float(np.square(gap, out=gap).sum()) / (4 * len(c) ** 2)
    return bounded(value, (0, np.inf), "coral_distance")


def ncoral_of(c: Matrix, d: Matrix) -> float:
    """Return ncoral of two covariances [d, d]; see `ncoral`."""
    c, d = unit_trace(c), unit_trace(d)
    value = float(np.square(c - d).sum() / (np.square(c).sum() + np.square(d).sum()))
    return bounded(value, (0, 1), "ncoral")


def scores_of(c: Matrix, d: Matrix, distance: Matrix) -> dict[str, float]:
    """Return the scores of two sides in a basis by name.

    Args:
        c: x's covariance [d, d].
        d: y's.
        distance: x's mean minus y's [d].
    """
    coral = coral_distance_of(c, d)
    fidelity = nuclear_norm(_root_of(c) @ _root_of(d).T)
    return {
        "coral_distance": coral,
        "coral_similarity": 1 / (1 + coral),
        "ncoral": ncoral_of(c, d),
        "mean_distance": float(np.linalg.norm(distance)),
        "bures_similarity": bounded(
            fidelity / np.sqrt(float(np.trace(c)) * float(np.trace(d))), (0, 1), "bures_similarity"
        ),
    }


def _root_of(covariance: Matrix) -> Matrix:
    """Return a matrix R with RᵀR = C."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64).T
    except np.linalg.LinAlgError:  # there is a direction without variance
        values, vectors = np.linalg.eigh(covariance)
        root: Matrix = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        return root


def shrunk_scores_of(c: Matrix, d: Matrix) -> dict[str, float]:
    """Return the scores of two Ledoit-Wolf covariances [d, d] by name."""
    return {"coral_distance_lw": coral_distance_of(c, d), "ncoral_lw": ncoral_of(c, d)}
