"""random-vit: an untrained vision transformer, the control that a trained one must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.encoders.control import SEED
from alignbench.encoders.preprocess import Prepare
from alignbench.encoders.vit import VitTower
from alignbench.weights.loading import place, torch_dtype
from alignbench.zoo.random_vit import build_random_vit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Location


def load(
    located: Location,
    config: Mapping[str, Any],
    options: EncoderOptions,
    device: str,
    precision: Precision,
) -> VitTower:
    """Build the control: the same weights at every call."""
    model, processor = build_random_vit(SEED)
    model = place(model.eval().to(torch_dtype(precision.weights)), device)
    return VitTower(model, Prepare(processor, options.fit), special=1)
