"""Scores without each block of rows, from one n x n matrix or from one pass over the moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.kernels import GRAM_LIMIT, centered_sides, doubly_centered
from alignbench.metrics.moments import Moments
from alignbench.metrics.sums import LinearSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def without(kernel: Matrix, block: NDArray[np.intp]) -> Matrix:
    """Return the kernel of the rows that are not in `block`."""
    keep = np.delete(np.arange(len(kernel)), block)
    return kernel[keep].take(keep, axis=1)


def deletion_sums(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> Iterator[LinearSums]:
    """Yield the sums of all linear-kernel scores without each block of rows.

    Up to GRAM_LIMIT rows, they come from sub-matrices of the kernels; beyond that, from the moments minus
    those of the block, in a second pass.
    """
    a, b = centered_sides(x, y, 3)
    if len(a) <= GRAM_LIMIT:
        kernel_x, kernel_y = a @ a.T, b @ b.T
        for block in blocks:
            yield LinearSums.of_kernels(
                doubly_centered(without(kernel_x, block)), doubly_centered(without(kernel_y, block))
            )
        return
    total = Moments.from_arrays(a, b)
    for block in blocks:
        yield total.without(Moments.from_arrays(a[block], b[block])).sums()
