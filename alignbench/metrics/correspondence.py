"""Correspondence: whether the patch that is most similar to a point lies at that point of another image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.rows import unit_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

TIED = 1e-7  # cosines that differ by less are equal: patches are float32


def patch_centres(grid: tuple[int, int]) -> Array:
    """Return the centre of each patch, row by row, as shares of width and height: [p, 2]."""
    rows, columns = grid
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.column_stack([(x + 0.5) / columns, (y + 0.5) / rows])


def point_features(patches: ArrayLike, grid: tuple[int, int], points: ArrayLike) -> Array:
    """Return the features at points between the centres of patches, by bilinear interpolation: [k, d].

    A point between the border and the centres of the outermost patches has the features of the border's.

    Args:
        patches: the features of the patches, row by row [p, d].
        grid: rows and columns of patches.
        points: x and y as shares of the image's width and height [k, 2].

    Raises:
        InputError: patches and grid differ, or points are not finite or outside the image.
    """
    values, at = _patches(patches, grid), np.asarray(points, dtype=np.float64)
    if at.ndim != 2 or at.shape[1] != 2 or not ((at >= 0) & (at <= 1)).all():
        raise InputError(f"points: expected shares of the image [k, 2] between 0 and 1, got {at.shape}")
    rows, columns = grid
    x = np.clip(at[:, 0] * columns - 0.5, 0, columns - 1)
    y = np.clip(at[:, 1] * rows - 0.5, 0, rows - 1)
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right, bottom = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    above = (1 - across) * values[top * columns + left] + across * values[top * columns + right]
    below = (1 - across) * values[bottom * columns + left] + across * values[bottom * columns + right]
    features: Array = (1 - down) * above + down * below
    return features


def nearest_patches(features: ArrayLike, patches: ArrayLike) -> Array:
    """Return the weight of each patch as the match of each feature: 1 for that of the largest cosine, [k, p].

    Tied patches share the weight, so that features that are all alike match every patch equally.

    Args:
        features: the features to find [k, d].
        patches: the features of the patches [p, d].
    """
    cosines = _unit(features) @ _unit(patches).T
    best = cosines >= cosines.max(axis=1, keepdims=True) - TIED
    weights: Array = best / best.sum(axis=1, keepdims=True)
    return weights


def within_reach(
    grid: tuple[int, int], size: tuple[float, float], points: ArrayLike, reach: float
) -> NDArray[np.bool_]:
    r"""Return which patches would be correct matches of points: $\lVert c_j - y_i\rVert < r$, [k, p].

    Args:
        grid: rows and columns of patches.
        size: width and height of the image in pixels.
        points: the true places $y_i$ in pixels [k, 2].
        reach: $r$ in pixels: α times the longer side of the object's box.

    Source:
        PCK of Yang and Ramanan (2013) with the box of the object, as in SPair-71k (arXiv 1908.10543).
    """
    centres = patch_centres(grid) * np.asarray(size, dtype=np.float64)
    distances = np.linalg.norm(centres[None] - np.asarray(points, dtype=np.float64)[:, None], axis=2)
    near: NDArray[np.bool_] = distances < reach
    return near


def _patches(patches: ArrayLike, grid: tuple[int, int]) -> Array:
    values = np.asarray(patches, dtype=np.float64)
    if values.ndim != 2 or len(values) != grid[0] * grid[1]:
        raise InputError(f"patches: expected {grid[0]} rows of {grid[1]} patches, got shape {values.shape}")
    return values


def _unit(values: ArrayLike) -> Array:
    return np.asarray(unit_rows(np.asarray(values, dtype=np.float64)), dtype=np.float64)
