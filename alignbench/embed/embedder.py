"""`Embedder`: embeddings of a dataset, from the cache and, where they are missing, from the model."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.cache import ROWS_PER_SHARD, EmbeddingStore
from alignbench.embed.models import dtype_of, info_of, key_of, loaded
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.embed.task import gives, image_task, text_task
from alignbench.embed.unit import unit
from alignbench.encoders import Encoder
from alignbench.errors import InputError, LayersMissingError, ModelError
from alignbench.hidden import Layers, Patches
from alignbench.llms import LLM
from alignbench.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from alignbench.datasets import Dataset
    from alignbench.embed.cache import Shelf
    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.task import EmbeddingTask
    from alignbench.types import ModelInfo
    from alignbench.weights.footprint import Footprint
    from alignbench.weights.protocols import ImageModel, Model, TextModel


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
        task = self._images(encoder, dataset, "patches")
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
        task = (
            text_task(cast("TextModel", model), dataset, self.max_tokens, self.device, output)
            if info_of(model, "vision").side == "text"
            else self._images(cast("ImageModel", model), dataset, output)
        )
        place = self._place(task)
        return len(place.lacks(place.known()))

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
        return _Place(arithmetic, None if key is None else self.store.shelf(key), task.items(key or {}))

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
        known = place.known()
        if place.lacks(known):
            with place.locked():
                # Another process may have computed them while this one waited for the lock.
                place = self._place(task)
                known = place.known()
                if place.lacks(known):
                    with loaded(task.model, name, self.device, self.dtype, self.on_load, task.side):
                        # A model that had to be downloaded is fully known only now.
                        place = self._place(task)
                        known = place.known()
                        self._compute(task, place, known)
                        for other in beside:
                            self._compute_beside(other)
        info = info_of(task.model, task.side, place.arithmetic)
        return info, _stacked([known[item] for item in place.items], name)

    def _compute_beside(self, task: EmbeddingTask) -> None:
        place = self._place(task)
        if place.shelf is None:
            return  # the vectors would be lost at once
        # An error here will occur again when these vectors are requested, and is reported then.
        with suppress(Exception), place.locked():
            known = place.known()
            if place.lacks(known):
                self._compute(task, place, known)

    def _compute(self, task: EmbeddingTask, place: _Place, known: dict[str, Vectors]) -> None:
        """Add the vectors that `known` lacks; each shard is stored while the next one is computed."""
        name, rows = task.name, place.lacks(known)
        pending: list[str] = []
        writes: list[Future[None]] = []
        writer = ThreadPoolExecutor(1, thread_name_prefix="alignbench-write")

        def keep() -> None:
            if pending and place.shelf is not None:
                vectors = _stacked([known[item] for item in pending], name)
                writes.append(writer.submit(place.shelf.write, tuple(pending), vectors))
            pending.clear()

        self.progress.start(len(rows), f"{name}: {'images' if task.side == 'vision' else 'texts'}")
        try:
            for of, vectors in task.encode(rows):
                for row, vector in zip(of, vectors, strict=True):
                    known[place.items[row]] = vector
                    pending.append(place.items[row])
                    if len(pending) == ROWS_PER_SHARD:
                        keep()
                self.progress.advance(len(of))
        finally:
            self.progress.close()
            with writer:
                keep()  # what was computed before an error or Ctrl-C is valid
            for write in writes:
                write.result()


@dataclass(frozen=True, slots=True)
class _Place:
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


def _stacked(vectors: Sequence[Vectors], name: str) -> Vectors:
    if len({vector.shape for vector in vectors}) > 1:
        raise ModelError(f"{name}: its vectors differ in shape: {sorted({v.shape for v in vectors})}")
    return np.stack(vectors)
