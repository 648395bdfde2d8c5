"""The place of a task's vectors in the store."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.embed.models import dtype_of, key_of
from alignbench.embed.stored import Stored
from alignbench.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from alignbench.embed.cache import EmbeddingStore, Shelf
    from alignbench.embed.task import EmbeddingTask


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a task's vectors.

    Args:
        name: the model's name.
        arithmetic: the dtype's name.
        shelf: None for a model that can't identify itself: it is not cached.
        items: the item of each row.
    """

    name: str
    arithmetic: str
    shelf: Shelf | None
    items: list[str]

    def holds(self) -> NDArray[np.bool_]:
        """Return which rows' vectors are available."""
        return np.zeros(len(self.items), dtype=bool) if self.shelf is None else self.shelf.holds(self.items)

    def read(self) -> Stored:
        """Return the available vectors."""
        with of_one_shape(self.name):
            return Stored.empty(len(self.items)) if self.shelf is None else self.shelf.read(self.items)

    def blocks(self, start: int, rows: int) -> Iterator[Stored]:
        """Yield the available vectors from a row on, this many at a time; only of a model that is cached."""
        with of_one_shape(self.name):
            yield from () if self.shelf is None else self.shelf.blocks(self.items[start:], rows)

    def lacks(self, there: NDArray[np.bool_]) -> dict[int, list[int]]:
        """Return the rows to compute, ascending, and with each all rows of the same item."""
        rows: dict[str, list[int]] = {}
        for row in np.flatnonzero(~there).tolist():
            rows.setdefault(self.items[row], []).append(row)
        return {of[0]: of for of in rows.values()}

    def locked(self) -> AbstractContextManager[object]:
        """Keep other processes from computing the same."""
        return nullcontext() if self.shelf is None else self.shelf.lock()


def place_of(task: EmbeddingTask[Any, Any], store: EmbeddingStore, device: str, dtype: str) -> Place:
    """Return the place of a task's vectors, as far as the model is known at this moment."""
    arithmetic = dtype_of(task.model, device, dtype)
    key = key_of(task.model, arithmetic, task.output)
    return Place(task.name, arithmetic, None if key is None else store.shelf(key), task.items(key or {}))


@contextmanager
def of_one_shape(name: str) -> Iterator[None]:
    """Name the model whose vectors differ in shape."""
    try:
        yield
    except InputError as error:
        raise ModelError(f"{name}: its {error}") from error
