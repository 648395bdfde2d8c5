"""SigLIP: an attention-pooling head instead of a CLS token; its output is the space shared with the texts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.encoders.maps import pooling_attention, siglip_patches
from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.tower import Features, Tower
from alignbench.weights.loading import auto_config, hidden_layer, load_placed
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from alignbench.encoders.networks import SiglipVision
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest


class SiglipTower(Tower):
    """SiglipVisionModel; the text tower is loaded when the first text comes."""

    def __init__(self, request: LoadRequest[EncoderOptions]) -> None:
        folder = request.located.path
        super().__init__(load_prepare(folder, request.options.fit), special=0)
        self._request = request
        self.has_text = "text_config" in request.config
        whole = auto_config(folder)
        config = getattr(whole, "vision_config", whole)
        self.model: SiglipVision = load_placed(request, "SiglipVisionModel", config)
        self.lacks = () if getattr(self.model.config, "vision_use_head", True) else ("pooler",)

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens after the final norm, and the head's output."""
        out = self.model(pixels, output_hidden_states=layer is not None)
        if layer is not None:
            return Features(hidden_layer(out.hidden_states, layer))
        return Features(out.last_hidden_state, pooler=out.pooler_output, projected=out.pooler_output)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the final norm, and the final output."""
        out = self.model(pixels, output_hidden_states=True)
        return out.hidden_states, Features(out.last_hidden_state)

    def attention(self, pixels: Tensor) -> Tensor:
        """Return the attention of the pooling head to each patch."""
        return pooling_attention(self.model.head, self.model(pixels).last_hidden_state)

    def shared_patches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the patches in the space of the texts, by method."""
        return siglip_patches(self.model, pixels)

    def texts(self, texts: list[str]) -> Tensor:
        """Return the head's output for each text.

        In training, every text was padded to a fixed length without a mask, so other padding gives other
        vectors.
        """
        model, tokenizer = self._text_tower
        length = model.config.max_position_embeddings
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        pooled: Tensor = model(input_ids=tokens["input_ids"].to(self._request.device)).pooler_output
        return pooled

    @cached_property
    def _text_tower(self) -> tuple[Any, Any]:
        folder = self._request.located.path
        config = auto_config(folder).text_config
        return load_placed(self._request, "SiglipTextModel", config), load_tokenizer(folder)


def load(request: LoadRequest[EncoderOptions]) -> SiglipTower:
    """Load a SigLIP vision tower."""
    return SiglipTower(request)
