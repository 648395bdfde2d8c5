"""What the untrained control is made of, known without torch."""

from __future__ import annotations

import importlib.metadata

from alignbench.weights.digest import text_digest
from alignbench.zoo import recipes

SEED = 0


def control_revision() -> str:
    """Return what tells one untrained control from another: its recipe, its pixels, torch's version."""
    made_of = [recipes.RECIPES["mini-dinov2"].config, recipes.IMAGE_SIZE, importlib.metadata.version("torch")]
    return f"seed {SEED}, {text_digest(made_of)[:16]}"
