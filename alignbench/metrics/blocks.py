"""Matrices of all rows with all rows, a few rows at a time: so that they stay in the cache or fit memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


FEW = 300  # up to this many rows, the form of a product makes no difference in time
CACHED = 100_000  # numbers that are worked on at once
SMALLEST_BUFFER = 16  # numbers; numpy accepts no smaller buffer


@contextmanager
def unbuffered() -> Iterator[None]:
    """Return a context in which a vector is combined with the rows of a matrix in half the time or less.

    From version 2.3 on, numpy copies such a vector into a buffer again and again, unless a row is longer than
    the buffer. Results of operations number by number are the same; the order of a sum may not be, so sums
    of columns stay outside.
    """
    with np.errstate():  # which restores the buffer, too
        np.setbufsize(SMALLEST_BUFFER)
        yield


def row_blocks(m: int, n: int) -> Iterator[slice]:
    """Yield the rows of a matrix [m, n], a few at a time."""
    step = max(1, CACHED // n)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))
