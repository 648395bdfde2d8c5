"""The identity of the untrained control, known without torch."""

from __future__ import annotations

import importlib.metadata

from alignbench.encoders.pixels import Pixels, of_library
from alignbench.weights.digest import text_digest
from alignbench.zoo import recipes

SEED = 0
# The values for ImageNet, as in the model's processor.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def control_revision() -> str:
    """Return what distinguishes untrained controls: their recipe, their pixels, torch's version."""
    made_of = [recipes.RECIPES["mini-dinov2"].config, recipes.IMAGE_SIZE, importlib.metadata.version("torch")]
    return f"seed {SEED}, {text_digest(made_of)[:16]}"


def control_pixels(fit: str) -> Pixels:
    """Return how the control sees an image: as mini-dinov2 does.

    Args:
        fit: see `Prepare`.
    """
    side = recipes.IMAGE_SIZE
    return of_library((side, side), _MEAN, _STD, "squashed", "bicubic", fit)
