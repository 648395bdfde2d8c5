"""What is to be embedded, by which model, and how a part of it is computed."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from alignbench.datasets import Dataset, Sample
from alignbench.embed.batches import (
    UnusableImagesError,
    image_batches,
    overhead_of,
    text_batches,
    threads_of,
)
from alignbench.embed.fitting import Fitting, Limit
from alignbench.embed.models import embed_of, image_calls, info_of, run
from alignbench.encoders import Encoder
from alignbench.errors import DataError, ModelError
from alignbench.llms import LLM
from alignbench.weights.precision import resolve_device
from alignbench.weights.protocols import (
    ImageModel,
    TextModel,
    counts_cut_texts,
    gives_patches,
    prepares_texts,
    stages_images,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.embed.models import Output, Vectors
    from alignbench.embed.tally import Tally
    from alignbench.weights.protocols import Model, PreparesTexts

_TEXTS_A_BATCH = 32

C = TypeVar("C")
M = TypeVar("M", bound="Model")


@dataclass(frozen=True, slots=True)
class EmbeddingTask(ABC, Generic[M, C]):
    """Contents to embed, and the model.

    Args:
        model: the model; all tasks of one load of weights share it.
        contents: what is embedded: row i is of content i.
        output: whether there is one vector, or one per patch or layer.
        limit: the batches that fit into memory, as earlier shards have shown.
    """

    model: M
    contents: tuple[C, ...]
    output: Output
    limit: Limit = field(default_factory=Limit, kw_only=True, compare=False)

    side: ClassVar[Literal["vision", "text"]]

    @property
    def name(self) -> str:
        """The model's."""
        return info_of(self.model, self.side).name

    @property
    @abstractmethod
    def ids(self) -> tuple[str, ...]:
        """The samples' ids."""

    @abstractmethod
    def items(self, key: dict[str, Any]) -> list[str]:
        """Return the key of each row's vector, given the model's key."""

    @abstractmethod
    def encode(self, rows: Sequence[int], tally: Tally) -> Iterator[tuple[Sequence[int], Vectors]]:
        """Yield (rows, their vectors), in any order; `tally` gets what can't be used, or only in part."""


@dataclass(frozen=True, slots=True)
class ImageTask(EmbeddingTask[ImageModel, Sample]):
    """Images to embed.

    Args:
        batch_size: the number of images per batch.
        device: the device that was asked for; on a GPU, more threads prepare images.

    Raises:
        ModelError: the encoder has no such output.
    """

    batch_size: int
    device: str

    side = "vision"

    def __post_init__(self) -> None:
        if not gives(self.model, self.output):
            raise ModelError(f"{self.name}: gives no patch embeddings")

    @property
    def ids(self) -> tuple[str, ...]:
        """The samples' ids."""
        return tuple(sample.id for sample in self.contents)

    def items(self, key: dict[str, Any]) -> list[str]:
        """Return the digest of each image."""
        return [sample.image_digest for sample in self.contents]

    def encode(self, rows: Sequence[int], tally: Tally) -> Iterator[tuple[Sequence[int], Vectors]]:
        """Yield (rows, their vectors), in order; images that can't be used go into `tally`."""
        name = self.name
        prepare, forward = image_calls(self.model, self.output)
        fitting = Fitting(forward, name, "images", limit=self.limit)
        stage = self.model.staged if stages_images(self.model) else None
        threads = threads_of(resolve_device(self.device))
        samples = [self.contents[row] for row in rows]
        try:
            for positions, batch in image_batches(samples, prepare, self.batch_size, stage, threads=threads):
                of = [rows[position] for position in positions]
                ids = [self.contents[row].id for row in of]
                yield of, run(fitting, batch, name, ids, "vision", self.output)
        except UnusableImagesError as error:
            tally.refused.extend(error.refused)


def gives(model: Model, output: Output) -> bool:
    """Whether a model has that output; only our own models have hidden layers."""
    if output == "layers":
        return isinstance(model, Encoder | LLM)
    return output == "vectors" or gives_patches(model)


@dataclass(frozen=True, slots=True)
class TextTask(EmbeddingTask[TextModel, tuple[str, str]]):
    """Texts to embed, each with its id.

    Args:
        max_tokens: the number of tokens per batch, including padding.
        device: the device that was asked for; on a GPU, large batches cost less.
    """

    max_tokens: int
    device: str

    side = "text"

    @property
    def ids(self) -> tuple[str, ...]:
        """The samples' ids."""
        return tuple(id for id, _ in self.contents)

    def items(self, key: dict[str, Any]) -> list[str]:
        """Return the digest of each text and of how it becomes tokens, if the model says that."""
        how = key.get("preprocessing")
        return [hashlib.sha256(json.dumps([text, how]).encode()).hexdigest() for _, text in self.contents]

    def encode(self, rows: Sequence[int], tally: Tally) -> Iterator[tuple[Sequence[int], Vectors]]:
        """Yield (rows, their vectors), longest texts first; `tally` counts texts that are too long."""
        llm, name = self.model, self.name
        ids, texts = zip(*(self.contents[row] for row in rows), strict=True)
        if not prepares_texts(llm):
            embed = Fitting(embed_of(llm, "text"), name, "texts", len, limit=self.limit)
            lengths = [len(text) for text in texts]
            budget = max(lengths) * _TEXTS_A_BATCH
            # Only the model knows how it pads: few batches are the safe choice.
            for positions in text_batches(lengths, budget, _TEXTS_A_BATCH, overhead=budget):
                some = [texts[p] for p in positions]
                yield (
                    [rows[p] for p in positions],
                    run(embed, some, name, [ids[p] for p in positions], "text"),
                )
            return
        tokens = llm.tokenize(texts)
        if empty := [id for id, of in zip(ids, tokens, strict=True) if not of]:
            raise DataError(f"sample {empty[0]!r}: {name} makes no token of its text")
        if self.output == "vectors":
            tally.cut += _count_cut(llm, texts, tokens)
        forward = llm.forward_layers if self.output == "layers" and isinstance(llm, LLM) else llm.forward
        fitting = Fitting(forward, name, "texts", len, limit=self.limit)
        overhead = overhead_of(resolve_device(self.device))
        for positions in text_batches([len(of) for of in tokens], self.max_tokens, overhead=overhead):
            batch, of = [tokens[p] for p in positions], [ids[p] for p in positions]
            yield [rows[p] for p in positions], run(fitting, batch, name, of, "text", self.output)


def texts_of(dataset: Dataset | Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the texts of a dataset, or texts as they are, with their ids."""
    if isinstance(dataset, Dataset):
        return tuple((sample.id, sample.text) for sample in dataset.samples)
    return tuple((f"text-{i}", text) for i, text in enumerate(dataset))


def _count_cut(llm: PreparesTexts, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> int:
    """Return how many texts a model truncates."""
    limit = info_of(llm, "text").params.get("max_length")
    if limit is None or not counts_cut_texts(llm):
        return 0
    # Only texts that fill the limit can have been truncated; few have to be tokenized twice.
    full = [text for text, of in zip(texts, tokens, strict=True) if len(of) >= limit]
    return llm.truncated(full) if full else 0
