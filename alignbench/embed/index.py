"""The index of a shelf: a compact file that says which row of which shard has which item.

It has one record per shard, which is appended when the shard is written:

| bytes | content |
|---|---|
| 4 | `abi1` |
| 4 | the CRC-32 of all that follows, little-endian |
| 4 | the number of rows r, little-endian |
| 32 | the shard's sha256 |
| 32 r | the item of each row, a sha256 |

So an item takes 32 bytes, and a shard of 256 rows 44 more. The index only saves reading all shards: what is
damaged in it is made anew from them, and every row that is read is compared with the item it was read for.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Items = NDArray[np.uint8]

ITEM = 32
_MAGIC = b"abi1"
_START = struct.Struct("<4sI")
_HEAD = struct.Struct("<I32s")


def digests(items: Sequence[str]) -> Items:
    """Return items, given as sha256 in hex, as bytes [n, 32]."""
    return np.frombuffer(bytes.fromhex("".join(items)), dtype=np.uint8).reshape(len(items), ITEM)


@dataclass(frozen=True, slots=True)
class Record:
    """A shard (its sha256 in hex) and the items of its rows [r, 32]."""

    shard: str
    items: Items

    def encoded(self) -> bytes:
        """Return the record as it is written."""
        body = _HEAD.pack(len(self.items), bytes.fromhex(self.shard)) + self.items.tobytes()
        return _START.pack(_MAGIC, zlib.crc32(body)) + body


def parsed(content: bytes) -> tuple[list[Record], bool]:
    """Return the records up to the first damaged one, as views of the content, and whether all are whole."""
    view, place = memoryview(content), 0
    records: list[Record] = []
    while place < len(view):
        body = place + _START.size
        rows = body + _HEAD.size
        if rows > len(view):
            return records, False
        magic, checksum = _START.unpack_from(view, place)
        count, shard = _HEAD.unpack_from(view, body)
        end = rows + count * ITEM
        if magic != _MAGIC or end > len(view) or zlib.crc32(view[body:end]) != checksum:
            return records, False
        items = np.frombuffer(view[rows:end], dtype=np.uint8).reshape(count, ITEM)
        records.append(Record(shard.hex(), items))
        place = end
    return records, True


@dataclass(frozen=True, slots=True)
class Places:
    """Where items are.

    Args:
        items: the items [n, 32].
        shards: the shards' names.
        shard: the position of each item's shard among them [n]; −1 if none has it.
        row: each item's row in its shard [n].
    """

    items: Items
    shards: tuple[str, ...]
    shard: NDArray[np.int32]
    row: NDArray[np.int32]

    @classmethod
    def of(cls, records: Iterable[Record], items: Items) -> Places:
        """Return the places of items [n, 32]; of several the one in the first record."""
        shard, row = (np.full(len(items), -1, dtype=np.int32) for _ in range(2))
        names: list[str] = []
        if len(items):
            known, first, inverse = np.unique(_starts(items), return_index=True, return_inverse=True)
            shard_of, row_of = (np.full(len(known), -1, dtype=np.int32) for _ in range(2))
            for record in records:
                starts = _starts(record.items)
                at = np.minimum(np.searchsorted(known, starts), len(known) - 1)
                new = np.flatnonzero((known[at] == starts) & (shard_of[at] < 0))
                new = new[(items[first[at[new]]] == record.items[new]).all(axis=1)]
                if len(new):
                    shard_of[at[new]], row_of[at[new]] = len(names), new
                    names.append(record.shard)
            shard, row = shard_of[inverse], row_of[inverse]
            # Items with equal starts are one to `unique`; only the first of them was compared.
            shard[(items[first[inverse]] != items).any(axis=1)] = -1
        return cls(items, tuple(names), shard, row)

    def part(self, rows: slice) -> Places:
        """Return the places of some of the items."""
        return Places(self.items[rows], self.shards, self.shard[rows], self.row[rows])

    def by_shard(self) -> list[tuple[str, NDArray[np.intp]]]:
        """Return each shard that has some of the items, and which ones."""
        order = np.argsort(self.shard, kind="stable")
        numbers, starts = np.unique(self.shard[order], return_index=True)
        parts = np.split(order, starts[1:])
        return [(self.shards[number], of) for number, of in zip(numbers, parts, strict=True) if number >= 0]


def _starts(items: Items) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each item, which hardly ever agree by chance."""
    starts: NDArray[np.uint64] = np.ascontiguousarray(items[:, :8]).view("<u8")[:, 0]
    return starts
