"""Self-distillation without labels or texts: a student predicts an averaged teacher across crops.

Source: Caron et al. 2021 (DINO), with DINOv2's architecture, Sinkhorn-Knopp centring and KoLeo term
(Oquab et al. 2023, section 4). Colours are changed at random: otherwise a page's colour alone would tell
which crops belong together.
"""

from __future__ import annotations

import math
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

PROTOTYPES = 256
STUDENT_TEMPERATURE = 0.1
TEACHER_TEMPERATURE = 0.05
SINKHORN_ROUNDS = 3
KOLEO = 0.1
MOMENTUM = (0.98, 0.99)
GLOBAL = (96, 0.6, 1.0)  # side in pixels, smallest and largest share of the area
FINE_SIDE, FINE_FROM = 112, 0.4  # full resolution for the later part of the training, as in DINOv2
LOCAL = (48, 0.25, 0.6)
N_GLOBAL, N_LOCAL = 2, 2
# How strongly colours are changed, at first and at last. If they change strongly from the first step, an
# untrained teacher sees nothing that the crops share, and nothing is learned; if they never do, the model
# learns the page's colour and little else.
SCALE, SHIFT, INVERTED = (0.2, 0.4), (0.2, 0.8), (0.0, 0.3)
GREY = 0.2
RAMP = (0.25, 0.5)  # shares of the training between which the changes grow


class Head(nn.Module):
    """MLP to a bottleneck that is normalised over the batch, then cosine to prototypes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # without the normalisation, all drawings look alike to the prototypes for hundreds of steps
        self.mlp = nn.Sequential(
            nn.Linear(width, 512),
            nn.BatchNorm1d(512),
            nn.GELU(),
            nn.Linear(512, 128),
            nn.BatchNorm1d(128, affine=False),
        )
        self.prototypes = nn.Linear(128, PROTOTYPES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return cosines [b, PROTOTYPES] of features [b, width]."""
        x = functional.normalize(self.mlp(x).float(), dim=-1)
        return functional.linear(x, functional.normalize(self.prototypes.weight, dim=-1))


class StudentTeacher(nn.Module):
    """Student and teacher: the complete state of a checkpoint."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.student, self.teacher = (
            nn.ModuleList([Dinov2Model(Dinov2Config(**config, **ATTENTION)), Head(config["hidden_size"])])
            for _ in range(2)
        )
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)


class Distillation:
    """Two large and two small crops per image; the teacher sees only the large ones."""

    def __init__(self, recipe: TrainingRecipe, pixels: NDArray[np.uint8], processor: ImageProcessor) -> None:
        self._recipe, self._pixels, self._processor = recipe, pixels, processor
        torch.manual_seed(recipe.seed)
        self.module = StudentTeacher(recipe.config)

    @property
    def model(self) -> Any:
        """The model to keep: the teacher, an average over the training."""
        return self.module.teacher[0]

    def loss(self, step: int) -> torch.Tensor:
        """Return the mean cross-entropy from the teacher to the student over different crops."""
        recipe = self._recipe
        numbers = batch_numbers(len(self._pixels), recipe.batch, recipe.seed, step, one_type=step % 2 == 1)
        # Not `seed_for`: the packaged weights were trained with this very stream.
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        images = normalised(self._pixels[numbers], self._processor)
        side = GLOBAL[0] if step < FINE_FROM * recipe.steps else FINE_SIDE
        strength = min(1.0, max(0.0, (step / recipe.steps - RAMP[0]) / (RAMP[1] - RAMP[0])))
        wide, near = (
            torch.cat([crops(recoloured(images, strength, generator), *shape, generator) for _ in range(n)])
            for shape, n in (((side, *GLOBAL[1:]), N_GLOBAL), (LOCAL, N_LOCAL))
        )
        with torch.no_grad():
            targets = sinkhorn(_through(self.module.teacher, wide)[1] / TEACHER_TEMPERATURE).chunk(N_GLOBAL)
        features, cosines = _through(self.module.student, wide)
        views = [*cosines.chunk(N_GLOBAL), *_through(self.module.student, near)[1].chunk(N_LOCAL)]
        pairs = [(t, s) for t in range(N_GLOBAL) for s in range(len(views)) if t != s]
        terms = [
            -(targets[t] * functional.log_softmax(views[s] / STUDENT_TEMPERATURE, -1)).sum(-1).mean()
            for t, s in pairs
        ]
        spread = torch.stack([koleo(view) for view in features.chunk(N_GLOBAL)]).mean()
        return torch.stack(terms).mean() + KOLEO * spread

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Move the teacher a little towards the student."""
        along = 0.5 * (1 - math.cos(math.pi * step / self._recipe.steps))
        momentum = _between(MOMENTUM, along)
        for old, new in zip(self.module.teacher.parameters(), self.module.student.parameters(), strict=True):
            old.lerp_(new, 1 - momentum)


def sinkhorn(logits: torch.Tensor) -> torch.Tensor:
    """Return assignments [b, k] whose rows sum to 1 and whose columns have about equal sums.

    Args:
        logits: of samples to prototypes [b, k].
    """
    shares = (logits - logits.max()).exp()
    for _ in range(SINKHORN_ROUNDS):
        shares = shares / shares.sum(0, keepdim=True) / shares.shape[1]
        shares = shares / shares.sum(1, keepdim=True) / shares.shape[0]
    return shares * shares.shape[0]


def koleo(features: torch.Tensor) -> torch.Tensor:
    """Return -mean log distance of each of [b, d] to its nearest other, on the unit sphere."""
    unit = functional.normalize(features.float(), dim=-1)
    with torch.no_grad():
        cosines = unit @ unit.T
        nearest = cosines.fill_diagonal_(-1).argmax(1)
    return -functional.pairwise_distance(unit, unit[nearest]).clamp(min=1e-6).log().mean()


def recoloured(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Return normalised `images` [b, 3, h, w], channels swapped, scaled, shifted; some grey or inverted.

    `strength` from 0 to 1 selects between the weakest and the strongest changes.
    """

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(n, *shape).uniform_(low, high, generator=generator)

    n = len(images)
    order = uniform(0, 1, 3).argsort(1)
    images = images.gather(1, order[:, :, None, None].expand_as(images))
    grey = (uniform(0, 1, 1, 1, 1) < GREY).float()
    images = images + grey * (images.mean(1, keepdim=True) - images)
    scale, shift, inverted = (_between(ends, strength) for ends in (SCALE, SHIFT, INVERTED))
    sign = 1 - 2 * (uniform(0, 1, 1, 1, 1) < inverted).float()
    return sign * images * uniform(1 - scale, 1 + scale, 3, 1, 1) + uniform(-shift, shift, 3, 1, 1)


def crops(
    images: torch.Tensor, side: int, least: float, most: float, generator: torch.Generator
) -> torch.Tensor:
    """Return a random crop of each image, resized to `side`.

    Args:
        images: float [b, 3, h, w].
        side: the side of the crops, in pixels.
        least: the smallest share of the area that a crop covers.
        most: the largest share.
        generator: the source of randomness.
    """
    n = len(images)
    share = torch.empty(n).uniform_(least, most, generator=generator)
    ratio = torch.empty(n).uniform_(math.log(3 / 4), math.log(4 / 3), generator=generator).exp()
    width, height = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
    shift_x = (1 - width) * torch.empty(n).uniform_(-1, 1, generator=generator)
    shift_y = (1 - height) * torch.empty(n).uniform_(-1, 1, generator=generator)
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0], maps[:, 0, 2] = width, shift_x
    maps[:, 1, 1], maps[:, 1, 2] = height, shift_y
    grid = functional.affine_grid(maps, [n, 3, side, side], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _through(model: nn.ModuleList, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features [b, d] of `images`, and their cosines to the prototypes [b, k]."""
    backbone, head = model
    features = backbone(images).pooler_output
    return features, head(features)


def _between(ends: tuple[float, float], along: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * along
