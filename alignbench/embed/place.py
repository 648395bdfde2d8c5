"""The place of a task's vectors in the store."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.embed.models import dtype_of, key_of
from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from alignbench.embed.cache import EmbeddingStore, Shelf
    from alignbench.embed.models import Vectors
    from alignbench.embed.task import EmbeddingTask


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a task's vectors.

    Args:
        arithmetic: the dtype's name.
        shelf: None for a model that can't identify itself: it is not cached.
        items: the item of each row.
    """

    arithmetic: str
    shelf: Shelf | None
    items: list[str]

    def known(self) -> dict[str, Vectors]:
        """Return the available vectors, by item."""
        return {} if self.shelf is None else self.shelf.read(self.items)

    def lacks(self, known: dict[str, Vectors]) -> list[int]:
        """Return the rows without a vector, one per item."""
        first = {item: row for row, item in reversed(list(enumerate(self.items)))}
        return sorted(row for item, row in first.items() if item not in known)

    def locked(self) -> AbstractContextManager[object]:
        """Keep other processes from computing the same."""
        return nullcontext() if self.shelf is None else self.shelf.lock()


def place_of(task: EmbeddingTask[Any, Any], store: EmbeddingStore, device: str, dtype: str) -> Place:
    """Return the place of a task's vectors, as far as the model is known at this moment."""
    arithmetic = dtype_of(task.model, device, dtype)
    key = key_of(task.model, arithmetic, task.output)
    return Place(arithmetic, None if key is None else store.shelf(key), task.items(key or {}))


def stacked(vectors: Sequence[Vectors], name: str) -> Vectors:
    """Return the vectors as rows of one array.

    Raises:
        ModelError: they differ in shape.
    """
    if len({vector.shape for vector in vectors}) > 1:
        raise ModelError(f"{name}: its vectors differ in shape: {sorted({v.shape for v in vectors})}")
    return np.stack(vectors)
