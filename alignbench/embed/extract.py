"""Embeddings of a dataset: from the cache, and what is missing from the model."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

from alignbench.datasets import Dataset
from alignbench.embed.arrays import from_arrays, runs
from alignbench.embed.batches import image_batches, overhead_of, text_batches
from alignbench.embed.models import info_of, run, runs_apart
from alignbench.embed.progress import Progress, Silent
from alignbench.embed.task import Place, Task, vectors_of
from alignbench.embed.unit import unit
from alignbench.errors import AlignbenchWarning, DataError, InputError, LayersMissingError, ModelError
from alignbench.types import Embeddings, Layers, Patches
from alignbench.weights.precision import resolve_device

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from alignbench.embed.cache import EmbeddingStore
    from alignbench.embed.models import OnLoad, Output, Vectors
    from alignbench.embed.task import Items

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
    beside: Collection[Output] = (),
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
        beside: where weights are loaded, keep "patches" or "layers", too, for later.

    Returns:
        float32 `[n, d]`, with the arithmetic in `model.params["dtype"]`.

    Raises:
        WeightsMissingError: a load is needed and the weights are not there.
        ModelError: a vector is not finite, or can't be scaled to unit length.
        DataError: an image can't be decoded.
    """
    if (given := from_arrays(encoder, dataset)) is not None:
        return given
    task, *others = (
        _image_task(encoder, dataset, device, dtype, batch_size, output)
        for output in ("vectors", *(o for o in beside if _gives(encoder, o)))
    )
    return _embed(task, store, progress or Silent(), on_load, others)


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
    task = _image_task(encoder, dataset, device, dtype, batch_size, "patches")
    info, values = vectors_of(task, store, progress or Silent(), on_load)
    return Patches(info, values, task.ids)


def gives_layers(model: Any) -> bool:
    """Whether a model gives its hidden layers: it is ours."""
    return callable(getattr(model, "forward_layers", None))


def _gives(model: Any, output: Output) -> bool:
    return gives_patches(model) if output == "patches" else gives_layers(model)


def embed_layers(
    model: Any,
    dataset: Dataset,
    *,
    store: EmbeddingStore,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 32,
    progress: Progress | None = None,
    on_load: OnLoad | None = None,
) -> Layers:
    """Return every hidden layer of an encoder's images or an LLM's texts, as they are: no row is scaled.

    Args:
        model: an Encoder or an LLM.
        dataset: as in `embed_images`, like the other arguments.
        store: as there.
        device: as there.
        dtype: as there.
        batch_size: images a batch; texts go by their length.
        progress: as there.
        on_load: as there.

    Raises:
        LayersMissingError: the model gives none.
        WeightsMissingError: a load is needed and the weights are not there.
        ModelError: a vector is not finite.
    """
    info = info_of(model, "vision", "")
    if not gives_layers(model):
        raise LayersMissingError(f"{info.name}: gives embeddings only, no hidden layers")
    if callable(check := getattr(model, "check_layers", None)):
        check()
    if info.side == "text":
        task = _text_task(model, dataset, device, dtype, 2048, "layers")
    else:
        task = _image_task(model, dataset, device, dtype, batch_size, "layers")
    found, values = vectors_of(task, store, progress or Silent(), on_load)
    poolings = tuple(model.layer_poolings)
    n, d = len(values), values.shape[-1]
    of_all = values.reshape(n, -1, len(poolings), d)
    if info.side == "text":
        return Layers(found, of_all, poolings, task.ids)
    return Layers(found, of_all[:, :-1], poolings, task.ids, model.first_layer, of_all[:, -1])


def _image_task(
    encoder: Any, dataset: Dataset, device: str, dtype: str, batch_size: int, output: Output
) -> Task:
    if batch_size < 1:
        raise InputError(f"batch_size: expected at least 1, got {batch_size}")
    samples = dataset.samples
    ids = tuple(sample.id for sample in samples)
    name = info_of(encoder, "vision", "").name
    whole, method = {
        "vectors": ("embed", "forward"),
        "patches": ("patches", "forward_patches"),
        "layers": ("", "forward_layers"),
    }[output]

    def encode(rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Vectors]]:
        apart = runs_apart(encoder, "preprocess") and hasattr(encoder, method)
        prepare = encoder.preprocess if apart else _same
        forward = getattr(encoder, method if apart else whole)
        for positions, batch in image_batches([samples[row] for row in rows], prepare, batch_size):
            of = [rows[position] for position in positions]
            yield of, run(forward, batch, name, [ids[row] for row in of], "vision", output)

    return Task(encoder, "vision", ids, _image_items(dataset), encode, device, dtype, output)


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
    with_layers: bool = False,
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
        with_layers: where weights are loaded, keep all hidden layers, too, for later.

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
    task = _text_task(llm, dataset, device, dtype, max_tokens, "vectors")
    beside = (
        [_text_task(llm, dataset, device, dtype, max_tokens, "layers")]
        if with_layers and gives_layers(llm)
        else []
    )
    return _embed(task, store, progress or Silent(), on_load, beside)


def _text_task(
    llm: Any, dataset: Dataset | Sequence[str], device: str, dtype: str, max_tokens: int, output: Output
) -> Task:
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
        if output == "vectors":
            _say_what_was_cut(llm, [texts[row] for row in rows], tokens)
        forward = llm.forward_layers if output == "layers" else llm.forward
        overhead = overhead_of(resolve_device(device))
        for positions in text_batches([len(of) for of in tokens], max_tokens, overhead=overhead):
            of = [rows[position] for position in positions]
            batch = [tokens[p] for p in positions]
            yield of, run(forward, batch, name, [ids[row] for row in of], "text", output)

    return Task(llm, "text", ids, _text_items(texts), encode, device, dtype, output)


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
    place = Place.of(model, items, device, dtype, store, "patches" if patches else "vectors")
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


def _embed(
    task: Task,
    store: EmbeddingStore,
    progress: Progress,
    on_load: OnLoad | None,
    beside: Sequence[Task] = (),
) -> Embeddings:
    info, values = vectors_of(task, store, progress, on_load, beside)
    return Embeddings(info, unit(values, task.ids, info.name) if info.params["l2"] else values, task.ids)


def _same(image: Any) -> Any:
    return image
