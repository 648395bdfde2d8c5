"""Square arrays as images; their rows and columns are samples, sorted by data type."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray


def show_array(ax: Axes, array: NDArray[np.float64], cmap: str, low: float, high: float) -> AxesImage:
    """Draw an array as an image whose axes count its rows and columns; a large array is drawn coarsely."""
    look: Any = {"cmap": cmap, "vmin": low, "vmax": high, "interpolation": "nearest"}
    rows, columns = array.shape
    image = ax.imshow(coarse(array), extent=(0, columns, rows, 0), **look)
    ax.set(xticks=[], yticks=[])
    return image


def coarse(matrix: NDArray[np.float64], most: int = 256) -> NDArray[np.float64]:
    """Return the matrix with blocks of cells averaged until no side is longer than `most`."""
    step = -(-max(matrix.shape) // most)
    if step <= 1:
        return matrix
    edges = [np.arange(0, side, step) for side in matrix.shape]
    sums = np.add.reduceat(np.add.reduceat(matrix, edges[0], axis=0), edges[1], axis=1)
    sizes = [np.diff(np.append(edge, side)) for edge, side in zip(edges, matrix.shape, strict=True)]
    return np.asarray(sums / np.outer(*sizes))


def type_ticks(ax: Axes, labels: Sequence[str], named: bool) -> None:
    """Mark where each data type begins, and write its name on the left, at its middle."""
    start = 0
    middles, names = [], []
    for label, members in groupby(labels):
        length = len(list(members))
        middles.append(start + length / 2)
        names.append(fit(clean(label), 14))
        start += length
        if start < len(labels):
            ax.axhline(start, color="white", linewidth=0.6)
            ax.axvline(start, color="white", linewidth=0.6)
    ax.set_xticks([])
    ax.set_yticks(middles, names if named else [""] * len(names))


def mean_cosines(cosine: NDArray[np.float64], labels: Sequence[str], *, within: bool) -> str:
    """Return the mean cosines within a data type and between data types, as a text.

    Args:
        cosine: [n, n].
        labels: the data type of each row.
        within: whether rows and columns are the same samples; their cosines with themselves are then left
            out. Otherwise they are the two halves of pairs, and pairs get a mean of their own.
    """
    names = np.asarray(labels)
    same_type = names[:, None] == names[None, :]
    diagonal = np.eye(len(names), dtype=bool)
    if within:
        parts = {"within": same_type & ~diagonal, "between": ~same_type}
    else:
        parts = {"own": diagonal, "type": same_type & ~diagonal, "others": ~same_type}
    return ", ".join(
        f"{word} {number(float(cosine[cells].mean()))}" for word, cells in parts.items() if cells.any()
    )
