"""Training on labels: an encoder that learns a drawing's type, kind, colours or number of items."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import Dinov2Config, Dinov2Model

from alignbench.datasets.synthetic.words import COLOURS
from alignbench.workshop.zoo.data import CYCLE, Drawings, batch_numbers
from alignbench.workshop.zoo.loop import ATTENTION
from alignbench.zoo.pixels import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.datasets.synthetic import Description
    from alignbench.weights.processors import ImageProcessor
    from alignbench.zoo.recipes import TrainingRecipe

MOST = 12  # the largest number of items that is distinguished


class Labelled:
    """Images with one label each; the head on the CLS token is discarded afterwards."""

    def __init__(self, recipe: TrainingRecipe, pixels: NDArray[np.uint8], processor: ImageProcessor) -> None:
        self._recipe, self._pixels, self._processor = recipe, pixels, processor
        self._targets = targets(recipe.objective, len(pixels))
        outputs = self._targets.shape[1] if self._targets.ndim == 2 else int(self._targets.max()) + 1
        torch.manual_seed(recipe.seed)
        backbone = Dinov2Model(Dinov2Config(**recipe.config, **ATTENTION))
        self.module = nn.ModuleList([backbone, nn.Linear(recipe.config["hidden_size"], outputs)])

    @property
    def model(self) -> Any:
        """The model to keep."""
        return self.module[0]

    def loss(self, step: int) -> torch.Tensor:
        """Return the cross-entropy of batch `step`, binary if a drawing has several labels."""
        numbers = batch_numbers(len(self._pixels), self._recipe.batch, self._recipe.seed, step)
        backbone, head = self.module
        images = normalised(self._pixels[numbers], self._processor)
        logits = head(backbone(images).pooler_output).float()
        wanted = torch.from_numpy(self._targets[numbers])
        if wanted.ndim == 2:
            return functional.binary_cross_entropy_with_logits(logits, wanted.float())
        return functional.cross_entropy(logits, wanted)

    def after(self, step: int) -> None:
        """Do nothing after a step."""


def targets(label: str, n: int) -> NDArray[np.int64]:
    """Return the labels of the first `n` training drawings: classes [n], or 0 and 1 [n, colours]."""
    drawings = Drawings()
    if label == "type":
        types = sorted(set(CYCLE))
        return np.asarray([types.index(CYCLE[i % len(CYCLE)]) for i in range(n)])
    descriptions = [drawings.description(i) for i in range(n)]
    if label == "colour":
        return np.asarray([colours_of(description) for description in descriptions])
    if label == "number":
        return np.asarray([number_of(description) for description in descriptions])
    kinds = sorted({description.kind for description in descriptions})
    return np.asarray([kinds.index(description.kind) for description in descriptions])


def colours_of(description: Description) -> list[int]:
    """Return 1 for each colour that is named, in the order of `COLOURS`, else 0."""
    words = set(re.findall(r"[a-z]+", " ".join(description.wordings).lower()))
    return [int(colour in words) for colour in COLOURS]


def number_of(description: Description) -> int:
    """Return the answer to "how many", 0 if it is not asked, at most `MOST`."""
    for question, answer in description.exchanges:
        if question.lower().startswith("how many"):
            return min(MOST, int(answer.rstrip(".")))
    return 0
