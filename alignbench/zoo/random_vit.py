"""`random-vit`: the untrained control; whatever it scores needs no training."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Dinov2Config, Dinov2Model

from alignbench.zoo.pixels import image_processor
from alignbench.zoo.recipes import RECIPES


def build_random_vit(seed: int = 0) -> tuple[Dinov2Model, Any]:
    """Return an untrained Dinov2Model of mini-dinov2's shape and its image processor; no file is read.

    The weights depend on `seed` alone: the global random state is restored, and threads play no part.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dinov2Model(Dinov2Config(**RECIPES["mini-dinov2"].config))
    return model.eval(), image_processor("distill")
