"""DINOv2, DINOv3, ViT and their kin: CLS (and registers), then patches, after a final norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.encoders.maps import cls_attention
from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.tower import Features, ToPixels, Tower
from alignbench.weights.loading import auto_config, hidden_layer, load_placed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest

# model_type: class, its further arguments, and the tokens in front beside registers.
# A ViT's pooler is a classifier's leftover that many checkpoints lack: left out.
_CLASSES: Mapping[str, tuple[str, dict[str, Any], int]] = {
    "dinov2": ("Dinov2Model", {}, 1),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", {}, 1),
    "dinov3_vit": ("DINOv3ViTModel", {}, 1),
    "vit": ("ViTModel", {"add_pooling_layer": False}, 1),
    "deit": ("DeiTModel", {"add_pooling_layer": False}, 2),
}


class VitTower(Tower):
    """A plain vision transformer of transformers.

    Args:
        model: in evaluation mode, on its device.
        prepare: image -> pixels.
        special: tokens in front of the patches.
    """

    def __init__(self, model: PreTrainedModel, prepare: ToPixels, special: int) -> None:
        super().__init__(prepare, special)
        self.model: PreTrainedModel = model

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens after the final norm, or a hidden layer's before it."""
        out = self.model(pixels, output_hidden_states=layer is not None)
        if layer is not None:
            tokens = hidden_layer(out.hidden_states, layer)
            return Features(tokens, cls=tokens[:, 0])
        return Features(out.last_hidden_state, cls=out.last_hidden_state[:, 0], pooler=out.pooler_output)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the final norm, and the end."""
        out = self.model(pixels, output_hidden_states=True)
        return out.hidden_states, Features(out.last_hidden_state, cls=out.last_hidden_state[:, 0])

    def attention(self, pixels: Tensor) -> Tensor:
        """Return what CLS pays to each patch in the last layer."""
        return cls_attention(self.model, self.model, pixels, self.special)


def load(request: LoadRequest[EncoderOptions]) -> VitTower:
    """Load a vision transformer by its configuration's model_type."""
    model_name, arguments, front = _CLASSES[request.config["model_type"]]
    folder = request.located.path
    model = load_placed(request, model_name, auto_config(folder), **arguments)
    special = front + int(request.config.get("num_register_tokens") or 0)
    return VitTower(model, load_prepare(folder, request.options.fit), special)
