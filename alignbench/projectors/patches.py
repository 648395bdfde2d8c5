"""Reducing the number and width of patches: the cost of a projector that reads them is proportional to both.

On 49 patches of 1,280 numbers per image, a training took 30 times as long as on patches of 192 numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PATCHES = 64  # that "cross_attention" reads of an image, as an 8 by 8 grid
MOST_WIDTH = 256  # the number of dimensions in which it reads them


def grid(values: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Return patches averaged over a grid of at most `most` cells: [n, p, d] to [n, cells, d].

    If the number of patches is a square, the image is assumed to be square; otherwise, consecutive patches
    are averaged. If there are no more patches than `most`, they are returned unchanged.
    """
    n, p, d = values.shape
    if p <= most:
        return values
    import torch
    from torch.nn import functional

    patches = torch.from_numpy(np.ascontiguousarray(values)).transpose(1, 2)
    side, cells = math.isqrt(p), math.isqrt(most)
    if side * side == p:
        pooled = functional.adaptive_avg_pool2d(patches.reshape(n, d, side, side), cells).flatten(2)
    else:
        pooled = functional.adaptive_avg_pool1d(patches, most)
    averaged: NDArray[np.float32] = pooled.transpose(1, 2).contiguous().numpy()
    return averaged


def principal_axes(centred: NDArray[np.float64]) -> NDArray[np.float32] | None:
    r"""Return the directions of the largest variance of patches, [d, MOST_WIDTH].

    They are the leading eigenvectors of $\sum_i p_i p_i^\top$. The result is None if patches have no more
    dimensions than that.

    Args:
        centred: the patches of the training images [n, p, d], minus their mean; no other image takes part.
    """
    width = centred.shape[-1]
    if width <= MOST_WIDTH:
        return None
    from scipy.linalg import eigh

    rows = centred.reshape(-1, width).astype(np.float32)
    _, axes = eigh(rows.T @ rows, subset_by_index=(width - MOST_WIDTH, width - 1))
    # The sign of an eigenvector is arbitrary: the entry with the largest size is made positive.
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    turned: NDArray[np.float32] = np.ascontiguousarray((axes * signs)[:, ::-1], dtype=np.float32)
    return turned


def width_read(x: NDArray[np.float32]) -> int:
    """Return the number of dimensions in which a projector reads vectors [n, d] or patches [n, p, d]."""
    width = int(x.shape[-1])
    return min(width, MOST_WIDTH) if x.ndim == 3 else width
