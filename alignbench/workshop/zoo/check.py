"""Measures what a built-in model has learned, on drawings that it never saw."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForCausalLM, AutoTokenizer

from alignbench.datasets.synthetic import HELD_OUT_SEED, Synthetic
from alignbench.rows import unit_rows
from alignbench.workshop.zoo.card import write_card
from alignbench.workshop.zoo.contrastive import encoded
from alignbench.workshop.zoo.data import Drawings
from alignbench.zoo.random_vit import build_random_vit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from alignbench.weights.processors import ImageProcessor
    from alignbench.zoo.recipes import TrainingRecipe

RESULTS_FILE = "results.json"
PER_TYPE = 30
KNN_PER_TYPE = 150
KNN_CHARTS = 400
UNIGRAM_TEXTS = 2000
K = 5
BATCH = 32
Results = dict[str, float]


def check_model(recipe: TrainingRecipe, folder: Path, say: Callable[[str], None]) -> Results:
    """Measure the model in `folder`, write results.json and the card beside it, and return the results."""
    results = measure(recipe, folder)
    (folder / RESULTS_FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write_card(folder)
    for name, value in results.items():
        say(f"{recipe.name} {name} {value:g}")
    return results


def measure(recipe: TrainingRecipe, folder: Path) -> Results:
    """Return the held-out results of the model in `folder`, according to its objective."""
    if recipe.objective == "language":
        results = language_results(folder)
    elif recipe.objective == "distill":
        results = distill_results(folder)
    else:
        results = retrieval_results(folder)
    return {name: round(value, 4) for name, value in results.items()}


@torch.inference_mode()
def retrieval_results(folder: Path) -> Results:
    """Return recall@1 both ways among 90 held-out pairs, and from image to text within each type among 30."""
    model = loaded(AutoModel, folder)
    samples = Synthetic(HELD_OUT_SEED).dataset(PER_TYPE).samples
    processor: ImageProcessor = AutoImageProcessor.from_pretrained(folder)
    pixels = processed(processor, [s.open_image() for s in samples])
    tokens = encoded(AutoTokenizer.from_pretrained(folder), [s.texts[0] for s in samples])
    logits = model(pixel_values=pixels, **tokens).logits_per_image.numpy()
    types = np.asarray([s.data_type for s in samples])
    results = {
        "image_to_text_r1": recall_at_1(logits),
        "text_to_image_r1": recall_at_1(logits.T),
        "chance": 1 / len(logits),
    }
    right = logits.argmax(1) == np.arange(len(logits))
    for data_type in dict.fromkeys(types):
        results[f"{data_type}_image_to_text_r1"] = float(right[types == data_type].mean())
    return results


def loaded(auto: type[AutoModel | AutoModelForCausalLM], folder: Path) -> PreTrainedModel:
    """Return the model in `folder` as `auto` loads it, in float32."""
    model: PreTrainedModel = auto.from_pretrained(folder, dtype=torch.float32).eval()
    return model


def recall_at_1(logits: NDArray[np.float32]) -> float:
    """Return the share of rows of [n, n] whose largest entry is on the diagonal."""
    return float(np.mean(logits.argmax(1) == np.arange(len(logits))))


def distill_results(folder: Path) -> Results:
    """Return kNN accuracies of type and of chart kind, each with that of the untrained control."""
    model = loaded(AutoModel, folder)
    source = Synthetic(HELD_OUT_SEED, smooth=1)
    numbers = [(data_type, i) for data_type in source.types for i in range(KNN_PER_TYPE)]
    images = [source.drawing(*number).image for number in numbers]
    types = [data_type for data_type, _ in numbers]
    charts = [source.drawing("chart", i).image for i in range(KNN_CHARTS)]
    kinds = [source.description("chart", i).kind for i in range(KNN_CHARTS)]
    results: Results = {}
    control, processor = build_random_vit()
    for name, network in (("", model), ("random_vit_", control)):
        results[f"{name}type_knn"] = knn_accuracy(features(network, processor, images), types)
        results[f"{name}chart_kind_knn"] = knn_accuracy(features(network, processor, charts), kinds)
    return results


@torch.inference_mode()
def features(
    model: PreTrainedModel, processor: ImageProcessor, images: Sequence[Image.Image]
) -> NDArray[np.float32]:
    """Return the pooled outputs [n, d] of `images`."""
    pixels = processed(processor, images)
    return np.concatenate([model(pixel_values=batch).pooler_output.numpy() for batch in pixels.split(BATCH)])


def processed(processor: ImageProcessor, images: Sequence[Image.Image]) -> Any:
    """Return `images` as the processor hands them to a model: a float tensor [n, 3, h, w]."""
    return processor(images=list(images), return_tensors="pt")["pixel_values"]


def knn_accuracy(x: NDArray[np.float32], labels: Sequence[str], k: int = K) -> float:
    """Return the leave-one-out accuracy of the majority among the `k` nearest by cosine after centring."""
    x = unit_rows(x - x.mean(0))
    cosines = x @ x.T
    np.fill_diagonal(cosines, -np.inf)
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    nearest = codes[np.argsort(-cosines, axis=1, kind="stable")[:, :k]]
    votes = np.stack([(nearest == code).sum(1) for code in range(len(names))], axis=1)
    return float(np.mean(votes.argmax(1) == codes))


@torch.inference_mode()
def language_results(folder: Path) -> Results:
    """Return the perplexity per token of held-out wordings, and that of a unigram model.

    The unigram model counts the same tokens in training texts, adding one to every count.
    """
    model = loaded(AutoModelForCausalLM, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    source = Synthetic(HELD_OUT_SEED)
    texts = [
        w for name in source.types for i in range(PER_TYPE) for w in source.description(name, i).wordings
    ]
    counts = np.ones(len(tokenizer))
    for number in range(UNIGRAM_TEXTS):
        for wording in Drawings().description(number).wordings:
            np.add.at(counts, tokenizer(wording).input_ids[1:], 1)
    surprise = -np.log(counts / counts.sum())
    total = unigram = 0.0
    n = 0
    for start in range(0, len(texts), BATCH):
        tokens = tokenizer(texts[start : start + BATCH], padding="longest", return_tensors="pt")
        logits = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits
        targets = tokens.input_ids[:, 1:]
        kept = tokens.attention_mask[:, 1:].bool()
        log_p = logits[:, :-1].float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        total -= float(log_p[kept].sum())
        unigram += float(surprise[targets[kept].numpy()].sum())
        n += int(kept.sum())
    return {
        "perplexity": math.exp(total / n),
        "unigram_perplexity": math.exp(unigram / n),
        "ratio": math.exp((total - unigram) / n),
        "same_drawing_r1": same_drawing_r1(model, tokenizer),
    }


def same_drawing_r1(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    """Return how often a wording's nearest, among the second wordings of 90 drawings, is of the same drawing.

    Nearness is the cosine of mean-pooled last hidden states after centring; chance is 1 in 90.
    """
    source = Synthetic(HELD_OUT_SEED)
    drawings = [source.description(name, i).wordings for name in source.types for i in range(PER_TYPE)]
    first, second = (_pooled(model, tokenizer, [wordings[i] for wordings in drawings]) for i in (0, 1))
    return recall_at_1(first @ second.T)


def _pooled(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> NDArray[np.float32]:
    tokens = tokenizer(texts, padding="longest", return_tensors="pt")
    hidden = model.base_model(
        input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
    ).last_hidden_state
    mask = tokens.attention_mask[..., None].float()
    mean = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return cast("NDArray[np.float32]", unit_rows(mean - mean.mean(0)))
