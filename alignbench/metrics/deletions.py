"""Scores without each block of rows, from one n x n matrix or from one pass over the moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.checks import pair_to_center
from alignbench.metrics.derived import derived
from alignbench.metrics.downdating import DOWNDATED_FROM, KernelSums
from alignbench.metrics.kernels import centered_gram, centered_side, doubly_centered
from alignbench.metrics.moments import Moments
from alignbench.metrics.sums import LinearSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.downdating import CenteredSums

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

KERNELS_UP_TO = 5700  # rows: up to here, the kernels that closed nulls need are kept for what follows


def without(kernel: Matrix, block: Indices) -> Matrix:
    """Return the kernel of the rows that are not in `block`."""
    keep = np.delete(np.arange(len(kernel)), block)
    return kernel[keep].take(keep, axis=1)


def deletion_sums(x: Matrix, y: Matrix, blocks: Sequence[Indices]) -> tuple[LinearSums, ...]:
    """Return the sums of all linear-kernel scores without each block of rows.

    Up to KERNELS_UP_TO rows, they come from the kernels: from sub-matrices, or above DOWNDATED_FROM rows from
    sums of the whole minus those of the block. Beyond KERNELS_UP_TO, they come from the moments minus those
    of the block, in a second pass.
    """
    a, b = pair_to_center(x, y, 3)
    what = "without", *(block.tobytes() for block in blocks)
    return derived(what, (a, b), lambda: tuple(_deletion_sums(a, b, blocks)))


def _deletion_sums(a: Matrix, b: Matrix, blocks: Sequence[Indices]) -> Iterator[LinearSums]:
    if len(a) > KERNELS_UP_TO:
        a, b = centered_side(a, "x"), centered_side(b, "y")
        total = Moments.from_arrays(a, b)
        for block in blocks:
            yield total.without(Moments.from_arrays(a[block], b[block])).sums()
        return
    kernel_x, kernel_y = centered_gram(a, "x"), centered_gram(b, "y")

    def rows_of(some: slice | Indices) -> Matrix:
        return np.stack([kernel_x[some], kernel_y[some]])

    whole = KernelSums.of(rows_of, 2, len(a)) if len(a) > DOWNDATED_FROM else None
    for block in blocks:
        left = None if whole is None else whole.without(block)
        if left is None:
            yield LinearSums.of_kernels(
                doubly_centered(without(kernel_x, block)), doubly_centered(without(kernel_y, block))
            )
        else:
            yield _linear_sums(left)


def _linear_sums(left: CenteredSums) -> LinearSums:
    x, y = left.diagonals
    return LinearSums(
        n=len(x),
        xy=float(left.inner[0, 1]),
        xx=float(left.inner[0, 0]),
        yy=float(left.inner[1, 1]),
        trace_x=float(x.sum()),
        trace_y=float(y.sum()),
        square_x=float(x @ x),
        square_y=float(y @ y),
        product=float(x @ y),
    )
