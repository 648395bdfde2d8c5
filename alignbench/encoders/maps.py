"""Locations in an image: patches in the space of the texts, and a model's own attention to its patches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from alignbench.encoders.networks import (
        ChoosesAttention,
        ClipVision,
        PoolingHead,
        SiglipVision,
        TellsAttention,
    )


def cls_attention(model: ChoosesAttention, vision: TellsAttention, pixels: Tensor, special: int) -> Tensor:
    """Return the attention of CLS to each patch in the last layer, the mean over heads: [b, p].

    Args:
        model: the network that selects how attention is computed.
        vision: the network that takes pixels: the model, or its vision side.
        pixels: [b, 3, h, w].
        special: the number of tokens in front of the patches, CLS being the first.

    Raises:
        ModelError: the model does not return its attention.
    """
    with _eager(model):
        attentions = vision(pixels, output_attentions=True).attentions
    if not attentions or attentions[-1] is None:
        raise ModelError(f"{type(model).__name__} does not tell its attention")
    weights: Tensor = attentions[-1].float().mean(dim=1)[:, 0, special:]
    return weights


@contextmanager
def _eager(model: ChoosesAttention) -> Iterator[None]:
    # Faster kernels never compute the attention matrix, and with them transformers silently returns none.
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def pooling_attention(head: PoolingHead, tokens: Tensor) -> Tensor:
    """Return the attention of SigLIP's pooling head to each patch, the mean over heads: [b, p]."""
    probe = head.probe.repeat(len(tokens), 1, 1)
    weights: Tensor = head.attention(probe, tokens, tokens, need_weights=True)[1]
    return weights[:, 0].float()


def clip_patches(model: ClipVision, pixels: Tensor) -> dict[str, Tensor]:
    """Return a CLIP's patches in the space of its texts, by method: each [b, p, d].

    "raw" projects the last layer's patches as CLIP projects CLS. "value" uses only the last layer's value
    path instead: out_proj(v_proj(layer_norm1(h))), where h is the input of that layer.

    Source:
        Zhou, Loy and Dai (2022), Extract Free Dense Labels from CLIP (MaskCLIP), section 3.2.
    """
    vision = model.vision_model
    out = vision(pixels, output_hidden_states=True)
    last = vision.encoder.layers[-1]
    attention = last.self_attn
    values = attention.out_proj(attention.v_proj(last.layer_norm1(out.hidden_states[-2])))
    found = {"value": values, "raw": out.last_hidden_state}
    return {
        method: model.visual_projection(vision.post_layernorm(tokens))[:, 1:]
        for method, tokens in found.items()
    }


def siglip_patches(model: SiglipVision, pixels: Tensor) -> dict[str, Tensor]:
    """Return a SigLIP's patches in the space of its texts, by method: each [b, p, d].

    "raw" is the patches as they are, which have the width of that space. "value" is the pooling head's output
    for each patch as a sequence of one: its attention has only one target, so only the value path remains.
    """
    tokens = model(pixels).last_hidden_state
    b, p, d = tokens.shape
    alone = model.head(tokens.reshape(b * p, 1, d)).reshape(b, p, d)
    return {"value": alone, "raw": tokens}
