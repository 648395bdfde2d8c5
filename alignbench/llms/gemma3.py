"""Gemma 3's text decoder, without the vision side of the multimodal checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.llms.architecture import check_continues
from alignbench.llms.decoder import Decoder, load_decoder
from alignbench.weights.loading import auto_config, transformers_class
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from alignbench.llms.options import LLMOptions
    from alignbench.weights.request import LoadRequest

# Without these, transformers assigns none of the keys to the decoder and fills it with random numbers.
_KEYS = {r"^language_model\.model\.": "", r"^model\.language_model\.": ""}
_KEYS_WITH_HEAD = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
}


def load(request: LoadRequest[LLMOptions]) -> Decoder:
    """Load the text decoder of a multimodal (either key layout) or text-only Gemma 3."""
    folder, head = request.located.path, request.head
    keys = _KEYS_WITH_HEAD if head else _KEYS
    text = auto_config(folder).get_text_config()
    if head:
        check_continues(text, request.located.source)
    cls = transformers_class("Gemma3ForCausalLM" if head else "Gemma3TextModel")
    renamed = {"key_mapping": keys} if request.config.get("model_type") == "gemma3" else {}
    return Decoder(load_decoder(request, cls, text, **renamed), load_tokenizer(folder))
