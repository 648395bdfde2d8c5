"""A shelf of the store with small vectors, and what it holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from alignbench.embed.index import parsed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.embed import Shelf

KEY = {"source": "a", "dtype": "float32"}


def items(n: int, start: int = 0) -> list[str]:
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(start, start + n)]


def vectors(n: int, start: int = 0) -> NDArray[np.float32]:
    return np.array([[i, i / 3, -i] for i in range(start, start + n)], dtype=np.float32)


def shards(shelf: Shelf) -> list[Path]:
    return sorted(shelf.folder.glob("*.safetensors"))


def assert_holds(shelf: Shelf, n: int, start: int = 0) -> None:
    stored = shelf.read(items(n, start))
    assert stored.there.all()
    assert np.array_equal(stored.values, vectors(n, start))


def index_of(shelf: Shelf) -> dict[str, list[str]]:
    """Return what the index says: shard -> items."""
    records, whole = parsed((shelf.folder / "index.bin").read_bytes())
    assert whole
    return {record.shard: [row.tobytes().hex() for row in record.items] for record in records}
