"""Embeddings of a dataset: from the cache, and what is missing from the model."""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.datasets import Dataset
from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.batches import image_batches, overhead_of, text_batches
from alignbench.embed.cache import ROWS_PER_SHARD, EmbeddingStore, Shelf
from alignbench.embed.models import dtype_of, info_of, key_of, loaded, run, runs_apart
from alignbench.embed.progress import Progress, Silent
from alignbench.embed.unit import unit
from alignbench.errors import AlignbenchWarning, DataError, InputError, ModelError
from alignbench.types import Embeddings, Patches
from alignbench.weights.precision import resolve_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from alignbench.embed.models import OnLoad, Vectors
    from alignbench.types import ModelInfo

    # Rows (positions among those asked for) and their vectors, in any order.
    Encode = Callable[[Sequence[int]], Iterator[tuple[Sequence[int], Vectors]]]
    # What each row's vector is kept under, given the model's key.
    Items = Callable[[dict[str, Any]], list[str]]

_TEXTS_A_BATCH = 32


def embed_images(
    encoder: Any,
    dataset: Dataset,
    *,
    store: EmbeddingStore,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 32,
    progress: Progress | None = None,
    on_load: OnLoad | None = None,
    with_patches: bool = False,
) -> Embeddings:
    """Return an encoder's vectors of a dataset's images, row i of sample i.

    The encoder is loaded only if the store lacks an image, and freed after. Rows are divided by their length
    if the encoder's `info.params["l2"]` says so (the default).

    Args:
        encoder: an Encoder, or any object with `embed(images) -> [n, d]`; without `fingerprint()` nothing of
            it is cached. Arrays in its place are not computed, and not cached.
        dataset: the samples.
        store: what is known already, and where to keep what is not.
        device: "auto", "cpu", "cuda", ...
        dtype: "auto", "float32", "bfloat16" or "float16".
        batch_size: images a batch.
        progress: is told of the images that are missing.
        on_load: is told (model, seconds) of each load of weights.
        with_patches: where weights are loaded, keep the patches of `embed_patches`, too, for later.

    Returns:
        float32 `[n, d]`, with the arithmetic in `model.params["dtype"]`.

    Raises:
        WeightsMissingError: a load is needed and the weights are not there.
        ModelError: a vector is not finite, or can't be scaled to unit length.
        DataError: an image can't be decoded.
    """
    if (given := from_arrays(encoder, dataset)) is not None:
        return given
    task = _image_task(encoder, dataset, device, dtype, batch_size, patches=False)
    beside = None
    if with_patches and gives_patches(encoder):
        beside = _image_task(encoder, dataset, device, dtype, batch_size, patches=True)
    return _embed(task, store, progress or Silent(), on_load, beside)


def gives_patches(encoder: Any) -> bool:
    """Whether an encoder gives a vector a patch: it is ours, or it has `patches(images) -> [n, p, d]`."""
    return callable(getattr(encoder, "patches", None))


def embed_patches(
    encoder: Any,
    dataset: Dataset,
    *,
    store: EmbeddingStore,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 32,
    progress: Progress | None = None,
    on_load: OnLoad | None = None,
) -> Patches:
    """Return an encoder's patch vectors of a dataset's images, as they are: no row is scaled.

    Args:
        encoder: an Encoder, or any object with `patches(images) -> [n, p, d]`.
        dataset: as in `embed_images`, like the other arguments.
        store: as there.
        device: as there.
        dtype: as there.
        batch_size: as there.
        progress: as there.
        on_load: as there.

    Returns:
        float32 `[n, p, d]`.

    Raises:
        WeightsMissingError: a load is needed and the weights are not there.
        ModelError: the encoder gives no patches, a vector is not finite, or images differ in their number of
            patches.
        DataError: an image can't be decoded.
    """
    name = info_of(encoder, "vision", "").name
    if not gives_patches(encoder):
        raise ModelError(f"{name}: gives no patch embeddings")
    task = _image_task(encoder, dataset, device, dtype, batch_size, patches=True)
    info, values = _vectors(task, store, progress or Silent(), on_load)
    return Patches(info, values, task.ids)


def _image_task(
    encoder: Any, dataset: Dataset, device: str, dtype: str, batch_size: int, *, patches: bool
) -> _Task:
    if batch_size < 1:
        raise InputError(f"batch_size: expected at least 1, got {batch_size}")
    samples = dataset.samples
    ids = tuple(sample.id for sample in samples)
    name = info_of(encoder, "vision", "").name
    whole, method = ("patches", "forward_patches") if patches else ("embed", "forward")

    def encode(rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Vectors]]:
        apart = runs_apart(encoder, "preprocess") and hasattr(encoder, method)
        prepare = encoder.preprocess if apart else _same
        forward = getattr(encoder, method if apart else whole)
        for positions, batch in image_batches([samples[row] for row in rows], prepare, batch_size):
            of = [rows[position] for position in positions]
            yield of, run(forward, batch, name, [ids[row] for row in of], "vision", patches=patches)

    return _Task(encoder, "vision", ids, _image_items(dataset), encode, device, dtype, patches=patches)


def embed_texts(
    llm: Any,
    dataset: Dataset | Sequence[str],
    *,
    store: EmbeddingStore,
    device: str = "auto",
    dtype: str = "auto",
    max_tokens: int = 2048,
    progress: Progress | None = None,
    on_load: OnLoad | None = None,
) -> Embeddings:
    """Return an LLM's vectors of a dataset's texts, row i of sample i (of `Sample.text`).

    Texts are run sorted by length, in batches of at most `max_tokens` tokens with padding, and put back in
    order. An `AlignbenchWarning` says how many of them the model reads in part only.

    Args:
        llm: an LLM, or any object with `embed(texts) -> [n, d]`.
        dataset: the samples, or texts.
        store: as in `embed_images`, like the other arguments.
        device: as there.
        dtype: as there.
        max_tokens: the budget of a batch.
        progress: as there.
        on_load: as there.

    Returns:
        float32 `[n, d]`.

    Raises:
        WeightsMissingError: a load is needed and the weights are not there.
        ModelError: a vector is not finite, or can't be scaled to unit length.
        DataError: a text has no tokens.
    """
    if max_tokens < 1:
        raise InputError(f"max_tokens: expected at least 1, got {max_tokens}")
    if (given := from_arrays(llm, dataset)) is not None:
        return given
    if isinstance(dataset, Dataset):
        ids, texts = tuple(s.id for s in dataset.samples), [s.text for s in dataset.samples]
    else:
        ids, texts = tuple(f"text-{i}" for i in range(len(dataset))), list(dataset)
    name = info_of(llm, "text", "").name

    def encode(rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Vectors]]:
        if not runs_apart(llm, "tokenize"):
            lengths = [len(texts[row]) for row in rows]
            budget = max(lengths) * _TEXTS_A_BATCH
            # How it pads, only the model knows: few batches are what it can't do wrong with.
            for positions in text_batches(lengths, budget, _TEXTS_A_BATCH, overhead=budget):
                of = [rows[position] for position in positions]
                yield of, run(llm.embed, [texts[row] for row in of], name, [ids[row] for row in of], "text")
            return
        tokens = llm.tokenize([texts[row] for row in rows])
        if empty := [ids[row] for row, of in zip(rows, tokens, strict=True) if not of]:
            raise DataError(f"sample {empty[0]!r}: {name} makes no token of its text")
        _say_what_was_cut(llm, [texts[row] for row in rows], tokens)
        overhead = overhead_of(resolve_device(device))
        for positions in text_batches([len(of) for of in tokens], max_tokens, overhead=overhead):
            of = [rows[position] for position in positions]
            yield of, run(llm.forward, [tokens[p] for p in positions], name, [ids[row] for row in of], "text")

    task = _Task(llm, "text", ids, _text_items(texts), encode, device, dtype)
    return _embed(task, store, progress or Silent(), on_load)


def count_missing(
    model: Any,
    dataset: Dataset,
    *,
    store: EmbeddingStore,
    device: str = "auto",
    dtype: str = "auto",
    patches: bool = False,
) -> int:
    """Return how many of a dataset's images (or texts) `embed_images` (or `embed_texts`) would have to embed.

    Args:
        model: an Encoder, an LLM, or a third party's; arrays have all.
        dataset: the samples.
        store: what is known already.
        device: as for embedding.
        dtype: as for embedding.
        patches: count the images whose patches are missing instead.
    """
    if not runs(model):
        return 0
    items = _image_items(dataset)
    if info_of(model, "vision", "").side == "text":
        items = _text_items([sample.text for sample in dataset.samples])
    place = _Place.of(model, items, device, dtype, store, patches=patches)
    return len(place.lacks(place.known()))


def _say_what_was_cut(llm: Any, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> None:
    info = info_of(llm, "text", "")
    limit = info.params.get("max_length")
    if limit is None or not callable(getattr(llm, "truncated", None)):
        return
    # Only those that fill the limit can have been cut; few are made tokens of twice.
    full = [text for text, of in zip(texts, tokens, strict=True) if len(of) >= limit]
    if cut := llm.truncated(full) if full else 0:
        warnings.warn(
            f"{info.name}: {cut} of {len(texts)} texts have more than {limit} tokens; the rest was not read",
            AlignbenchWarning,
            stacklevel=2,
        )


def _image_items(dataset: Dataset) -> Items:
    digests = [sample.image_digest for sample in dataset.samples]
    return lambda _key: digests


def _text_items(texts: Sequence[str]) -> Items:
    def items(key: dict[str, Any]) -> list[str]:
        # How a text becomes tokens: the digest of template and tokenizer, where the model gives one.
        how = key.get("preprocessing")
        return [hashlib.sha256(json.dumps([text, how]).encode()).hexdigest() for text in texts]

    return items


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be embedded, by what, and how to do a part of it."""

    model: Any
    side: Literal["vision", "text"]
    ids: tuple[str, ...]
    items: Items
    encode: Encode
    device: str
    dtype: str
    patches: bool = False

    def place(self, store: EmbeddingStore) -> _Place:
        """Return where the vectors are kept."""
        return _Place.of(self.model, self.items, self.device, self.dtype, store, patches=self.patches)


@dataclass(frozen=True, slots=True)
class _Place:
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
        *,
        patches: bool = False,
    ) -> _Place:
        arithmetic = dtype_of(model, device, dtype)
        key = key_of(model, arithmetic, patches=patches)
        return cls(arithmetic, None if key is None else store.shelf(key), items(key or {}))

    def known(self) -> dict[str, Vectors]:
        """Return the vectors that are there, by item."""
        return {} if self.shelf is None else self.shelf.read(self.items)

    def lacks(self, known: dict[str, Vectors]) -> list[int]:
        """Return the rows without a vector, one an item."""
        first = {item: row for row, item in reversed(list(enumerate(self.items)))}
        return sorted(row for item, row in first.items() if item not in known)


def _embed(
    task: _Task,
    store: EmbeddingStore,
    progress: Progress,
    on_load: OnLoad | None,
    beside: _Task | None = None,
) -> Embeddings:
    info, values = _vectors(task, store, progress, on_load, beside)
    return Embeddings(info, unit(values, task.ids, info.name) if info.params["l2"] else values, task.ids)


def _vectors(
    task: _Task,
    store: EmbeddingStore,
    progress: Progress,
    on_load: OnLoad | None,
    beside: _Task | None = None,
) -> tuple[ModelInfo, Vectors]:
    """Return all rows' vectors as the store has them: from the model where they are missing.

    While the model is loaded, another task of the same model may put its vectors into the store, too.
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
                    if beside is not None:
                        _compute_beside(beside, store, name, progress)
    info = info_of(task.model, task.side, place.arithmetic)
    return info, _stacked([known[item] for item in place.items], name)


def _compute_beside(task: _Task, store: EmbeddingStore, name: str, progress: Progress) -> None:
    place = task.place(store)
    if place.shelf is None:
        return  # it would be forgotten at once
    # What goes wrong here goes wrong again for whoever asks for these vectors, and is theirs to report.
    with suppress(Exception), _locked(place):
        known = place.known()
        if place.lacks(known):
            _compute(task, place, known, name, progress)


def _locked(place: _Place) -> AbstractContextManager[object]:
    return nullcontext() if place.shelf is None else place.shelf.lock()


def _compute(task: _Task, place: _Place, known: dict[str, Vectors], name: str, progress: Progress) -> None:
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


def _same(image: Any) -> Any:
    return image
