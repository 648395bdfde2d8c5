"""`Embedder`: embeddings of a dataset, from the cache and, where they are missing, from the model."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.cache import ROWS_PER_SHARD, EmbeddingStore
from alignbench.embed.models import info_of, loaded
from alignbench.embed.place import Place, place_of, stacked
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.embed.tally import Tally
from alignbench.embed.task import ImageTask, TextTask, gives, texts_of
from alignbench.embed.unit import unit
from alignbench.embed.work import EmbeddingWork
from alignbench.encoders import Encoder
from alignbench.errors import AlignbenchWarning, InputError, LayersMissingError, WorkerLostError
from alignbench.executors import SHARD_ROWS, Executor, Piece, cut
from alignbench.hidden import Layers, Patches
from alignbench.llms import LLM
from alignbench.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from alignbench.datasets import Dataset
    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.task import EmbeddingTask
    from alignbench.types import ModelInfo
    from alignbench.weights.protocols import ImageModel, Model, TextModel

    Task = EmbeddingTask[Any, Any]


@dataclass(frozen=True, slots=True)
class Embedder:
    """Embeds datasets: a model is loaded only if the store lacks some of its vectors, and freed afterwards.

    Args:
        store: the known vectors, and the place for new ones.
        device: "auto", "cpu", "cuda", ...
        dtype: "auto", "float32", "bfloat16" or "float16".
        batch_size: the number of images per batch.
        max_tokens: the number of tokens per batch of texts, including padding.
        progress: is informed about images or texts that are missing.
        on_load: is called with (model, seconds) for each load of weights.
        shard_rows: the number of positions of the data in a shard. Batches don't reach across shards.
        elsewhere: embeds the shards on other workers, which see the store's folder; None for this process.

    Raises:
        InputError: a batch or a shard would be empty.
    """

    store: EmbeddingStore
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 32
    max_tokens: int = 2048
    progress: Progress = field(default_factory=SilentProgress)
    on_load: OnLoad | None = None
    shard_rows: int = SHARD_ROWS
    elsewhere: Executor | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_tokens", "shard_rows"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")

    def images(self, encoder: ImageModel, dataset: Dataset, *, beside: Collection[Output] = ()) -> Embeddings:
        """Return an encoder's vectors of a dataset's images, row i for sample i: float32 [n, d].

        Rows are divided by their length if the encoder's `info.params["l2"]` says so (the default); the
        arithmetic is in `model.params["dtype"]`.

        Args:
            encoder: an Encoder, or any object with `embed(images) -> [n, d]`, which is not cached without
                `fingerprint()`. An array in its place is neither computed nor cached.
            dataset: the samples.
            beside: if weights are loaded, also keep "patches" or "layers" for later.

        Raises:
            WeightsMissingError: a load is needed and the weights are not there.
            ModelError: a vector is not finite, or can't be scaled to unit length.
            DataError: an image can't be decoded.
        """
        if (arrays := from_arrays(encoder, dataset)) is not None:
            return arrays
        outputs: list[Output] = ["vectors", *(output for output in beside if gives(encoder, output))]
        return self._embeddings([self._of_images(encoder, dataset, output) for output in outputs])

    def texts(
        self, llm: TextModel, dataset: Dataset | Sequence[str], *, beside: Collection[Output] = ()
    ) -> Embeddings:
        """Return an LLM's vectors of a dataset's texts, row i for `Sample.text` of sample i: float32 [n, d].

        Texts are processed by length and returned in order. An `AlignbenchWarning` says how many of them the
        model truncates.

        Args:
            llm: an LLM, or any object with `embed(texts) -> [n, d]`.
            dataset: the samples, or texts.
            beside: if weights are loaded, also keep "layers" for later.

        Raises:
            WeightsMissingError: a load is needed and the weights are not there.
            ModelError: a vector is not finite, or can't be scaled to unit length.
            DataError: a text has no tokens.
        """
        if (arrays := from_arrays(llm, dataset)) is not None:
            return arrays
        outputs: list[Output] = ["vectors", *(output for output in beside if gives(llm, output))]
        return self._embeddings([self._of_texts(llm, dataset, output) for output in outputs])

    def patches(self, encoder: ImageModel, dataset: Dataset) -> Patches:
        """Return an encoder's patch vectors of a dataset's images, unscaled: float32 [n, p, d].

        Args:
            encoder: an Encoder, or any object with `patches(images) -> [n, p, d]`.
            dataset: the samples.

        Raises:
            WeightsMissingError: a load is needed and the weights are not there.
            ModelError: the encoder returns no patches, a vector is not finite, or images differ in their
                number of patches.
            DataError: an image can't be decoded.
        """
        task = self._of_images(encoder, dataset, "patches")
        info, values = self._vectors_of(task)
        return Patches(info, values, task.ids)

    def layers(self, model: Model, dataset: Dataset) -> Layers:
        """Return every hidden layer of an encoder's images or an LLM's texts, unscaled.

        Args:
            model: an Encoder or an LLM.
            dataset: the samples.

        Raises:
            LayersMissingError: the model returns none.
            WeightsMissingError: a load is needed and the weights are not there.
            ModelError: a vector is not finite.
        """
        if isinstance(model, Encoder):
            model.check_layers()
            task: Task = self._of_images(model, dataset, "layers")
        elif isinstance(model, LLM):
            task = self._of_texts(model, dataset, "layers")
        else:
            name = info_of(model, "vision").name
            raise LayersMissingError(f"{name}: gives embeddings only, no hidden layers")
        info, values = self._vectors_of(task)
        poolings = model.layer_poolings
        layers = values.reshape(len(values), -1, len(poolings), values.shape[-1])
        if isinstance(model, LLM):
            return Layers(info, layers, poolings, task.ids)
        return Layers(
            info,
            layers[:, :-1],
            poolings,
            task.ids,
            first=model.first_layer,
            output=layers[:, -1],
            chosen=model.layer_pooling,
        )

    def count_missing(self, model: Model, dataset: Dataset, output: Output = "vectors") -> int:
        """Return how many of a dataset's images (or texts) would have to be embedded.

        Args:
            model: an Encoder, an LLM, or a third party's model; arrays never need it.
            dataset: the samples.
            output: the output that would be requested.
        """
        if not runs(model):
            return 0
        task: Task = (
            self._of_texts(cast("TextModel", model), dataset, output)
            if info_of(model, "vision").side == "text"
            else self._of_images(cast("ImageModel", model), dataset, output)
        )
        place = self._place(task)
        return len(place.lacks(place.known()))

    def _embeddings(self, tasks: Sequence[Task]) -> Embeddings:
        task, *beside = tasks
        info, values = self._vectors_of(task, beside)
        return Embeddings(info, unit(values, task.ids, info.name) if info.params["l2"] else values, task.ids)

    def _of_images(self, encoder: ImageModel, dataset: Dataset, output: Output) -> ImageTask:
        return ImageTask(encoder, dataset.samples, output, self.batch_size)

    def _of_texts(self, llm: TextModel, dataset: Dataset | Sequence[str], output: Output) -> TextTask:
        return TextTask(llm, texts_of(dataset), output, self.max_tokens, self.device)

    def _place(self, task: Task) -> Place:
        return place_of(task, self.store, self.device, self.dtype)

    def _vectors_of(self, task: Task, beside: Sequence[Task] = ()) -> tuple[ModelInfo, Vectors]:
        """Return all rows' vectors as stored, computing those that are missing.

        While the model is loaded, other tasks of the same model may store their vectors, too.
        """
        name = task.name
        if not task.contents:
            raise InputError(f"{name}: there is nothing to embed")
        place = self._place(task)
        known = place.known()
        if place.lacks(known):
            with place.locked():
                # Another process may have computed them while this one waited for the lock.
                place = self._place(task)
                known = place.known()
                if place.lacks(known) and (workers := self._workers_for(place, name)) is not None:
                    known = self._compute_elsewhere(workers, [task, *beside], place, known)
                    place = self._place(task)
                elif place.lacks(known):
                    with loaded(task.model, name, self.device, self.dtype, self.on_load, task.side):
                        # A model that had to be downloaded is fully known only now.
                        place = self._place(task)
                        known = place.known()
                        self._compute(task, place, known)
                        for other in beside:
                            self._compute_beside(other)
        info = info_of(task.model, task.side, place.arithmetic)
        return info, stacked([known[item] for item in place.items], name)

    def _compute_beside(self, task: Task) -> None:
        place = self._place(task)
        if place.shelf is None:
            return  # the vectors would be lost at once
        # An error here will occur again when these vectors are requested, and is reported then.
        with suppress(Exception), place.locked():
            known = place.known()
            if place.lacks(known):
                self._compute(task, place, known)

    def _compute(self, task: Task, place: Place, known: dict[str, Vectors]) -> None:
        """Add the vectors that `known` lacks, and store them."""
        rows, tally = place.lacks(known), Tally()
        pending: list[str] = []

        def keep() -> None:
            if pending and place.shelf is not None:
                place.shelf.write(pending, stacked([known[item] for item in pending], task.name))
            pending.clear()

        self._start(task, len(rows))
        try:
            for shard in cut(rows, self.shard_rows, len(task.contents)):
                for of, vectors in task.encode(shard.rows, tally):
                    for row, vector in zip(of, vectors, strict=True):
                        known[place.items[row]] = vector
                        pending.append(place.items[row])
                        if len(pending) == ROWS_PER_SHARD:
                            keep()
                    self.progress.advance(len(of))
        finally:
            self.progress.close()
            keep()  # what was computed before an error or Ctrl-C is valid
        tally.say(task.model, len(rows))

    def _start(self, task: Task, rows: int) -> None:
        self.progress.start(rows, f"{task.name}: {'images' if task.side == 'vision' else 'texts'}")

    def _workers_for(self, place: Place, name: str) -> Executor | None:
        """Return the executor whose workers embed, or None if this process does."""
        if self.elsewhere is not None and place.shelf is None:
            warnings.warn(
                f"{name}: it has no fingerprint(), so its vectors can't be stored, and this process computes "
                "them instead of the cluster",
                AlignbenchWarning,
                stacklevel=2,
            )
            return None
        return self.elsewhere

    def _compute_elsewhere(
        self, workers: Executor, tasks: Sequence[Task], place: Place, known: dict[str, Vectors]
    ) -> dict[str, Vectors]:
        """Have workers store the vectors that `known` lacks, shard by shard, and return all.

        Raises:
            WorkerLostError: vectors that were computed are not in the store.
        """
        import torch

        task, rows, tally = tasks[0], place.lacks(known), Tally()
        wanted = set(rows)
        for other in tasks[1:]:
            beside = self._place(other)
            wanted.update(beside.lacks(beside.known()))
        work = EmbeddingWork(
            tuple(replace(of, contents=()) for of in tasks),
            self.store.root,
            self.device,
            self.dtype,
            place.arithmetic,
            torch.get_num_threads(),
        )
        shards = cut(sorted(wanted), self.shard_rows, len(task.contents))
        pieces = [Piece(shard.name, tuple(task.contents[row] for row in shard.rows)) for shard in shards]
        self._start(task, len(rows))
        try:
            for _, done in workers.each(work, pieces):
                tally.add(done.tally)
                if self.on_load is not None:
                    for model, seconds in done.loads:
                        self.on_load(model, seconds)
                self.progress.advance(done.rows)
        finally:
            self.progress.close()
        tally.say(task.model, len(rows))
        # A model that the workers had to download is fully known only now.
        place = self._place(task)
        known = place.known()
        if lacking := place.lacks(known):
            first = cut(lacking, self.shard_rows, len(task.contents))[0]
            raise WorkerLostError(
                f"{task.name}: {len(lacking)} vectors were computed but are not in {self.store.root}, the "
                f"first of {first.name}: all nodes have to write to the same folder, --align-cache-dir"
            )
        return known
