"""random-vit: an untrained vision transformer, the control that a trained one must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.encoders.control import SEED
from alignbench.encoders.preprocess import Prepare
from alignbench.encoders.vit import VitTower
from alignbench.weights.loading import place, torch_dtype
from alignbench.zoo.random_vit import build_random_vit

if TYPE_CHECKING:
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest


def load(request: LoadRequest[EncoderOptions]) -> VitTower:
    """Build the control: the same weights at every call."""
    model, processor = build_random_vit(SEED)
    model = place(model.eval().to(torch_dtype(request.precision.weights)), request.device)
    return VitTower(model, Prepare(processor, request.options.fit), special=1)
