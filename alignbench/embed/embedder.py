"""`Embedder`: embeddings of a dataset, from the cache and, where they are missing, from the model."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.computing import compute
from alignbench.embed.mishaps import WAY_OUT
from alignbench.embed.models import dtype_of, info_of, loaded
from alignbench.embed.place import of_one_shape, place_of
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.embed.stored import Stored
from alignbench.embed.tally import Tally
from alignbench.embed.task import ImageTask, TextTask, gives, texts_of
from alignbench.embed.unit import unit
from alignbench.embed.work import EmbeddingWork, check_arrived, portions, workers_for
from alignbench.encoders import Encoder
from alignbench.errors import InputError, LayersMissingError, ModelError
from alignbench.executors import SHARD_ROWS, Executor, cut
from alignbench.hidden import Layers, Patches
from alignbench.llms import LLM
from alignbench.projectors.patches import grid
from alignbench.types import Embeddings
from alignbench.weights.arrays import array_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.embed.cache import EmbeddingStore
    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.place import Place
    from alignbench.embed.task import EmbeddingTask
    from alignbench.types import ModelInfo
    from alignbench.weights.footprint import Footprint
    from alignbench.weights.protocols import ImageModel, Model, TextModel

    Task = EmbeddingTask[Any, Any]

IMAGES_AT_ONCE = 128  # whose patches are read together: some 100 MB


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
        return self._embeddings([self._of_images(encoder, dataset, of) for of in outputs])

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
        return self._embeddings([self._of_texts(llm, dataset, of) for of in outputs])

    def patches(self, encoder: ImageModel, dataset: Dataset, most: int | None = None) -> Patches:
        """Return an encoder's patch vectors of a dataset's images, unscaled: float32 [n, p, d].

        Args:
            encoder: an Encoder, or any object with `patches(images) -> [n, p, d]`.
            dataset: the samples.
            most: average the patches of an image over a grid of at most this many cells; those of all images
                are then never held at once. None for the patches themselves.

        Raises:
            WeightsMissingError: a load is needed and the weights are not there.
            ModelError: the encoder returns no patches, a vector is not finite, or images differ in their
                number of patches.
            DataError: an image can't be decoded.
        """
        task = self._of_images(encoder, dataset, "patches")
        if most is None:
            info, values = self._vectors_of(task)
            return Patches(info, values, task.ids)
        cells, given, start = Stored.empty(len(task.contents)), 0, 0
        with of_one_shape(task.name):
            for block in self._blocks_of(task, IMAGES_AT_ONCE):
                given = block.shape[1]
                cells.put(np.arange(start, start + len(block)), grid(block, most))
                start += len(block)
        info = info_of(task.model, task.side, dtype_of(task.model, self.device, self.dtype))
        return Patches(info, cells.values, task.ids, given)

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
        place = self._place(self._task_of(model, dataset, output))
        return len(place.lacks(place.holds()))

    def fill(self, model: Model, dataset: Dataset) -> bool:
        """Compute and store what the store lacks of a model's vectors, and return whether they are in it.

        Arrays, and models that are not cached, are never in it; nothing is computed for them.

        Args:
            model: an encoder, which embeds the images, or an LLM, which embeds the texts.
            dataset: the samples.

        Raises:
            WeightsMissingError, ModelError, DataError: see `images` and `texts`.
        """
        if not runs(model):
            return False
        task = self._task_of(model, dataset)
        return self._place(task).shelf is not None and self._filled(task).shelf is not None

    def blocks(self, model: Model, dataset: Dataset, rows: int) -> Iterator[Embeddings]:
        """Yield a model's embeddings of this many samples at a time, without holding the others.

        What is missing is computed first and goes to the store, where it is read from. A model that is not
        cached is an exception: all its vectors are held.

        Args:
            model: an encoder, which embeds the images, or an LLM, which embeds the texts.
            dataset: the samples.
            rows: the number of samples in a block; the last one may have fewer.

        Raises:
            WeightsMissingError, ModelError, DataError: see `images` and `texts`.
        """
        if (file := array_file(model)) is not None:
            blocks, arithmetic = file.blocks_of(dataset, rows), ""
        else:
            blocks = self._blocks_of(self._task_of(model, dataset), rows)
            arithmetic = dtype_of(model, self.device, self.dtype)
        info = info_of(model, "vision", arithmetic)
        ids = tuple(sample.id for sample in dataset.samples)
        for start, vectors in zip(range(0, len(ids), rows), blocks, strict=True):
            of = ids[start : start + rows]
            yield Embeddings(info, unit(vectors, of, info.name) if info.params["l2"] else vectors, of)

    def _task_of(self, model: Model, dataset: Dataset, output: Output = "vectors") -> Task:
        if info_of(model, "vision").side == "text":
            return self._of_texts(cast("TextModel", model), dataset, output)
        return self._of_images(cast("ImageModel", model), dataset, output)

    def footprint(self, model: Model) -> Footprint | None:
        """Return about how many bytes embedding with a model takes on its device; None if only it knows."""
        if isinstance(model, Encoder):
            return model.footprint(self.device, self.dtype, self.batch_size)
        return model.footprint(self.device, self.dtype, self.max_tokens) if isinstance(model, LLM) else None

    def _of_images(self, encoder: ImageModel, dataset: Dataset, output: Output) -> ImageTask:
        return ImageTask(encoder, dataset.samples, output, self.batch_size, self.device)

    def _of_texts(self, llm: TextModel, dataset: Dataset | Sequence[str], output: Output) -> TextTask:
        return TextTask(llm, texts_of(dataset), output, self.max_tokens, self.device)

    def _embeddings(self, tasks: Sequence[Task]) -> Embeddings:
        task, *beside = tasks
        info, values = self._vectors_of(task, beside)
        return Embeddings(info, unit(values, task.ids, info.name) if info.params["l2"] else values, task.ids)

    def _place(self, task: Task) -> Place:
        return place_of(task, self.store, self.device, self.dtype)

    def _vectors_of(self, task: Task, beside: Sequence[Task] = ()) -> tuple[ModelInfo, Vectors]:
        """Return all rows' vectors as stored, computing those that are missing.

        While the model is loaded, other tasks of the same model may store their vectors, too.
        """
        if not task.contents:
            raise InputError(f"{task.name}: there is nothing to embed")
        place = self._place(task)
        if not place.holds().all() or not (known := place.read()).there.all():
            known = Stored.empty(0)  # or there would be two such arrays at once
            with place.locked():
                # Another process may have computed them while this one waited for the lock.
                place = self._place(task)
                if not place.holds().all() or not (known := place.read()).there.all():
                    known = Stored.empty(0)
                    if (workers := workers_for(place, self.elsewhere)) is not None:
                        place = self._compute_elsewhere(workers, [task, *beside], place)
                        known = place.read()
                        check_arrived(task, known.there, self.store, self.shard_rows)
                    else:
                        with self._loaded(task):
                            # A model that had to be downloaded is fully known only now.
                            place = self._place(task)
                            known = place.read()
                            self._compute(task, place, known.there, known)
                            for other in beside:
                                self._compute_beside(other)
        return info_of(task.model, task.side, place.arithmetic), known.values

    def _blocks_of(self, task: Task, rows: int) -> Iterator[Vectors]:
        """Yield all rows' vectors as stored, a block at a time, after computing those that are missing."""
        if self._place(task).shelf is None:
            _, values = self._vectors_of(task)
            yield from (values[start : start + rows] for start in range(0, len(values), rows))
            return
        place, start = self._filled(task), 0
        while start < len(place.items):
            for stored in place.blocks(start, rows):
                if not stored.there.all():
                    break  # a shard that the index has is damaged
                yield stored.values
                start += rows
            else:
                return
            place = self._filled(task)
            if not next(place.blocks(start, rows)).there.all():
                raise ModelError(f"{task.name}: its vectors were stored and can't be read again; {WAY_OUT}")

    def _filled(self, task: Task) -> Place:
        """Return the place of a task's vectors after all are stored."""
        place = self._place(task)
        if not place.holds().all():
            with place.locked():
                place = self._place(task)
                if place.holds().all():
                    return place
                if (workers := workers_for(place, self.elsewhere)) is not None:
                    place = self._compute_elsewhere(workers, [task], place)
                    check_arrived(task, place.holds(), self.store, self.shard_rows)
                else:
                    with self._loaded(task):
                        place = self._place(task)
                        self._compute(task, place, place.holds())
        return place

    def _loaded(self, task: Task) -> AbstractContextManager[None]:
        return loaded(task.model, task.name, self.device, self.dtype, self.on_load, task.side)

    def _compute_beside(self, task: Task) -> None:
        place = self._place(task)
        if place.shelf is None:
            return  # the vectors would be lost at once
        # An error here will occur again when these vectors are requested, and is reported then.
        with suppress(Exception), place.locked():
            there = place.holds()
            if not there.all():
                self._compute(task, place, there)

    def _compute(
        self, task: Task, place: Place, there: NDArray[np.bool_], known: Stored | None = None
    ) -> None:
        """Store the vectors that are not there, and put them into `known`, if given."""
        rows, tally = place.lacks(there), Tally()

        def put(row: int, vector: Vectors) -> None:
            if known is not None:
                with of_one_shape(task.name):
                    known.put(rows[row], vector[None])

        shards = (shard.rows for shard in cut(rows, self.shard_rows, len(task.contents)))
        with self._showing(task, len(rows)):
            compute(task, place, shards, tally, put=put, advance=self.progress.advance)
        tally.say(task.model, len(rows))

    @contextmanager
    def _showing(self, task: Task, rows: int) -> Iterator[None]:
        """Show the progress of a task's rows."""
        self.progress.start(rows, f"{task.name}: {'images' if task.side == 'vision' else 'texts'}")
        try:
            yield
        finally:
            self.progress.close()

    def _compute_elsewhere(self, workers: Executor, tasks: Sequence[Task], place: Place) -> Place:
        """Have workers store the vectors that are not there, and return the place of the first task's."""
        import torch

        task, tally = tasks[0], Tally()
        lacking = [set(of.lacks(of.holds())) for of in (place, *map(self._place, tasks[1:]))]
        pieces = portions(task.contents, lacking, self.shard_rows)
        work = EmbeddingWork(
            tuple(replace(of, contents=()) for of in tasks),
            self.store.root,
            self.device,
            self.dtype,
            place.arithmetic,
            torch.get_num_threads(),
        )
        with self._showing(task, len(lacking[0])):
            for _, done in workers.each(work, pieces):
                tally.add(done.tally)
                self.progress.advance(done.computed)
                if self.on_load is not None:
                    for model, seconds in done.loads:
                        self.on_load(model, seconds)
        tally.say(task.model, len(lacking[0]))
        return self._place(task)
