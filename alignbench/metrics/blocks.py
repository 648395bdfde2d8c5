"""Matrices of all rows with all rows, a few rows at a time: so that they stay in the cache or fit memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


FEW = 300  # up to this many rows, the form of a product makes no difference in time
CACHED = 100_000  # numbers that are worked on at once


def row_blocks(m: int, n: int) -> Iterator[slice]:
    """Yield the rows of a matrix [m, n], a few at a time."""
    step = max(1, CACHED // n)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))
