"""`Embedder`: embeddings of a dataset, from the cache and, where they are missing, from the model."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.cache import EmbeddingStore, rows_per_shard
from alignbench.embed.mishaps import WAY_OUT
from alignbench.embed.models import dtype_of, info_of, key_of, loaded
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.embed.stored import Stored
from alignbench.embed.task import gives, image_task, text_task
from alignbench.embed.unit import unit
from alignbench.encoders import Encoder
from alignbench.errors import InputError, LayersMissingError, ModelError
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
    from alignbench.embed.cache import Shelf
    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.task import EmbeddingTask
    from alignbench.types import ModelInfo
    from alignbench.weights.footprint import Footprint
    from alignbench.weights.protocols import ImageModel, Model, TextModel

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

    Raises:
        InputError: a batch would be empty.
    """

    store: EmbeddingStore
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 32
    max_tokens: int = 2048
    progress: Progress = field(default_factory=SilentProgress)
    on_load: OnLoad | None = None

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("max_tokens", self.max_tokens)):
            if value < 1:
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
        return self._embeddings([self._images(encoder, dataset, of) for of in outputs])

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
        return self._embeddings([text_task(llm, dataset, self.max_tokens, self.device, of) for of in outputs])

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
        task = self._images(encoder, dataset, "patches")
        if most is None:
            info, values = self._vectors_of(task)
            return Patches(info, values, task.ids)
        cells, given, start = Stored.empty(len(task.ids)), 0, 0
        with _of_one_shape(task.name):
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
            task = self._images(model, dataset, "layers")
        elif isinstance(model, LLM):
            task = text_task(model, dataset, self.max_tokens, self.device, "layers")
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

    def _task_of(self, model: Model, dataset: Dataset, output: Output = "vectors") -> EmbeddingTask:
        if info_of(model, "vision").side == "text":
            return text_task(cast("TextModel", model), dataset, self.max_tokens, self.device, output)
        return self._images(cast("ImageModel", model), dataset, output)

    def footprint(self, model: Model) -> Footprint | None:
        """Return about how many bytes embedding with a model takes on its device; None if only it knows."""
        if isinstance(model, Encoder):
            return model.footprint(self.device, self.dtype, self.batch_size)
        return model.footprint(self.device, self.dtype, self.max_tokens) if isinstance(model, LLM) else None

    def _images(self, encoder: ImageModel, dataset: Dataset, output: Output) -> EmbeddingTask:
        return image_task(encoder, dataset, self.batch_size, self.device, output)

    def _embeddings(self, tasks: Sequence[EmbeddingTask]) -> Embeddings:
        task, *beside = tasks
        info, values = self._vectors_of(task, beside)
        return Embeddings(info, unit(values, task.ids, info.name) if info.params["l2"] else values, task.ids)

    def _place(self, task: EmbeddingTask) -> _Place:
        """Return the place of a task's vectors, as far as the model is known at this moment."""
        arithmetic = dtype_of(task.model, self.device, self.dtype)
        key = key_of(task.model, arithmetic, task.output)
        shelf = None if key is None else self.store.shelf(key)
        return _Place(task.name, arithmetic, shelf, task.items(key or {}))

    def _vectors_of(
        self, task: EmbeddingTask, beside: Sequence[EmbeddingTask] = ()
    ) -> tuple[ModelInfo, Vectors]:
        """Return all rows' vectors as stored, computing those that are missing.

        While the model is loaded, other tasks of the same model may store their vectors, too.
        """
        name = task.name
        if not task.ids:
            raise InputError(f"{name}: there is nothing to embed")
        place = self._place(task)
        if not place.holds().all() or not (known := place.read()).there.all():
            known = Stored.empty(0)  # or there would be two such arrays at once
            with place.locked():
                # Another process may have computed them while this one waited for the lock.
                place = self._place(task)
                if not place.holds().all() or not (known := place.read()).there.all():
                    known = Stored.empty(0)
                    with loaded(task.model, name, self.device, self.dtype, self.on_load, task.side):
                        # A model that had to be downloaded is fully known only now.
                        place = self._place(task)
                        known = place.read()
                        self._compute(task, place, known.there, known)
                        for other in beside:
                            self._compute_beside(other)
        return info_of(task.model, task.side, place.arithmetic), known.values

    def _blocks_of(self, task: EmbeddingTask, rows: int) -> Iterator[Vectors]:
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

    def _filled(self, task: EmbeddingTask) -> _Place:
        """Return the place of a task's vectors after all are stored."""
        place = self._place(task)
        if not place.holds().all():
            with place.locked():
                place = self._place(task)
                if not place.holds().all():
                    with loaded(task.model, task.name, self.device, self.dtype, self.on_load, task.side):
                        place = self._place(task)
                        self._compute(task, place, place.holds())
        return place

    def _compute_beside(self, task: EmbeddingTask) -> None:
        place = self._place(task)
        if place.shelf is None:
            return  # the vectors would be lost at once
        # An error here will occur again when these vectors are requested, and is reported then.
        with suppress(Exception), place.locked():
            there = place.holds()
            if not there.all():
                self._compute(task, place, there)

    def _compute(
        self, task: EmbeddingTask, place: _Place, there: NDArray[np.bool_], known: Stored | None = None
    ) -> None:
        """Store the vectors that are not there, and put them into `known`, if given.

        Each shard is stored while the next one is computed.
        """
        name, rows_of = task.name, place.lacks(there)
        rows = sorted(of[0] for of in rows_of.values())
        pending: list[tuple[str, Vectors]] = []
        writes: list[Future[None]] = []
        writer = ThreadPoolExecutor(1, thread_name_prefix="alignbench-write")

        def keep() -> None:
            if pending and place.shelf is not None:
                items, vectors = [item for item, _ in pending], np.stack([vector for _, vector in pending])
                if writes:  # at most one shard waits for the disk
                    writes.pop().result()
                writes.append(writer.submit(place.shelf.write, items, vectors))
            pending.clear()

        self.progress.start(len(rows), f"{name}: {'images' if task.side == 'vision' else 'texts'}")
        try:
            for of, vectors in task.encode(rows):
                for row, vector in zip(of, vectors, strict=True):
                    if pending and pending[0][1].shape != vector.shape:
                        shapes = sorted({pending[0][1].shape, vector.shape})
                        raise ModelError(f"{name}: its vectors differ in shape: {shapes}")
                    item = place.items[row]
                    if known is not None:
                        with _of_one_shape(name):
                            known.put(rows_of[item], vector[None])
                    pending.append((item, vector))
                    if len(pending) == rows_per_shard(vector.nbytes):
                        keep()
                self.progress.advance(len(of))
        finally:
            self.progress.close()
            with writer:
                keep()  # what was computed before an error or Ctrl-C is valid
            for write in writes:
                write.result()


@contextmanager
def _of_one_shape(name: str) -> Iterator[None]:
    """Name the model whose vectors differ in shape."""
    try:
        yield
    except InputError as error:
        raise ModelError(f"{name}: its {error}") from error


@dataclass(frozen=True, slots=True)
class _Place:
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
        with _of_one_shape(self.name):
            return Stored.empty(len(self.items)) if self.shelf is None else self.shelf.read(self.items)

    def blocks(self, start: int, rows: int) -> Iterator[Stored]:
        """Yield the available vectors from a row on, this many at a time; only of a model that is cached."""
        with _of_one_shape(self.name):
            yield from () if self.shelf is None else self.shelf.blocks(self.items[start:], rows)

    def lacks(self, there: NDArray[np.bool_]) -> dict[str, list[int]]:
        """Return the items that are not there, and the rows of each."""
        rows: dict[str, list[int]] = {}
        for row in np.flatnonzero(~there).tolist():
            rows.setdefault(self.items[row], []).append(row)
        return rows

    def locked(self) -> AbstractContextManager[object]:
        """Keep other processes from computing the same."""
        return nullcontext() if self.shelf is None else self.shelf.lock()
