"""The CORAL family from moments: a basis from those of one half, covariances from those of the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.coral_family import scores_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def based_scores(
    train: Moments,
    held: Moments,
    align: str,
    k: int,
    known: Callable[[int, Callable[[], Matrix]], Matrix] = lambda _, compute: compute(),
) -> Mapping[str, float]:
    """Return the scores of the CORAL family by name.

    Args:
        train: the moments of the pairs that the basis is fitted to.
        held: those of the pairs that are scored; the same where nothing is fitted to pairs.
        align: "procrustes", "pca" or "none"; see `alignbench.metrics.basis.to_shared_basis`.
        k: the width of the basis.
        known: (0 or 1, compute) -> the axes of x or y, computed if they are not known from another pair.
    """
    mean_x, mean_y = held.means()
    c, d = held.covariances()
    if align == "none":
        return scores_of(c, d, mean_x - mean_y)
    center_x, center_y = train.means()
    fitted = train.covariances()
    axes_x, axes_y = (
        known(place, partial(_axes, of, k, train.n, "xy"[place])) for place, of in enumerate(fitted)
    )
    if align == "procrustes":
        scale_x, scale_y = (
            1 / np.sqrt(np.trace(axes.T @ of @ axes))
            for axes, of in zip((axes_x, axes_y), fitted, strict=True)
        )
        left, _, right = np.linalg.svd(axes_x.T @ train.centered().cross.outer @ axes_y)
        axes_x, axes_y = axes_x @ (left @ right) * scale_x, axes_y * scale_y
    distance = (mean_x - center_x) @ axes_x - (mean_y - center_y) @ axes_y
    return scores_of(axes_x.T @ c @ axes_x, axes_y.T @ d @ axes_y, distance)
