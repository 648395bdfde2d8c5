"""Fixed shards of a data set: by position, so that they are the same whoever works on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from alignbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Texts are put into batches within a shard. With texts of 2 to 400 tokens, shards of 1,024 cost 2 % more than
# one batch plan for 2,000 texts, shards of 256 cost 7 % more (measured, with the costs of embed/batches.py).
SHARD_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows at some positions of a data set, as far as they are wanted.

    Args:
        number: its number, from 0.
        start: the first position that belongs to it.
        stop: the position after the last one.
        rows: the wanted ones among them, in order.
    """

    number: int
    start: int
    stop: int
    rows: tuple[int, ...]

    @property
    def name(self) -> str:
        """What messages call it; shards and rows count from 1 there."""
        return f"shard {self.number + 1} (rows {self.start + 1:,} to {self.stop:,})"


def cut(rows: Iterable[int], size: int, total: int) -> list[Shard]:
    """Return the shards of a data set that have any of these rows.

    Which shard a row belongs to depends on nothing but its position.

    Args:
        rows: the wanted positions, ascending.
        size: the number of positions of a shard; the last one may have fewer.
        total: the number of rows of the data set.

    Raises:
        InputError: a shard would be empty.
    """
    if size < 1:
        raise InputError(f"shards: expected at least 1 row in each, got {size}")
    return [
        Shard(number, number * size, min((number + 1) * size, total), tuple(of))
        for number, of in groupby(rows, lambda row: row // size)
    ]
