"""How well a map over an image's patches finds a box: pointing game, overlap, area under the ROC curve.

The unit is a patch, weighted by the share of its area that the box covers. The results are those for all
pixels, where each pixel has the value of its patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Edges = tuple[float, float, float, float]


def box_coverage(box: Edges, grid: tuple[int, int]) -> Array:
    """Return the share of each patch that a box covers, row by row: [rows · columns].

    Args:
        box: left, top, right and bottom edges as shares of width and height.
        grid: rows and columns of patches.
    """
    left, top, right, bottom = box
    rows, columns = grid
    down, across = _share(top, bottom, rows), _share(left, right, columns)
    return np.outer(down, across).ravel()


def union_coverage(boxes: Sequence[Edges], grid: tuple[int, int]) -> Array:
    """Return the share of each patch that several boxes, which don't overlap, cover together, at most 1."""
    shares: Array = np.minimum(1.0, np.sum([box_coverage(box, grid) for box in boxes], axis=0))
    return shares


def grid_of(patches: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of rows and columns of patches that tile pixels of (height, width) row by row.

    Raises:
        InputError: there is no such grid.
    """
    rows = round((patches * size[0] / size[1]) ** 0.5)
    if rows < 1 or patches % rows:
        raise InputError(f"{patches} patches make no grid over {size[0]} x {size[1]} pixels")
    return rows, patches // rows


def pointing_game(values: Array, inside: Array) -> Array:
    """Return the covered share of the highest patch, in [0, 1]; the mean if several are tied: [...].

    Args:
        values: the map [p].
        inside: the covered share of each patch, for one box or for several [..., p].

    Source:
        Zhang et al. (2016), Top-down Neural Attention by Excitation Backprop; there, hits are of single
        pixels.
    """
    values, inside = _checked(values, inside)
    share: Array = inside[..., values == values.max()].mean(axis=-1)
    return share


def overlap_iou(values: Array, inside: Array) -> Array:
    """Return the intersection over union of a box and the highest patches, as many as the box covers: [...].

    The map need not know the object's size: it is given; only the place has to be found.

    Args:
        values: the map [p].
        inside: the covered share of each patch, for one box or for several [..., p].
    """
    values, inside = _checked(values, inside)
    ordered = inside[..., np.argsort(-values, kind="stable")]
    size = _size(inside)
    hits = np.take_along_axis(np.cumsum(ordered, axis=-1), (size - 1)[..., None], axis=-1)[..., 0]
    return _iou(hits, size, inside.sum(axis=-1))


def overlap_of_chance(inside: Array) -> Array:
    """Return `overlap_iou` at the intersection that randomly chosen patches have on average: [...]."""
    size, area = _size(inside), inside.sum(axis=-1)
    return _iou(size * area / inside.shape[-1], size, area)


def localisation_auc(values: Array, inside: Array) -> Array:
    """Return the probability that a pixel inside has a higher value than one outside, .5 is chance: [...].

    Args:
        values: the map [p]; if two values are equal, either counts half.
        inside: the covered share of each patch, for one box or for several [..., p].

    Raises:
        DegenerateError: nothing is inside, or nothing is outside.
    """
    values, inside = _checked(values, inside)
    order = np.argsort(values, kind="stable")
    # Patches with the same value are tied, so their pixels are summed first.
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    hits = np.add.reduceat(inside[..., order], starts, axis=-1)
    misses = np.add.reduceat(1 - inside[..., order], starts, axis=-1)
    total = hits.sum(axis=-1) * misses.sum(axis=-1)
    if np.any(total <= 0):
        raise DegenerateError("localisation: a box is empty, or all of the image")
    below = np.cumsum(misses, axis=-1) - misses / 2
    auc: Array = (hits * below).sum(axis=-1) / total
    return auc


def _share(low: float, high: float, n: int) -> Array:
    edges = np.arange(n + 1) / n
    covered = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    shares: Array = np.clip(covered * n, 0.0, 1.0)
    return shares


def _size(inside: Array) -> NDArray[np.intp]:
    size: NDArray[np.intp] = np.maximum(1, np.round(inside.sum(axis=-1))).astype(np.intp)
    return size


def _iou(intersection: Array, size: NDArray[np.intp], area: Array) -> Array:
    return intersection / (size + area - intersection)


def _checked(values: Array, inside: Array) -> tuple[Array, Array]:
    values, inside = np.asarray(values, dtype=np.float64), np.asarray(inside, dtype=np.float64)
    if values.ndim != 1 or inside.shape[-1:] != values.shape or not np.isfinite(values).all():
        raise InputError(
            f"a map: expected finite values [p] and boxes [..., p], got {values.shape} and {inside.shape}"
        )
    return values, inside
