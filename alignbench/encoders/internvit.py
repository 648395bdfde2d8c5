"""InternViT in transformers' own InternVLVisionModel: the original keys are renamed, no code is fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.vit import VitTower
from alignbench.weights.loading import build_config, load_placed, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest

_RENAMED = (
    (r"^embeddings\.class_embedding$", "embeddings.cls_token"),
    (r"^embeddings\.position_embedding$", "embeddings.position_embeddings"),
    (r"^embeddings\.patch_embedding\.", "embeddings.patch_embeddings.projection."),
    (r"^encoder\.layers\.", "encoder.layer."),
    (r"\.ls([12])$", r".lambda_\1"),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.", ".attention."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
)
_QKV = re.compile(r"(.*\.attention\.)qkv(\.\w+)")
# Names that differ between the two configurations.
_SETTINGS = {"qkv_bias": "attention_bias", "qk_normalization": "use_qk_norm", "norm_type": "norm_type"}
_SAME = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
)


def native_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint under the names of InternVLVisionModel; native names stay as they are.

    The original fuses query, key and value in one matrix [3 d, d].
    """
    native: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix("vision_model.")
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        if fused := _QKV.fullmatch(name):
            for part, chunk in zip("qkv", tensor.chunk(3, dim=0), strict=True):
                # A copy: otherwise the three would share one memory block, which can't be moved or freed
                # separately.
                native[f"{fused[1]}{part}_proj{fused[2]}"] = chunk.clone()
        else:
            native[name] = tensor
    return native


def native_config(config: Mapping[str, Any]) -> Any:
    """Return the InternVLVisionConfig of an original (or native) config.json."""
    if config.get("model_type") == "internvl_vision":
        return build_config("InternVLVisionConfig", config)
    values = {name: config[name] for name in _SAME if name in config}
    values |= {ours: config[theirs] for theirs, ours in _SETTINGS.items() if theirs in config}
    # Mean pooling turns the final norm into an identity, as in the original, which has none.
    return build_config("InternVLVisionConfig", {"attention_bias": True, **values, "use_mean_pooling": True})


def load(request: LoadRequest[EncoderOptions]) -> VitTower:
    """Load an InternViT of either key layout."""
    config, tensors = native_config(request.config), native_keys(read_tensors(request.located.weights))
    model = load_placed(request, "InternVLVisionModel", config, tensors)
    return VitTower(model, load_prepare(request.located.path, request.options.fit), special=1)
