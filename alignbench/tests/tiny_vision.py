"""Checkpoints of vision architectures that are newer than the toolkit's five, by save_pretrained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers

from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

hf: Any = transformers
_TEXT = {key: value for key, value in tiny.TEXT.items() if key != "num_key_value_heads"}
_TOKENS = {"max_position_embeddings": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
_MAE = {
    "decoder_hidden_size": 16,
    "decoder_num_attention_heads": 2,
    "decoder_num_hidden_layers": 1,
    "decoder_intermediate_size": 16,
}


def squashing(edge: int = 32) -> Any:
    """Return a processor that squashes every image into a square."""
    return hf.ViTImageProcessor(size={"height": edge, "width": edge})


def cropping() -> Any:
    """Return a processor that crops the centre, as CLIP's."""
    return hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def _made(model: Any, *parts: Any) -> Callable[[Path], Path]:
    return lambda folder: tiny.save(tiny.scattered(model()), folder, *(part() for part in parts))


def _naflex() -> dict[str, Any]:
    vision = {key: value for key, value in tiny.VISION.items() if key != "image_size"}
    return {**vision, "num_patches": 16}


def naflex_processor() -> Any:
    """Return a processor of NaFlex: at most 16 patches of 8 pixels."""
    return hf.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)


def _two_sided(name: str, text: Mapping[str, Any], **more: Any) -> Any:
    config = getattr(hf, f"{name}Config")(vision_config=tiny.VISION, text_config={**_TEXT, **text}, **more)
    return getattr(hf, f"{name}Model")(config)


_WHOLE = {"hidden_size": 32, "projection_size": 32, **_TOKENS, "max_position_embeddings": 64}
MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "siglip2_naflex": _made(
        lambda: hf.Siglip2Model(hf.Siglip2Config(vision_config=_naflex(), text_config={**_TEXT, **_WHOLE})),
        naflex_processor,
    ),
    "siglip2_vision": _made(
        lambda: hf.Siglip2VisionModel(hf.Siglip2VisionConfig(**_naflex())), naflex_processor
    ),
    "metaclip2": _made(
        lambda: _two_sided("MetaClip2", _TOKENS, projection_dim=20),
        cropping,
        lambda: tiny_texts.text_tower_tokenizer(20),
    ),
    "clip_vision": _made(lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**tiny.VISION)), cropping),
    "chinese_clip": _made(
        lambda: _two_sided("ChineseCLIP", {"max_position_embeddings": 20}, projection_dim=20), cropping
    ),
    "dinov3_convnext": _made(
        lambda: hf.DINOv3ConvNextModel(
            hf.DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=64)
        ),
        lambda: squashing(64),
    ),
    "aimv2": _made(lambda: hf.Aimv2VisionModel(hf.Aimv2VisionConfig(**tiny.VISION)), cropping),
    "mlcd": _made(lambda: hf.MLCDVisionModel(hf.MLCDVisionConfig(**tiny.VISION)), cropping),
    "ijepa": _made(lambda: hf.IJepaModel(hf.IJepaConfig(**tiny.VISION)), squashing),
    "vit_mae": _made(lambda: hf.ViTMAEModel(hf.ViTMAEConfig(**tiny.VISION, **_MAE)), squashing),
    "swin": _made(
        lambda: hf.SwinModel(
            hf.SwinConfig(
                image_size=64,
                patch_size=4,
                embed_dim=16,
                depths=[1, 1, 1],
                num_heads=[2, 2, 2],
                window_size=4,
            )
        ),
        lambda: squashing(64),
    ),
    "resnet": _made(
        lambda: hf.ResNetModel(
            hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
        ),
        lambda: squashing(64),
    ),
    "sam_vision": _made(
        lambda: hf.SamVisionModel(
            hf.SamVisionConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                image_size=64,
                patch_size=8,
                output_channels=16,
                mlp_dim=40,
                window_size=4,
                global_attn_indexes=[1],
            )
        ),
        lambda: squashing(64),
    ),
}


def changed_forward(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Let MLCD's output pass through `change`."""
    forward = hf.MLCDVisionModel.forward

    def other(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = forward(self, *args, **kwargs)
        change(out)
        return out

    monkeypatch.setattr(hf.MLCDVisionModel, "forward", other)
