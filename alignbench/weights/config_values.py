"""Checks for values of a model's configuration that are wrong by themselves, without torch, before a load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEND = "correct it, or copy the model again"
# Upper limits. Libraries run loops and build lists of these lengths long before they miss a weight.
_LAYERS = 10_000
_COUNT = 1_000_000
_WIDTH = 100_000_000
_MOST = {
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "layers"), _LAYERS),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "n_head", "num_heads", "heads"), _COUNT),
    **dict.fromkeys(("num_channels", "patch_size", "image_size", "img_size", "head_width"), _COUNT),
    **dict.fromkeys(("hidden_size", "n_embd", "width", "embed_dim", "projection_dim", "head_dim"), _WIDTH),
    **dict.fromkeys(("intermediate_size", "n_inner", "vocab_size", "n_positions", "context_length"), _WIDTH),
    "max_position_embeddings": 10**10,  # a bound of rotary embeddings; nothing has this size
}
_OBJECTS = ("vision_config", "text_config", "model_cfg", "vision_cfg", "text_cfg")
_NOT_NEGATIVE = ("num_register_tokens",)
# Entries that make transformers load code or weights from unexpected places.
_ATTENTION = tuple(f"{own}{kind}_implementation" for own in ("", "_") for kind in ("attn", "experts"))
_REFUSED = {
    "fusion_config": "asks transformers to replace classes of its own",
    "hf_model_name": "names another repository that would be fetched",
}


def check_values(config: Mapping[str, Any], where: str) -> None:
    """Check each value that sizes or code depend on, in a configuration and in those nested in it.

    Args:
        config: the content of config.json (or open_clip_config.json).
        where: the model, for errors.

    Raises:
        ModelError: a size has another type or is absurd, an entry names somebody else's code or weights, or
            the weights are quantized.
    """
    for part in _parts(config):
        for key, value in part.items():
            if problem := _problem(key, value):
                raise ModelError(f"{where}: its configuration has {key} = {_shown(value)}{problem}")
        if (quantized := part.get("quantization_config")) is not None:
            method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
            how = "" if method is None else f" ({_shown(method)})"
            raise ModelError(
                f"{where}: its weights are quantized{how}, and only plain numbers are read here; take the "
                f"model's weights that are not quantized (--align-quantize holds an LLM's in 4 or 8 bits)"
            )


def _parts(config: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield a configuration and the configurations nested in it."""
    yield config
    for key, value in config.items():
        is_part = key.endswith(("_config", "_cfg", "_args")) and key != "quantization_config"
        if is_part and isinstance(value, dict) and depth < 5:
            yield from _parts(value, depth + 1)


def _problem(key: str, value: Any) -> str:
    """Return what is wrong with an entry and what to do, "" if nothing is; None stands for a default."""
    if value is None:
        return ""
    if key in _OBJECTS and not isinstance(value, dict):
        return f"; expected an object; {_MEND}"
    if key == "timm_model_name" and ":" in str(value):
        return "; expected an architecture's name: nothing is fetched from where a file says"
    if key in _REFUSED:
        return f", which {_REFUSED[key]}; remove it"
    if key in _ATTENTION and any("/" in name for name in _strings(value)):
        return ", a repository of kernels, whose code is never fetched; remove the entry"
    return _problem_of_size(key, value)


def _problem_of_size(key: str, value: Any) -> str:
    most = _MOST.get(key, _COUNT if key.startswith("num_") else None)
    if most is None:
        return ""
    least = 1 if key in _MOST else 0
    numbers = value if isinstance(value, list) else [value]
    whole = [number for number in numbers if type(number) is int]
    if len(whole) < len(numbers) and (key in _MOST or key in _NOT_NEGATIVE):
        return f"; expected a whole number; {_MEND}"
    if all(least <= number <= most for number in whole):
        return ""
    return f"; expected {least} to {most:,}; {_MEND}"


def _strings(value: Any) -> list[str]:
    leaves = value.values() if isinstance(value, dict) else [value]
    return [leaf for leaf in leaves if isinstance(leaf, str)]


def _shown(value: Any) -> str:
    # Python refuses to print a number of 5,000 digits.
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"a number of {value.bit_length()} bits"
    return shortened(repr(value), 60)
