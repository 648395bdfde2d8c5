"""The vectors of shards, computed by a model that is loaded, and stored."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.embed.cache import rows_per_shard
from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from alignbench.embed.models import Vectors
    from alignbench.embed.place import Place
    from alignbench.embed.tally import Tally
    from alignbench.embed.task import EmbeddingTask


def compute(
    task: EmbeddingTask[Any, Any],
    place: Place,
    shards: Iterable[Sequence[int]],
    tally: Tally,
    *,
    wanted: Collection[int] | None = None,
    put: Callable[[int, Vectors], None] = lambda row, vector: None,
    advance: Callable[[int], None] = lambda rows: None,
) -> None:
    """Compute the rows of shards, in batches that do not reach across them, and store their vectors.

    Vectors are written while the next ones are computed. What was computed before an error or Ctrl-C is
    valid, and is stored.

    Args:
        task: the task; its model is loaded.
        place: the place of its vectors.
        shards: the rows of each shard.
        tally: gets what could not be used.
        wanted: the rows to keep; the others only fill the batches, so that the wanted ones get the same
            vectors as the first time. None keeps all.
        put: gets each row and its vector.
        advance: gets the number of rows of each batch.

    Raises:
        ModelError: a vector is not finite, or vectors differ in shape.
        DataError: a text has no tokens.
    """
    pending: list[tuple[str, Vectors]] = []
    writes: list[Future[None]] = []
    writer = ThreadPoolExecutor(1, thread_name_prefix="alignbench-write")

    def keep() -> None:
        if pending and place.shelf is not None:
            items, vectors = [item for item, _ in pending], np.stack([vector for _, vector in pending])
            if writes:  # at most one part waits for the disk
                writes.pop().result()
            writes.append(writer.submit(place.shelf.write, items, vectors))
        pending.clear()

    try:
        for shard in shards:
            for of, vectors in task.encode(shard, tally):
                for row, vector in zip(of, vectors, strict=True):
                    if wanted is not None and row not in wanted:
                        continue
                    if pending and pending[0][1].shape != vector.shape:
                        shapes = sorted({pending[0][1].shape, vector.shape})
                        raise ModelError(f"{task.name}: its vectors differ in shape: {shapes}")
                    put(row, vector)
                    pending.append((place.items[row], vector))
                    if len(pending) >= rows_per_shard(vector.nbytes):
                        keep()
                advance(len(of))
    finally:
        with writer:
            keep()
        for write in writes:
            write.result()
