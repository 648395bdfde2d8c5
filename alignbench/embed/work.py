"""Embedding as work for an executor: a worker holds the model and stores the vectors of shards."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from alignbench.embed.cache import EmbeddingStore
from alignbench.embed.models import loaded
from alignbench.embed.place import place_of, stacked
from alignbench.embed.tally import Tally
from alignbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.embed.models import Vectors
    from alignbench.embed.task import EmbeddingTask


@dataclass(slots=True)
class Embedded:
    """What came of a shard, besides the vectors in the store.

    Args:
        rows: the number of rows that were computed for the first task; those that the store had are not.
        loads: (model, seconds) of each load of weights since the worker's last shard.
        tally: what could not be used.
    """

    rows: int = 0
    loads: list[tuple[str, float]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class EmbeddingWork:
    """The embedding of contents by one model, with one load of its weights.

    A shard's vectors are stored together when all of them are there, so a worker that is lost leaves either
    all or none of them, and whoever gets the shard computes the same batches.

    Args:
        tasks: the tasks without contents; an error in any but the first one is left to whoever asks for its
            vectors.
        root: the folder of the store, which all workers see.
        device: the device that was asked for.
        dtype: the arithmetic that was asked for.
        arithmetic: the arithmetic that this process would use, which the workers have to use, too.
        threads: the number of threads of a worker's tensors.
    """

    tasks: tuple[EmbeddingTask[Any, Any], ...]
    root: Path
    device: str
    dtype: str
    arithmetic: str
    threads: int

    @property
    def name(self) -> str:
        """The model's."""
        return self.tasks[0].name

    @contextmanager
    def opened(self) -> Iterator[Callable[[tuple[Any, ...]], Embedded]]:
        """Hold the model in memory, and return the function that embeds a shard's contents.

        Raises:
            ConfigError: this worker would use another arithmetic.
            WeightsMissingError: the weights are not there.
            ModelError: they don't fit into memory.
        """
        import torch

        torch.set_num_threads(self.threads)
        store = EmbeddingStore(self.root)
        first = self.tasks[0]
        loads: list[tuple[str, float]] = []

        def note(model: str, seconds: float) -> None:
            loads.append((model, seconds))

        with loaded(first.model, first.name, self.device, self.dtype, note, first.side):
            here = place_of(first, store, self.device, self.dtype).arithmetic
            if here != self.arithmetic:
                raise ConfigError(
                    f"{first.name}: a worker would compute in {here}, this process in {self.arithmetic}: "
                    "give --align-dtype and --align-device"
                )

            def embed(contents: tuple[Any, ...]) -> Embedded:
                done = Embedded()
                done.rows = self._store(replace(first, contents=contents), store, done.tally)
                for task in self.tasks[1:]:
                    # An error here will occur again when these vectors are requested, and is reported then.
                    with suppress(Exception):
                        self._store(replace(task, contents=contents), store, Tally())
                done.loads, loads[:] = list(loads), []
                return done

            yield embed

    def _store(self, task: EmbeddingTask[Any, Any], store: EmbeddingStore, tally: Tally) -> int:
        """Compute and store what the store lacks of a shard; return how many rows that were."""
        place = place_of(task, store, self.device, self.dtype)
        rows = place.lacks(place.known())
        if not rows or place.shelf is None:
            return 0
        vectors: dict[int, Vectors] = {}
        for of, values in task.encode(rows, tally):
            vectors.update(zip(of, values, strict=True))
        if kept := sorted(vectors):
            place.shelf.write(
                [place.items[row] for row in kept], stacked([vectors[row] for row in kept], task.name)
            )
        return len(kept)
