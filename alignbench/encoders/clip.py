"""CLIP: CLS token with a final norm, projected into a space shared with its text tower."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.encoders.maps import clip_patches, cls_attention
from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.tower import Features, Tower
from alignbench.weights.loading import auto_config, hidden_layer, load_placed, read_tensors
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from alignbench.encoders.networks import ClipVision
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest


# The beginning of the names of transformers' classes.
_CLASSES = {"clip": "CLIP", "clip_vision_model": "CLIP", "metaclip_2": "MetaClip2"}


class ClipTower(Tower):
    """CLIPVisionModelWithProjection, or MetaClip2's; the text tower is loaded when the first text comes."""

    def __init__(self, request: LoadRequest[EncoderOptions]) -> None:
        located = request.located
        super().__init__(load_prepare(located.path, request.options.fit), special=1)
        self._request = request
        self.has_text = "text_config" in request.config
        self._classes = _CLASSES[request.config["model_type"]]
        tensors = read_tensors(located.weights)
        # A whole CLIP has a projection: without it, the checkpoint is damaged.
        projects = self.has_text or any("visual_projection" in key for key in tensors)
        name = f"{self._classes}VisionModel" + ("WithProjection" if projects else "")
        model = load_placed(request, name, side(located.path, "vision_config"), tensors)
        self.model: ClipVision = model
        # A vision tower that was saved alone is the inner part of the one with a projection.
        self._vision = model.vision_model if projects else model
        self._project = model.visual_projection if projects else None
        self.lacks = () if projects else ("projected",)

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens before the final norm, and CLS after it."""
        out = self._vision(pixels, output_hidden_states=layer is not None)
        if layer is not None:
            tokens = hidden_layer(out.hidden_states, layer)
            return Features(tokens, cls=tokens[:, 0])
        pooled = out.pooler_output
        projected = None if self._project is None else self._project(pooled)
        return Features(out.last_hidden_state, cls=pooled, pooler=pooled, projected=projected)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the final norm, and the final output."""
        out = self._vision(pixels, output_hidden_states=True)
        return out.hidden_states, Features(out.last_hidden_state, cls=out.pooler_output)

    def attention(self, pixels: Tensor) -> Tensor:
        """Return the attention of CLS to each patch in the last layer."""
        return cls_attention(self.model, self._vision, pixels, self.special)

    def shared_patches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the patches in the space of the texts, by method."""
        return clip_patches(self.model, pixels)

    def texts(self, texts: list[str]) -> Tensor:
        """Return the projected end-of-text token of each text."""
        model, tokenizer = self._text_tower
        longest = model.config.max_position_embeddings
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        embeds: Tensor = model(**tokens.to(self._request.device)).text_embeds
        return embeds

    @cached_property
    def _text_tower(self) -> tuple[Any, Any]:
        folder = self._request.located.path
        name = f"{self._classes}TextModelWithProjection"
        return load_placed(self._request, name, side(folder, "text_config")), load_tokenizer(folder)


def side(folder: Path, name: str) -> Any:
    """Return one side of a composite configuration, with the width of the shared space from the whole.

    The side's own `projection_dim` is a default that the composite model ignores.
    """
    whole = auto_config(folder)
    part = getattr(whole, name, whole)
    part.projection_dim = whole.projection_dim
    return part


def load(request: LoadRequest[EncoderOptions]) -> ClipTower:
    """Load a CLIP vision tower."""
    return ClipTower(request)
