"""Encoders of different origin and quality, made by a command: the units of the validity study.

A lineage is one training. Its early checkpoints belong to it and are not independent evidence.
No torch here; `alignbench.workshop.zoo.lineage_training` trains them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.errors import UnknownNameError
from alignbench.registry import unknown
from alignbench.zoo.recipes import IMAGE_SIZE, VOCABULARY, Objective, TrainingRecipe

if TYPE_CHECKING:
    from pathlib import Path

Origin = Literal["contrastive", "supervised", "self-supervised", "random"]
CONTRASTIVE: Origin = "contrastive"
_SUPERVISED: Origin = "supervised"
_SELF: Origin = "self-supervised"
_RANDOM: Origin = "random"
CARD = "lineage.json"
EARLY = (0.1, 0.3)  # shares of the steps after which a checkpoint is saved
POOL = 8000  # drawings that all lineages are trained on
BATCH = 64


@dataclass(frozen=True, slots=True)
class Lineage:
    """One training of the study's zoo.

    Args:
        recipe: how it is trained.
        origin: the kind of its training; leave-one-family-out leaves all lineages of one kind out together.
        side: the side of its images, in pixels.
    """

    recipe: TrainingRecipe
    origin: Origin
    side: int = IMAGE_SIZE

    @property
    def name(self) -> str:
        """The lineage's name, and its folder's."""
        return self.recipe.name

    @property
    def checkpoints(self) -> dict[int, str]:
        """Step -> the name of the checkpoint saved after it; the last one has the lineage's name."""
        early = {max(1, round(share * self.recipe.steps)): share for share in EARLY if self.recipe.steps}
        named = {step: f"{self.name}-{share * 100:.0f}" for step, share in early.items()}
        return {**named, self.recipe.steps: self.name}


@dataclass(frozen=True, slots=True)
class Card:
    """What a checkpoint's folder says about its origin.

    Args:
        lineage: its training.
        family: the kind of training.
        objective: the objective of the training.
        step: the number of steps after which it was saved.
        steps: the number of steps of the whole training.
    """

    lineage: str
    family: str
    objective: str
    step: int
    steps: int

    @property
    def final(self) -> bool:
        """Whether it is the end of its training."""
        return self.step == self.steps


def read_card(folder: Path) -> Card:
    """Return what the checkpoint in `folder` says about its origin."""
    return Card(**json.loads((folder / CARD).read_text(encoding="utf-8")))


def vision(width: int, layers: int, heads: int, side: int = IMAGE_SIZE, patch: int = 16) -> dict[str, Any]:
    """Return the configuration of a vision transformer."""
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": side,
        "patch_size": patch,
    }


def _two_towers(text_width: int = 64, texts: int = 77, **shape: int) -> dict[str, Any]:
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": text_width,
        "intermediate_size": 4 * text_width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": texts,
    }
    tower = vision(**shape)
    tower["intermediate_size"] = 4 * tower["hidden_size"]
    projection = {"projection_dim": 64}
    return {**projection, "text_config": {**text, **projection}, "vision_config": {**tower, **projection}}


def _siglip(width: int, layers: int, heads: int) -> dict[str, Any]:
    """Return both towers without a projection, with equal widths."""
    towers = _two_towers(text_width=width, texts=64, width=width, layers=layers, heads=heads)
    return {name: {k: v for k, v in towers[name].items() if k != "projection_dim"} for name in _TOWERS}


def _one_tower(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {**vision(width, layers, heads), "mlp_ratio": 4}


_TOWERS = ("text_config", "vision_config")


def _recipe(name: str, objective: Objective, seed: int, steps: int, config: dict[str, Any]) -> TrainingRecipe:
    return TrainingRecipe(name, objective, seed, steps, BATCH, 1e-3, 0.1, POOL, config, warmup=min(50, steps))


_SMALL = {"width": 96, "layers": 3, "heads": 3}
LINEAGES: dict[str, Lineage] = {
    recipe.name: Lineage(recipe, origin, side)
    for recipe, origin, side in (
        (_recipe("clip-a", "softmax", 21, 700, _two_towers(**_SMALL)), CONTRASTIVE, IMAGE_SIZE),
        (_recipe("clip-b", "softmax", 22, 700, _two_towers(**_SMALL)), CONTRASTIVE, IMAGE_SIZE),
        (
            _recipe("clip-wide", "softmax", 23, 450, _two_towers(width=160, layers=2, heads=5)),
            CONTRASTIVE,
            IMAGE_SIZE,
        ),
        (
            _recipe("clip-deep", "softmax", 24, 700, _two_towers(width=48, layers=6, heads=3)),
            CONTRASTIVE,
            IMAGE_SIZE,
        ),
        (_recipe("clip-low", "softmax", 25, 900, _two_towers(**_SMALL, side=32, patch=8)), CONTRASTIVE, 32),
        (_recipe("siglip-a", "sigmoid", 26, 600, _siglip(**_SMALL)), CONTRASTIVE, IMAGE_SIZE),
        (_recipe("type", "type", 27, 500, _one_tower(**_SMALL)), _SUPERVISED, IMAGE_SIZE),
        (_recipe("kind", "kind", 28, 800, _one_tower(**_SMALL)), _SUPERVISED, IMAGE_SIZE),
        (_recipe("colour", "colour", 29, 1000, _one_tower(64, 2, 2)), _SUPERVISED, IMAGE_SIZE),
        (_recipe("number", "number", 30, 1000, _one_tower(64, 3, 2)), _SUPERVISED, IMAGE_SIZE),
        (_recipe("masked", "masked", 31, 800, _one_tower(**_SMALL)), _SELF, IMAGE_SIZE),
        (_recipe("distil", "distill", 32, 400, _one_tower(64, 3, 2)), _SELF, IMAGE_SIZE),
        (_recipe("random-small", "random", 33, 0, _one_tower(**_SMALL)), _RANDOM, IMAGE_SIZE),
    )
}
"""name -> the lineages that `python -m alignbench.zoo lineages` makes."""

SHIPPED: dict[str, Card] = {
    "mini-clip": Card("mini-clip", "contrastive", "softmax", 1100, 1100),
    "mini-siglip": Card("mini-siglip", "contrastive", "sigmoid", 1100, 1100),
    "mini-dinov2": Card("mini-dinov2", "self-supervised", "distill", 1600, 1600),
    "random-vit": Card("random-vit", "random", "random", 0, 0),
}
"""The encoders that come with the package, each from a lineage of its own."""


def lineage_of(name: str) -> Lineage:
    """Return the lineage called `name`.

    Raises:
        UnknownNameError: with the closest name and all known ones.
    """
    if name not in LINEAGES:
        raise UnknownNameError(unknown("lineage", name, LINEAGES))
    return LINEAGES[name]
