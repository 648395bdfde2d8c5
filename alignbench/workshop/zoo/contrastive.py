"""Contrastive training of an image and a text tower, with CLIP's softmax loss or SigLIP's sigmoid loss."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from alignbench.workshop.zoo.data import Drawings, batch_numbers
from alignbench.workshop.zoo.loop import ATTENTION
from alignbench.workshop.zoo.tokenizer import special_ids
from alignbench.zoo.pixels import normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from alignbench.weights.processors import ImageProcessor
    from alignbench.zoo.recipes import TrainingRecipe

LOGIT_SCALE_LIMIT = math.log(100)
SIGMOID_START = (math.log(10), -10.0)  # Zhai et al. 2023, section 3.2: scale and bias


class ContrastiveTask:
    """Images with their texts; every second batch has a single type, so that negatives are hard."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        pixels: NDArray[np.uint8],
        tokenizer: PreTrainedTokenizerBase,
        processor: ImageProcessor,
    ) -> None:
        self._recipe, self._pixels, self._tokenizer, self._processor = recipe, pixels, tokenizer, processor
        self._drawings = Drawings()
        self.module = build(recipe, tokenizer)

    def loss(self, step: int) -> torch.Tensor:
        """Return the symmetric contrastive loss of batch `step`."""
        recipe = self._recipe
        numbers = batch_numbers(len(self._pixels), recipe.batch, recipe.seed, step, one_type=step % 2 == 1)
        rng = random.Random(f"{recipe.seed}/{step}")
        texts = [rng.choice(self._drawings.description(int(number)).wordings) for number in numbers]
        logits = self.module(
            pixel_values=normalised(self._pixels[numbers], self._processor), **encoded(self._tokenizer, texts)
        ).logits_per_text.float()
        return softmax_loss(logits) if recipe.objective == "softmax" else sigmoid_loss(logits)

    def after(self, step: int) -> None:
        """Keep the temperature in bounds."""
        with torch.no_grad():
            self.module.logit_scale.clamp_(0, LOGIT_SCALE_LIMIT)


def build(recipe: TrainingRecipe, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the untrained model of `recipe`, with the tokenizer's special tokens in its configuration."""
    text_config = {**recipe.config["text_config"], **special_ids(tokenizer)}
    config = {**recipe.config, "text_config": text_config}
    torch.manual_seed(recipe.seed)
    if recipe.objective == "softmax":
        return CLIPModel(CLIPConfig(**config, **ATTENTION))
    model = SiglipModel(SiglipConfig(**config, **ATTENTION))
    with torch.no_grad():
        model.logit_scale.fill_(SIGMOID_START[0])
        model.logit_bias.fill_(SIGMOID_START[1])
    return model


def encoded(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Any:
    """Return token tensors; a model without attention mask (SigLIP) gets full length, as in its training."""
    whole = "attention_mask" not in tokenizer.model_input_names
    return tokenizer(
        texts,
        padding="max_length" if whole else "longest",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    )


def softmax_loss(logits: torch.Tensor) -> torch.Tensor:
    """Return (CE over rows + CE over columns) / 2 of `logits` [b, b] whose diagonal is right.

    Source: Radford et al. 2021, figure 3.
    """
    targets = torch.arange(len(logits))
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


def sigmoid_loss(logits: torch.Tensor) -> torch.Tensor:
    """Return -mean_i sum_j log sigmoid(z_ij logits_ij), z = 1 on the diagonal of [b, b], -1 elsewhere.

    Source: Zhai et al. 2023, equation 1.
    """
    signs = 2 * torch.eye(len(logits)) - 1
    return -functional.logsigmoid(signs * logits).sum(1).mean()
