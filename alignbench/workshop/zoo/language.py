"""Next-token training of a decoder on the drawings' texts, questions and answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from alignbench.workshop.zoo.data import Drawings, batch_numbers, document
from alignbench.workshop.zoo.loop import ATTENTION
from alignbench.workshop.zoo.tokenizer import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from alignbench.zoo.recipes import TrainingRecipe

IGNORED = -100
FAMILIES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen": (Qwen2Config, Qwen2ForCausalLM)}


class Language:
    """A batch has one document for each of its drawings, followed by the end-of-text token."""

    def __init__(self, recipe: TrainingRecipe, tokenizer: PreTrainedTokenizerBase) -> None:
        self._recipe, self._tokenizer = recipe, tokenizer
        self._drawings = Drawings()
        self.module = build(recipe, tokenizer)

    def loss(self, step: int) -> torch.Tensor:
        """Return the mean cross-entropy of the next token."""
        recipe = self._recipe
        rng = random.Random(f"{recipe.seed}/{step}")
        numbers = batch_numbers(recipe.pool, recipe.batch, recipe.seed, step)
        texts = [
            document(self._drawings.description(int(n)), rng) + self._tokenizer.eos_token for n in numbers
        ]
        tokens = self._tokenizer(texts, padding="longest", return_tensors="pt")
        logits = self.module(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits
        return next_token_loss(logits, tokens.input_ids, tokens.attention_mask)

    def after(self, step: int) -> None:
        """Do nothing after a step."""


def build(recipe: TrainingRecipe, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the untrained model of `recipe`, with the tokenizer's special tokens in its configuration."""
    config, model = FAMILIES[recipe.family]
    torch.manual_seed(recipe.seed)
    return model(config(**recipe.config, **ATTENTION, **special_ids(tokenizer)))


def next_token_loss(logits: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log p(next token) over the tokens that `mask` keeps.

    Args:
        logits: [b, t, v].
        tokens: [b, t].
        mask: [b, t], 0 for padding.
    """
    targets = tokens.masked_fill(mask == 0, IGNORED)[:, 1:]
    return functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED)
