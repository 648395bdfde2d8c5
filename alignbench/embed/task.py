"""A piece of embedding: what is known of it, and the computing and keeping of what is missing."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.embed.cache import ROWS_PER_SHARD, EmbeddingStore, Shelf
from alignbench.embed.models import dtype_of, info_of, key_of, loaded
from alignbench.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.progress import Progress
    from alignbench.types import ModelInfo

    # Rows (positions among those asked for) and their vectors, in any order.
    Encode = Callable[[Sequence[int]], Iterator[tuple[Sequence[int], Vectors]]]
    # What each row's vector is kept under, given the model's key.
    Items = Callable[[dict[str, Any]], list[str]]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be embedded, by what, and how to do a part of it."""

    model: Any
    side: Literal["vision", "text"]
    ids: tuple[str, ...]
    items: Items
    encode: Encode
    device: str
    dtype: str
    output: Output = "vectors"

    def place(self, store: EmbeddingStore) -> Place:
        """Return where the vectors are kept."""
        return Place.of(self.model, self.items, self.device, self.dtype, store, self.output)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task's vectors are kept, as far as is known of the model at this moment.

    Args:
        arithmetic: the dtype's name.
        shelf: None for a model that can't say what it is: nothing of it is kept.
        items: each row's item.
    """

    arithmetic: str
    shelf: Shelf | None
    items: list[str]

    @classmethod
    def of(
        cls,
        model: Any,
        items: Items,
        device: str,
        dtype: str,
        store: EmbeddingStore,
        output: Output = "vectors",
    ) -> Place:
        """Return the place of a model's output in a store."""
        arithmetic = dtype_of(model, device, dtype)
        key = key_of(model, arithmetic, output)
        return cls(arithmetic, None if key is None else store.shelf(key), items(key or {}))

    def known(self) -> dict[str, Vectors]:
        """Return the vectors that are there, by item."""
        return {} if self.shelf is None else self.shelf.read(self.items)

    def lacks(self, known: dict[str, Vectors]) -> list[int]:
        """Return the rows without a vector, one an item."""
        first = {item: row for row, item in reversed(list(enumerate(self.items)))}
        return sorted(row for item, row in first.items() if item not in known)


def vectors_of(
    task: Task,
    store: EmbeddingStore,
    progress: Progress,
    on_load: OnLoad | None,
    beside: Sequence[Task] = (),
) -> tuple[ModelInfo, Vectors]:
    """Return all rows' vectors as the store has them: from the model where they are missing.

    While the model is loaded, other tasks of the same model may put their vectors into the store, too.
    """
    name = info_of(task.model, task.side, "").name
    if not task.ids:
        raise InputError(f"{name}: there is nothing to embed")
    place = task.place(store)
    known = place.known()
    if place.lacks(known):
        with _locked(place):
            # Another process may have done it while this one waited for the lock.
            place = task.place(store)
            known = place.known()
            if place.lacks(known):
                with loaded(task.model, name, task.device, task.dtype, on_load, task.side):
                    # Of a model that had to be downloaded, all is known only now.
                    place = task.place(store)
                    known = place.known()
                    _compute(task, place, known, name, progress)
                    for other in beside:
                        _compute_beside(other, store, name, progress)
    info = info_of(task.model, task.side, place.arithmetic)
    return info, _stacked([known[item] for item in place.items], name)


def _compute_beside(task: Task, store: EmbeddingStore, name: str, progress: Progress) -> None:
    place = task.place(store)
    if place.shelf is None:
        return  # it would be forgotten at once
    # What goes wrong here goes wrong again for whoever asks for these vectors, and is theirs to report.
    with suppress(Exception), _locked(place):
        known = place.known()
        if place.lacks(known):
            _compute(task, place, known, name, progress)


def _locked(place: Place) -> AbstractContextManager[object]:
    return nullcontext() if place.shelf is None else place.shelf.lock()


def _compute(task: Task, place: Place, known: dict[str, Vectors], name: str, progress: Progress) -> None:
    """Add the vectors that `known` lacks, and keep them, a shard at a time."""
    rows = place.lacks(known)
    pending: list[str] = []

    def keep() -> None:
        if pending and place.shelf is not None:
            place.shelf.write(pending, _stacked([known[item] for item in pending], name))
        pending.clear()

    progress.start(len(rows), f"{name}: {'images' if task.side == 'vision' else 'texts'}")
    try:
        for of, vectors in task.encode(rows):
            for row, vector in zip(of, vectors, strict=True):
                known[place.items[row]] = vector
                pending.append(place.items[row])
                if len(pending) == ROWS_PER_SHARD:
                    keep()
            progress.advance(len(of))
    finally:
        progress.close()
        keep()  # what an error or Ctrl-C leaves is good, too


def _stacked(vectors: Sequence[Vectors], name: str) -> Vectors:
    if len({vector.shape for vector in vectors}) > 1:
        raise ModelError(f"{name}: its vectors differ in shape: {sorted({v.shape for v in vectors})}")
    return np.stack(vectors)
