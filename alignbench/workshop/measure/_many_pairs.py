"""Synthetic vectors on the disk, for measurements of many pairs; and the memory that is used beside them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignbench.types import Embeddings, ModelInfo, Pair

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_ROWS = 8192
_FACTORS = 32
TYPES = ("chart", "document", "table")


def written(folder: Path, name: str, rows: int, width: int, number: int) -> Vectors:
    """Write vectors [rows, width] of unit length and return them, memory-mapped.

    All models' vectors share the same factors and types, row by row, and each has noise of its own.
    """
    path = folder / f"{name}.npy"
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, width))
    mixing = np.random.default_rng([1, number]).standard_normal((_FACTORS, width)).astype(np.float32)
    for start in range(0, rows, _ROWS):
        size = min(_ROWS, rows - start)
        shared = np.random.default_rng([2, start]).standard_normal((size, _FACTORS), dtype=np.float32)
        shared[:, : len(TYPES)] += 2 * np.eye(len(TYPES), dtype=np.float32)[types_of(start, size)]
        noise = np.random.default_rng([3, number, start]).standard_normal((size, width), dtype=np.float32)
        block = shared @ mixing + 6 * noise + 1
        values[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    values.flush()
    del values
    mapped: Vectors = np.lib.format.open_memmap(path, mode="r")
    return mapped


def types_of(start: int, size: int) -> NDArray[np.intp]:
    """Return the type of each of these rows, as a number."""
    return np.arange(start, start + size) // 7 % len(TYPES)


def pair_of(x: Vectors, y: Vectors) -> Pair:
    """Return a pair of vectors [n, dx] and [n, dy], each row of which is a group."""
    ids = tuple(map(str, range(len(x))))
    labels = tuple(TYPES[number] for number in types_of(0, len(x)).tolist())
    vision = Embeddings(ModelInfo("eye", "vision", "other", "eye", "arrays"), x, ids)
    text = Embeddings(ModelInfo("mind", "text", "other", "mind", "arrays"), y, ids)
    return Pair(vision, text, labels, ids, "synthetic")


class Memory:
    """The largest memory of this process beside mapped files, in MiB, sampled every 50 ms; Linux only."""

    def __enter__(self) -> Self:
        """Begin to sample."""
        self.peak, self._stopped = _anonymous_mib(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stopped.wait(0.05):
            self.peak = max(self.peak, _anonymous_mib())


def _anonymous_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))
