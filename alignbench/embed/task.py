"""What is to be embedded of a dataset, by which model, and how a part of it is computed."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.datasets import Dataset
from alignbench.embed.batches import image_batches, overhead_of, text_batches, threads_of
from alignbench.embed.fitting import Fitting
from alignbench.embed.models import embed_of, image_calls, info_of, run
from alignbench.encoders import Encoder
from alignbench.errors import AlignbenchWarning, DataError, ModelError
from alignbench.llms import LLM
from alignbench.weights.precision import resolve_device
from alignbench.weights.protocols import (
    counts_cut_texts,
    gives_patches,
    prepares_texts,
    stages_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alignbench.embed.models import Output, Vectors
    from alignbench.weights.protocols import ImageModel, Model, PreparesTexts, TextModel

    # Rows (positions among the requested ones) and their vectors, in any order.
    Encode = Callable[[Sequence[int]], Iterator[tuple[Sequence[int], Vectors]]]
    # The key of each row's vector, given the model's key.
    Items = Callable[[dict[str, Any]], list[str]]

_TEXTS_A_BATCH = 32
# Texts are sorted by length within this many, so that the tokens of a million texts are not held at once and
# a block of samples lies in few shards.
TEXTS_AHEAD = 16_384


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """A dataset to embed, the model, and the function that computes a part of it."""

    model: Model
    side: Literal["vision", "text"]
    ids: tuple[str, ...]
    items: Items
    encode: Encode
    output: Output = "vectors"

    @property
    def name(self) -> str:
        """The model's."""
        return info_of(self.model, self.side).name


def image_task(
    encoder: ImageModel, dataset: Dataset, batch_size: int, device: str, output: Output
) -> EmbeddingTask:
    """Return the embedding of a dataset's images; on a GPU, more threads prepare them.

    Raises:
        ModelError: the encoder has no such output.
    """
    samples = dataset.samples
    ids = tuple(sample.id for sample in samples)
    digests = [sample.image_digest for sample in samples]
    name = info_of(encoder, "vision").name
    if not gives(encoder, output):
        raise ModelError(f"{name}: gives no patch embeddings")

    def encode(rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Vectors]]:
        prepare, forward = image_calls(encoder, output)
        forward = Fitting(forward, name, "images")
        stage = encoder.staged if stages_images(encoder) else None
        threads = threads_of(resolve_device(device))
        wanted = [samples[row] for row in rows]
        for positions, batch in image_batches(wanted, prepare, batch_size, stage, threads=threads):
            of = [rows[position] for position in positions]
            yield of, run(forward, batch, name, [ids[row] for row in of], "vision", output)

    return EmbeddingTask(encoder, "vision", ids, lambda _key: digests, encode, output)


def gives(model: Model, output: Output) -> bool:
    """Whether a model has that output; only our own models have hidden layers."""
    if output == "layers":
        return isinstance(model, Encoder | LLM)
    return output == "vectors" or gives_patches(model)


def text_task(
    llm: TextModel, dataset: Dataset | Sequence[str], max_tokens: int, device: str, output: Output
) -> EmbeddingTask:
    """Return the embedding of a dataset's texts, or of texts; on a device, where large batches cost less."""
    if isinstance(dataset, Dataset):
        ids, texts = tuple(s.id for s in dataset.samples), [s.text for s in dataset.samples]
    else:
        ids, texts = tuple(f"text-{i}" for i in range(len(dataset))), list(dataset)
    name = info_of(llm, "text").name

    def encode(rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Vectors]]:
        if not prepares_texts(llm):
            embed = Fitting(embed_of(llm, "text"), name, "texts", len)
            lengths = [len(texts[row]) for row in rows]
            budget = max(lengths) * _TEXTS_A_BATCH
            # Only the model knows how it pads: few batches are the safe choice.
            for positions in text_batches(lengths, budget, _TEXTS_A_BATCH, overhead=budget):
                of = [rows[position] for position in positions]
                yield of, run(embed, [texts[row] for row in of], name, [ids[row] for row in of], "text")
            return
        forward = llm.forward_layers if output == "layers" and isinstance(llm, LLM) else llm.forward
        fitting = Fitting(forward, name, "texts", len)
        overhead, cut = overhead_of(resolve_device(device)), 0
        for start in range(0, len(rows), TEXTS_AHEAD):
            window = rows[start : start + TEXTS_AHEAD]
            tokens = llm.tokenize([texts[row] for row in window])
            if empty := [ids[row] for row, of in zip(window, tokens, strict=True) if not of]:
                raise DataError(f"sample {empty[0]!r}: {name} makes no token of its text")
            if output == "vectors":
                cut += _cut(llm, [texts[row] for row in window], tokens)
            if cut and start + TEXTS_AHEAD >= len(rows):
                _say_what_was_cut(llm, cut, len(rows))
            for positions in text_batches([len(of) for of in tokens], max_tokens, overhead=overhead):
                of = [window[position] for position in positions]
                batch = [tokens[p] for p in positions]
                yield of, run(fitting, batch, name, [ids[row] for row in of], "text", output)

    return EmbeddingTask(llm, "text", ids, _text_items(texts), encode, output)


def _cut(llm: PreparesTexts, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> int:
    """Return how many texts were truncated, as far as the model tells."""
    limit = info_of(llm, "text").params.get("max_length")
    if limit is None or not counts_cut_texts(llm):
        return 0
    # Only texts that fill the limit can have been truncated; few have to be tokenized twice.
    full = [text for text, of in zip(texts, tokens, strict=True) if len(of) >= limit]
    return llm.truncated(full) if full else 0


def _say_what_was_cut(llm: PreparesTexts, cut: int, count: int) -> None:
    info = info_of(llm, "text")
    limit = info.params["max_length"]
    warnings.warn(
        f"{info.name}: {cut} of {count} texts have more than {limit} tokens; the rest was not read",
        AlignbenchWarning,
        stacklevel=2,
    )


def _text_items(texts: Sequence[str]) -> Items:
    def items(key: dict[str, Any]) -> list[str]:
        # How a text becomes tokens: the digest of template and tokenizer, if the model provides one.
        how = key.get("preprocessing")
        return [hashlib.sha256(json.dumps([text, how]).encode()).hexdigest() for text in texts]

    return items
