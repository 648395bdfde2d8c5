"""Gemma 3's text decoder, without the vision side of the multimodal checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.llms.architecture import check_continues
from alignbench.llms.decoder import Decoder, load_decoder
from alignbench.weights.loading import auto_config, transformers_class
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.llms.options import LLMOptions
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Location

# Without these, transformers assigns none of the keys to the decoder and fills it with random numbers.
_KEYS = {r"^language_model\.model\.": "", r"^model\.language_model\.": ""}
_KEYS_WITH_HEAD = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
}


def load(
    located: Location,
    config: Mapping[str, Any],
    options: LLMOptions,
    device: str,
    precision: Precision,
    *,
    spread: bool,
    head: bool = False,
) -> Decoder:
    """Load the text decoder of a multimodal (either key layout) or text-only Gemma 3."""
    keys = _KEYS_WITH_HEAD if head else _KEYS
    text = auto_config(located.path).get_text_config()
    if head:
        check_continues(text, located.source)
    model = load_decoder(
        transformers_class("Gemma3ForCausalLM" if head else "Gemma3TextModel"),
        located,
        text,
        options,
        device,
        precision,
        spread=spread,
        **({"key_mapping": keys} if config.get("model_type") == "gemma3" else {}),
    )
    return Decoder(model, load_tokenizer(located.path))
