"""Embedding as work for an executor: a worker holds the model and stores the vectors of shards."""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.embed.cache import EmbeddingStore
from alignbench.embed.computing import compute
from alignbench.embed.models import loaded
from alignbench.embed.place import place_of
from alignbench.embed.tally import Tally
from alignbench.errors import AlignbenchWarning, ConfigError, WorkerLostError
from alignbench.executors import Piece, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.embed.place import Place
    from alignbench.embed.task import EmbeddingTask
    from alignbench.executors import Executor


def workers_for(place: Place, elsewhere: Executor | None) -> Executor | None:
    """Return the executor whose workers compute vectors of this place; None, with a warning, if none can."""
    if elsewhere is not None and place.shelf is None:
        warnings.warn(
            f"{place.name}: it has no fingerprint(), so its vectors can't be stored, and this process "
            "computes them instead of the cluster",
            AlignbenchWarning,
            stacklevel=2,
        )
        return None
    return elsewhere


@dataclass(frozen=True, slots=True)
class Portion:
    """What a worker embeds of a shard.

    Args:
        contents: the contents.
        rows: for each task, the contents that it lacked when the work began.
    """

    contents: tuple[Any, ...]
    rows: tuple[tuple[int, ...], ...]


def portions(
    contents: Sequence[Any], lacking: Sequence[Collection[int]], shard_rows: int
) -> list[Piece[Portion]]:
    """Return the pieces of work, one for each shard of which any task lacks a row.

    Args:
        contents: what is embedded.
        lacking: for each task, the rows that it lacks.
        shard_rows: the number of positions of a shard.
    """
    pieces = []
    for shard in cut(sorted({row for rows in lacking for row in rows}), shard_rows, len(contents)):
        rows = tuple(tuple(i for i, row in enumerate(shard.rows) if row in of) for of in lacking)
        pieces.append(Piece(shard.name, Portion(tuple(contents[row] for row in shard.rows), rows)))
    return pieces


@dataclass(slots=True)
class Embedded:
    """What came of a shard, besides the vectors in the store.

    Args:
        computed: the number of rows that were computed for the first task; 0 if the store had all.
        loads: (model, seconds) of each load of weights since the worker's last shard.
        tally: what could not be used.
    """

    computed: int = 0
    loads: list[tuple[str, float]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class EmbeddingWork:
    """The embedding of contents by one model, with one load of its weights.

    A shard that is stored is not computed again. One of which a lost worker has stored a part is computed as
    a whole, so that its batches are the same as the first time, and what was missing is stored.

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
    def opened(self) -> Iterator[Callable[[Portion], Embedded]]:
        """Hold the model in memory, and return the function that embeds a part of a shard.

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

            def embed(portion: Portion) -> Embedded:
                done = Embedded()
                done.computed = self._store(first, portion, portion.rows[0], store, done.tally)
                for task, rows in zip(self.tasks[1:], portion.rows[1:], strict=True):
                    # An error here will occur again when these vectors are requested, and is reported then.
                    with suppress(Exception):
                        self._store(task, portion, rows, store, Tally())
                done.loads, loads[:] = list(loads), []
                return done

            yield embed

    def _store(
        self,
        task: EmbeddingTask[Any, Any],
        portion: Portion,
        rows: tuple[int, ...],
        store: EmbeddingStore,
        tally: Tally,
    ) -> int:
        """Compute these contents if the store lacks any of them; return how many were computed."""
        task = replace(task, contents=portion.contents)
        place = place_of(task, store, self.device, self.dtype)
        there = place.holds()
        wanted = {row for row in rows if not there[row]}
        if not wanted:
            return 0
        compute(task, place, [rows], tally, wanted=wanted)
        return len(rows)


def check_arrived(
    task: EmbeddingTask[Any, Any], there: NDArray[np.bool_], store: EmbeddingStore, shard_rows: int
) -> None:
    """Check that all vectors are there after workers have computed them.

    Raises:
        WorkerLostError: some are not.
    """
    if not there.all():
        lacking = np.flatnonzero(~there).tolist()
        first = cut(lacking, shard_rows, len(task.contents))[0]
        raise WorkerLostError(
            f"{task.name}: {len(lacking)} vectors were computed but are not in {store.root}, the first of "
            f"{first.name}: all nodes have to write to the same folder, --align-cache-dir"
        )
