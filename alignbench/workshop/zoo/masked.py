"""Training without labels or texts: masked patches are reconstructed from the others.

Source: Xie et al. 2022 (SimMIM), with the targets of He et al. 2022 (MAE): pixels normalised in each patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from transformers import Dinov2Config, Dinov2Model

from alignbench.workshop.zoo.data import batch_numbers
from alignbench.workshop.zoo.loop import ATTENTION
from alignbench.zoo.pixels import normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from alignbench.weights.processors import ImageProcessor
    from alignbench.zoo.recipes import TrainingRecipe

MASKED = 0.6  # share of the patches
_FLAT = 1e-2  # added to a patch's variance, because most patches are blank paper


class Masked:
    """A vision transformer with a linear head from each patch token to the pixels of its patch."""

    def __init__(self, recipe: TrainingRecipe, pixels: NDArray[np.uint8], processor: ImageProcessor) -> None:
        self._recipe, self._pixels, self._processor = recipe, pixels, processor
        self._patch = int(recipe.config["patch_size"])
        torch.manual_seed(recipe.seed)
        backbone = Dinov2Model(Dinov2Config(**recipe.config, use_mask_token=True, **ATTENTION))
        head = nn.Linear(recipe.config["hidden_size"], 3 * self._patch**2)
        self.module = nn.ModuleList([backbone, head])

    @property
    def model(self) -> Any:
        """The model to keep."""
        return self.module[0]

    def loss(self, step: int) -> torch.Tensor:
        """Return the mean squared error over the masked patches of batch `step`."""
        recipe = self._recipe
        numbers = batch_numbers(len(self._pixels), recipe.batch, recipe.seed, step)
        images = normalised(self._pixels[numbers], self._processor)
        wanted = patches(images, self._patch)
        # Not `seed_for`: the packaged weights were trained with this very stream.
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        mask = torch.rand(wanted.shape[:2], generator=generator) < MASKED
        backbone, head = self.module
        tokens = backbone(images, bool_masked_pos=mask).last_hidden_state[:, 1:]
        return functional.mse_loss(head(tokens).float()[mask], wanted[mask])

    def after(self, step: int) -> None:
        """Do nothing after a step."""


def patches(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return the patches of `images` [b, 3, h, w], row by row, each normalised: [b, p, 3 * side * side]."""
    cut = functional.unfold(images, side, stride=side).transpose(1, 2)
    mean, variance = cut.mean(-1, keepdim=True), cut.var(-1, keepdim=True)
    return (cut - mean) / (variance + _FLAT).sqrt()
