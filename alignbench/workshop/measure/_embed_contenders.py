"""The same embeddings by alignbench and by the usual alternatives; all models are loaded beforehand."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.encoders import Encoder
from alignbench.encoders import resolve as resolve_encoder
from alignbench.llms import resolve as resolve_llm
from alignbench.rows import unit_vectors
from alignbench.weights.loading import quiet, torch_dtype, transformers_class
from alignbench.weights.precision import resolve_device
from alignbench.weights.protocols import loads
from alignbench.workshop.measure._embed_inputs import dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.llms import LLM
    from alignbench.weights.custom import Custom
    from alignbench.weights.precision import Precision

    Vectors = NDArray[np.float32]
    Work = Callable[[], Vectors]

LONGEST = 128  # the number of tokens of a text that are read
IMAGES_A_BATCH = 32


class PinnedModel:
    """A loaded model that an `Embedder` can neither load nor free.

    Args:
        model: an LLM or an Encoder; it is loaded once, here.
        device: its device.
        dtype: its arithmetic.
    """

    def __init__(self, model: Encoder | LLM | Custom, device: str, dtype: str) -> None:
        if loads(model):
            model.load(device, dtype)
        self._model = model

    def embed(self, items: Sequence[Any]) -> Vectors:
        """Return the model's vectors of `items`."""
        return self._model.embed(items)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def load(self, device: str, dtype: str) -> None:
        """Do nothing: the model is loaded."""

    def unload(self) -> None:
        """Do nothing: the model stays loaded."""


def our_texts(folder: Path, texts: Sequence[str], device: str, dtype: str) -> Work:
    """Return the work of embedding texts with an empty store: tokenising, running, checking, writing."""
    llm = PinnedModel(resolve_llm(f"ours={folder}", max_length=LONGEST), device, dtype)
    return lambda: Embedder(EmbeddingStore(), device, dtype).texts(llm, texts).values


def sentence_transformers_texts(
    folder: Path, texts: Sequence[str], device: str, precision: Precision
) -> Callable[[int], Vectors]:
    """Return the same work by sentence-transformers, for a batch size: mean pooling, no chat template."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    device = resolve_device(device)
    with quiet():
        transformer = Transformer(
            str(folder),
            model_kwargs={"dtype": torch_dtype(precision.weights)},
            max_seq_length=LONGEST,
            # These are its defaults without "message", which would wrap each text in the chat template.
            modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            module_output_name="token_embeddings",
        )
    if transformer.tokenizer.pad_token is None:
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling], device=device)

    def encode(batch_size: int) -> Vectors:
        with autocast(device, precision):
            vectors = model.encode(
                list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, dtype=np.float32)

    return encode


def plain_texts(
    folder: Path, texts: Sequence[str], device: str, precision: Precision
) -> Callable[[int], Vectors]:
    """Return the same work by a plain loop over texts sorted by length, for a batch size."""
    device = resolve_device(device)
    with quiet():
        tokenizer = transformers_class("AutoTokenizer").from_pretrained(folder)
        model = transformers_class("AutoModel").from_pretrained(folder, dtype=torch_dtype(precision.weights))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.eval().to(device)
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))

    def encode(batch_size: int) -> Vectors:
        parts = []
        with torch.inference_mode(), autocast(device, precision):
            for start in range(0, len(order), batch_size):
                batch = [texts[row] for row in order[start : start + batch_size]]
                given = tokenizer(
                    batch, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
                ).to(device)
                states = model(**given).last_hidden_state.float()
                mask = given["attention_mask"].unsqueeze(-1)
                parts.append(((states * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy())
        return unit_vectors(np.concatenate(parts)[np.argsort(order)])

    return encode


def our_images(
    folder: Path, files: Sequence[Path], pooling: str, device: str, dtype: str
) -> tuple[Work, Precision]:
    """Return the work of embedding images with an empty store, and its arithmetic."""
    handle = resolve_encoder(f"ours={folder}", pooling=pooling)
    assert isinstance(handle, Encoder)
    encoder = PinnedModel(handle, device, dtype)

    def work() -> Vectors:
        embedder = Embedder(EmbeddingStore(), device, dtype, IMAGES_A_BATCH)
        return embedder.images(encoder, dataset(files)).values

    return work, handle.precision(device, dtype)


def plain_images(
    folder: Path,
    files: Sequence[Path],
    model_class: str,
    output: str,
    device: str,
    precision: Precision,
) -> Work:
    """Return the same work by the loop in transformers' documentation, with autocast around all of it."""
    from PIL import Image

    device = resolve_device(device)
    with quiet():
        processor = transformers_class("AutoImageProcessor").from_pretrained(folder)
        model = transformers_class(model_class).from_pretrained(folder, dtype=torch_dtype(precision.weights))
    model = model.eval().to(device)

    def work() -> Vectors:
        parts = []
        with torch.inference_mode(), autocast(device, precision):
            for start in range(0, len(files), IMAGES_A_BATCH):
                images = [Image.open(file).convert("RGB") for file in files[start : start + IMAGES_A_BATCH]]
                inputs = processor(images=images, return_tensors="pt").to(device)
                if precision.autocast is None:
                    inputs = inputs.to(model.dtype)
                parts.append(getattr(model(**inputs), output).float().cpu().numpy())
        return unit_vectors(np.concatenate(parts))

    return work


def autocast(device: str, precision: Precision) -> Any:
    """Return the context in which a model computes like ours."""
    if precision.autocast is None:
        return nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=torch_dtype(precision.autocast))
