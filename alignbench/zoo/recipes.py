"""How every built-in model is built and trained: plain numbers, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from alignbench.errors import UnknownNameError
from alignbench.registry import unknown

IMAGE_SIZE = 112
VOCABULARY = 2048

Label = Literal["type", "kind", "colour", "number"]
Objective = Literal["softmax", "sigmoid", "distill", "language", "masked", "random", Label]


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """A training.

    Args:
        name: the model's name, also of its folder.
        objective: contrastive with softmax or sigmoid loss, self-distillation, next token, masked patches, a
            label of the image, or none ("random").
        seed: the seed of the weights and of the order of the batches.
        steps: optimizer steps.
        batch: samples per step.
        rate: the highest learning rate, reached after `warmup` steps; it decays to 0 as a cosine.
        decay: weight decay, for matrices only.
        pool: the number of training drawings.
        config: differences from the family's default configuration, one dict per tower.
    """

    name: str
    objective: Objective
    seed: int
    steps: int
    batch: int
    rate: float
    decay: float
    pool: int
    config: dict[str, Any]
    warmup: int = 100

    @property
    def family(self) -> str:
        """The real models' name for its kind: "clip", "llama", ..."""
        return self.name.removeprefix("mini-")


VISION = {
    "hidden_size": 192,
    "num_hidden_layers": 5,
    "num_attention_heads": 3,
    "image_size": IMAGE_SIZE,
    "patch_size": 16,
}
TOWER = {**VISION, "intermediate_size": 768}
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        TrainingRecipe(
            "mini-clip",
            "softmax",
            seed=11,
            steps=1100,
            batch=128,
            rate=1e-3,
            decay=0.1,
            pool=40_000,
            config={
                "projection_dim": 128,
                "text_config": {**TEXT, "max_position_embeddings": 77, "projection_dim": 128},
                "vision_config": {**TOWER, "projection_dim": 128},
            },
        ),
        TrainingRecipe(
            "mini-siglip",
            "sigmoid",
            seed=12,
            steps=1100,
            batch=128,
            rate=1e-3,
            decay=0.1,
            pool=40_000,
            config={"text_config": {**TEXT, "max_position_embeddings": 64}, "vision_config": TOWER},
        ),
        TrainingRecipe(
            "mini-dinov2",
            "distill",
            seed=13,
            steps=1600,
            batch=96,
            rate=1e-3,
            decay=0.04,
            pool=40_000,
            config={**VISION, "mlp_ratio": 4},
        ),
        TrainingRecipe(
            "mini-llama",
            "language",
            seed=14,
            steps=500,
            batch=32,
            rate=1.5e-3,
            decay=0.1,
            pool=40_000,
            config={
                "vocab_size": VOCABULARY,
                "hidden_size": 256,
                "intermediate_size": 512,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "max_position_embeddings": 512,
                "tie_word_embeddings": True,
            },
        ),
        TrainingRecipe(
            "mini-qwen",
            "language",
            seed=15,
            steps=500,
            batch=32,
            rate=1.5e-3,
            decay=0.1,
            pool=40_000,
            config={
                "vocab_size": VOCABULARY,
                "hidden_size": 224,
                "intermediate_size": 576,
                "num_hidden_layers": 4,
                "num_attention_heads": 7,
                "num_key_value_heads": 1,
                "max_position_embeddings": 512,
                "max_window_layers": 4,
                "tie_word_embeddings": True,
            },
        ),
    )
}


def recipe_of(name: str) -> TrainingRecipe:
    """Return the recipe of `name`.

    Raises:
        UnknownNameError: with the closest name and all known ones.
    """
    if name not in RECIPES:
        raise UnknownNameError(unknown("built-in model", name, RECIPES))
    return RECIPES[name]
