"""The families of LLMs: each adapter loads a text decoder and returns a `Decoder`. No torch here."""

from __future__ import annotations

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
GGUF = ModelFamily("gguf", _here("gguf"), version=2)

BY_MODEL_TYPE: Mapping[str, ModelFamily] = {
    "llama": LLAMA,
    "qwen2": QWEN,
    "qwen3": QWEN,
    "gemma3": GEMMA3,
    "gemma3_text": GEMMA3,
    "internlm2": INTERNLM,
    "mistral": OTHER,
    "gemma": OTHER,
    "gemma2": OTHER,
    "phi3": OTHER,
    "olmo2": OTHER,
    "smollm3": OTHER,
    "gpt2": OTHER,
    "gpt_neox": OTHER,
}


def name_of(config: Mapping[str, Any]) -> str:
    """Return the name of the family for a configuration's model_type, "other" if it is unknown."""
    return BY_MODEL_TYPE.get(str(config.get("model_type")), OTHER).name


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
    """Return the family that a config.json names.

    Raises:
        ModelError: its model_type is unknown, or that of a whole VLM.
    """
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in BY_MODEL_TYPE:
        return BY_MODEL_TYPE[model_type]
    check_no_vlm(config, "text", where)
    raise ModelError(
        f"{where}: model_type {shortened(repr(model_type), 60)} in config.json is no LLM that is known here; "
        f"known: {', '.join(BY_MODEL_TYPE)}; or register an object with embed(texts)"
    )
