"""The families of LLMs: each adapter loads a text decoder and returns a `Decoder`. No torch here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.family import ModelFamily
from alignbench.weights.parts import check_no_vlm, vlm_of
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping


def _here(module: str) -> str:
    return f"alignbench.llms.{module}:load"


LLAMA = ModelFamily("llama", _here("decoder"))
QWEN = ModelFamily("qwen", _here("decoder"))
# Residuals of Gemma 3 reach 103,821.
GEMMA3 = ModelFamily("gemma3", _here("gemma3"), fp16_safe=False)
INTERNLM = ModelFamily("internlm", _here("internlm2"))
OTHER = ModelFamily("other", _here("decoder"))
LARGE_STATES = replace(OTHER, fp16_safe=False)
NAMED = (LLAMA, QWEN, GEMMA3, INTERNLM, OTHER)  # the families of the names in the configuration
UNKNOWN = replace(OTHER, tested=False)
GGUF = ModelFamily("gguf", _here("gguf"), version=2)

# The tests compare each of these with transformers; every other model_type is tried as UNKNOWN.
BY_MODEL_TYPE: Mapping[str, ModelFamily] = {
    "llama": LLAMA,
    "llama4": LLAMA,
    "llama4_text": LLAMA,
    "qwen2": QWEN,
    "qwen3": QWEN,
    "qwen3_moe": QWEN,
    "qwen3_5": QWEN,
    "qwen3_5_text": QWEN,
    "gemma3": GEMMA3,
    "gemma3_text": GEMMA3,
    "internlm2": INTERNLM,
    "internlm3": OTHER,
    "mistral": OTHER,
    "mistral3": OTHER,
    "ministral3": OTHER,
    "mixtral": OTHER,
    "gemma": OTHER,
    "gemma2": OTHER,
    "gemma3n": LARGE_STATES,
    "gemma3n_text": LARGE_STATES,
    "gemma4": LARGE_STATES,
    "gemma4_text": LARGE_STATES,
    "phi3": OTHER,
    "olmo2": OTHER,
    "olmo3": OTHER,
    "smollm3": OTHER,
    "gpt2": OTHER,
    "gpt_neox": OTHER,
    "gpt_oss": OTHER,
    "deepseek_v3": OTHER,
    "granite": OTHER,
    "exaone4": OTHER,
    "glm4": OTHER,
    "cohere2": OTHER,
}


def name_of(config: Mapping[str, Any]) -> str:
    """Return the name of the family for a configuration's model_type, "other" if it is unknown."""
    return BY_MODEL_TYPE.get(str(config.get("model_type")), OTHER).name


def gguf_family(config: Mapping[str, Any]) -> ModelFamily:
    """Return the family of a GGUF model with this configuration."""
    known = BY_MODEL_TYPE.get(str(config.get("model_type")), OTHER)
    return replace(GGUF, name=known.name, fp16_safe=known.fp16_safe)


def text_part_family(config: Mapping[str, Any], where: str) -> ModelFamily:
    """Return the family of the LLM of the VLM that a config.json names.

    Raises:
        ModelError: it is no VLM that is known here.
    """
    vlm = vlm_of(config, "text", where)
    own = config.get("text_config")
    return ModelFamily(
        name_of(own if isinstance(own, dict) else {}),
        _here("vlm_text"),
        wanted=vlm.keys_of("text"),
        fp16_safe=vlm.fp16_safe,
    )


def family_of(config: Mapping[str, Any], where: str) -> ModelFamily:
    """Return the family that a config.json names; whether transformers knows an untested one, its load says.

    Raises:
        ModelError: it has no model_type, or that of a whole VLM whose LLM needs a `#text`.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            f"{where}: config.json has no model_type that would say which LLM it is (it has "
            f"{shortened(repr(model_type), 60)}): save the model with transformers' save_pretrained, or "
            f"register an object with embed(texts)"
        )
    if model_type not in BY_MODEL_TYPE:
        check_no_vlm(config, "text", where)
    return BY_MODEL_TYPE.get(model_type, UNKNOWN)
