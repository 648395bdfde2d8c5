"""PaliGemma's vision side: a SigLIP tower without its head, and the projector to the LLM's width."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.tower import Features, ToPixels, Tower
from alignbench.weights.loading import (
    auto_config,
    fill,
    hidden_layer,
    load_placed,
    place,
    read_tensors,
    torch_dtype,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest

# Both layouts: the Hub's (`vision_tower.vision_model.`), and the one that newer versions write.
_VISION = re.compile(r"^(model\.)?vision_tower\.(vision_model\.)?")
_PROJECTOR = re.compile(r"^(model\.)?multi_modal_projector\.linear\.")


class PaliGemmaTower(Tower):
    """SiglipVisionModel without its pooling head, and the projector.

    Args:
        model: the vision tower.
        projector: a linear layer to the language model's width.
        prepare: a function from image to pixels.
    """

    def __init__(self, model: PreTrainedModel, projector: torch.nn.Linear, prepare: ToPixels) -> None:
        super().__init__(prepare, special=0)
        self.model: PreTrainedModel = model
        self.projector = projector

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens, and the projected tokens with their mean."""
        out = self.model(pixels, output_hidden_states=layer is not None)
        if layer is not None:
            return Features(hidden_layer(out.hidden_states, layer))
        projected = self.projector(out.last_hidden_state)
        return Features(
            out.last_hidden_state, projected=projected.float().mean(dim=1), projected_tokens=projected
        )

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the final norm, and the final output."""
        out = self.model(pixels, output_hidden_states=True)
        return out.hidden_states, Features(out.last_hidden_state)


def load(request: LoadRequest[EncoderOptions]) -> PaliGemmaTower:
    """Load the vision side of a PaliGemma of either key layout, reading only its own tensors."""
    from alignbench.encoders.families import PALIGEMMA

    located = request.located
    tensors = read_tensors(located.weights, PALIGEMMA.wanted)
    vision = {_VISION.sub("", key): tensor for key, tensor in tensors.items() if _VISION.match(key)}
    vision_config = auto_config(located.path).vision_config
    vision_config.vision_use_head = False
    model = load_placed(request, "SiglipVisionModel", vision_config, vision)
    linear = {_PROJECTOR.sub("", key): tensor for key, tensor in tensors.items() if _PROJECTOR.match(key)}
    widths = (vision_config.hidden_size, vision_config.projection_dim)
    projector = torch.nn.Linear(*widths, dtype=torch_dtype(request.precision.weights))
    fill(projector, linear, located.source, "the projector")
    prepare = load_prepare(located.path, request.options.fit)
    return PaliGemmaTower(model, place(projector, request.device), prepare)
