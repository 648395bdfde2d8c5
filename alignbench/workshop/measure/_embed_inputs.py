"""The inputs for measuring embedding: models of real shapes with random weights, texts and image files."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from alignbench import llms, paths
from alignbench.cores import available_cores
from alignbench.datasets import Dataset, Sample
from alignbench.datasets.synthetic import HELD_OUT_SEED, TYPES, Synthetic
from alignbench.errors import WeightsMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PretrainedConfig, PreTrainedModel

    from alignbench.weights.processors import Saves
    from alignbench.weights.source import Location

# SmolLM2-135M, CLIP ViT-B/32 and DINOv2-base, except for the vocabulary, which the tokenizer determines.
LLM: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
}
CLIP: dict[str, Any] = {"patch_size": 32, "projection_dim": 512}
DINOV2: dict[str, Any] = {"patch_size": 14, "image_size": 518}
PIXELS = 224
CROP = {"height": PIXELS, "width": PIXELS}
PHOTO = (640, 427)
# The number of wordings and exchanges of a drawing that make one text.
_PARTS = (1, 1, 1, 2, 2, 3)


def real_llm() -> Location | None:
    """Return the place of SmolLM2-135M, or None if its package is not installed."""
    try:
        return llms.resolve("smollm2-135m").locate()
    except WeightsMissingError:
        return None


def make_llm(folder: Path) -> tuple[Path, str]:
    """Return a folder with an LLM and its tokenizer, and a description of it.

    It is the real SmolLM2-135M if its package is installed; otherwise, a model of its shape
    with random weights and the tokenizer of mini-llama.
    """
    import transformers

    located = real_llm()
    if located is not None:
        from alignbench.llms.gguf import converted

        return converted(located), "SmolLM2-135M, real weights"
    tokenizer = transformers.AutoTokenizer.from_pretrained(paths.models_dir() / "mini-llama")
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), **LLM)
    title = "LlamaModel of SmolLM2-135M's shape"
    return _saved(folder, title, transformers.LlamaModel, config, tokenizer)


def make_clip(folder: Path) -> tuple[Path, str]:
    """Return the folder, after writing a CLIP vision model and its processor into it, and a description."""
    import transformers

    config = transformers.CLIPVisionConfig(image_size=PIXELS, **CLIP)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": PIXELS}, crop_size=CROP)
    model_class = transformers.CLIPVisionModelWithProjection
    return _saved(folder, "CLIP ViT-B/32's shape", model_class, config, processor)


def make_dinov2(folder: Path) -> tuple[Path, str]:
    """Return the folder, after writing a DINOv2 and its processor into it, and a description."""
    import transformers

    config = transformers.Dinov2Config(**DINOV2)
    processor = transformers.BitImageProcessor(size={"shortest_edge": PIXELS * 8 // 7}, crop_size=CROP)
    return _saved(folder, "DINOv2-base's shape", transformers.Dinov2Model, config, processor)


def _saved(
    folder: Path,
    title: str,
    model_class: type[PreTrainedModel],
    config: PretrainedConfig,
    processor: Saves,
) -> tuple[Path, str]:
    """Write a model with random weights and its processor; return the folder and a description."""
    import torch

    from alignbench.weights.loading import quiet

    torch.manual_seed(0)
    model = model_class(config)
    with quiet():
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder, f"{title}, {model.num_parameters() / 1e6:.0f}M random weights"


def texts(n: int) -> list[str]:
    """Return `n` different texts about drawings, from a short answer to a paragraph."""
    rng, source = random.Random(0), Synthetic(HELD_OUT_SEED)
    made: dict[str, None] = {}
    for i in itertools.count():
        drawing = source.description(TYPES[i % len(TYPES)], i)
        parts = [*drawing.wordings, *(f"{question} {answer}" for question, answer in drawing.exchanges)]
        made[" ".join(rng.sample(parts, rng.choice(_PARTS)))] = None
        if len(made) == n:
            break
    return list(made)


def photos(n: int, folder: Path) -> list[Path]:
    """Write `n` pictures as detailed as photos, most of them JPEG, some PNG, in landscape and portrait."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(i: int) -> Path:
        file = folder / f"{i:05d}.{'png' if i % 4 == 3 else 'jpg'}"
        photo(i, PHOTO if i % 3 else PHOTO[::-1]).save(file, quality=90)
        return file

    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(write, range(n)))


def photo(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return a picture as detailed as a photo: smooth patches of colour, with grain.

    Args:
        seed: the seed of its colours and of its grain.
        size: width and height in pixels.
    """
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (8, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    grain = smooth + rng.normal(0, 6, (*smooth.shape[:2], 1))
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8))


def dataset(files: Sequence[Path]) -> Dataset:
    """Return image files as a dataset that has not yet read any of them."""
    samples = tuple(Sample(file.name, file, (file.name,), "photo", group=file.name) for file in files)
    return Dataset("photos", samples, "made by alignbench.measure")
