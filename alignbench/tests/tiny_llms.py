"""Checkpoints of each tested model_type of LLMs, and of some that only transformers knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

hf: Any = transformers
_HEADS = {"head_dim": 6}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
_FOUR = {"num_hidden_layers": 4}
_LINEAR = {
    "head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
}
_PER_LAYER = {"vocab_size_per_layer_input": 160, "hidden_size_per_layer_input": 8}
_GPT2 = {"n_embd": 24, "n_inner": 40, "n_layer": 3, "n_head": 4, "n_positions": 256, "vocab_size": 160}
_SHORT = {"sliding_window": 8}
_PADDED = {"pad_token_id": 0}

# model_type -> the prefix of its classes in transformers, and what its configuration has besides `tiny.TEXT`.
PLAIN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("Qwen3", _HEADS),
    "qwen3_moe": ("Qwen3Moe", {**_HEADS, **_EXPERTS, "num_experts": 4}),
    "qwen3_5_text": ("Qwen3_5", {**_FOUR, **_LINEAR}),
    "llama4_text": ("Llama4", {**_HEADS, "num_local_experts": 2, "intermediate_size_mlp": 40}),
    "gemma3n_text": (
        "Gemma3n",
        {
            **_HEADS,
            **_FOUR,
            **_PER_LAYER,
            "num_kv_shared_layers": 0,
            "laurel_rank": 4,
            "layer_types": None,
        },
    ),
    "gemma4_text": ("Gemma4", {**_HEADS, **_PER_LAYER}),
    "smollm3": ("SmolLM3", _PADDED),
    "mistral": ("Mistral", _SHORT),
    "ministral3": ("Ministral3", _HEADS),
    "olmo2": ("Olmo2", _PADDED),
    "olmo3": ("Olmo3", {**_PADDED, **_SHORT}),
    "phi3": ("Phi3", {**_PADDED, "hidden_size": 32, "partial_rotary_factor": 0.75}),
    "gemma": ("Gemma", _HEADS),
    "gemma2": ("Gemma2", {**_HEADS, **_SHORT}),
    "gpt_oss": ("GptOss", {**_SHORT, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "deepseek_v3": (
        "DeepseekV3",
        {
            **_LATENT,
            **_EXPERTS,
            "n_routed_experts": 4,
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        },
    ),
    "mixtral": ("Mixtral", {"num_local_experts": 4}),
    "granite": ("Granite", {"residual_multiplier": 0.5, "embedding_multiplier": 3.0}),
    "exaone4": ("Exaone4", {**_SHORT, "sliding_window_pattern": 2}),
    "glm4": ("Glm4", {**_HEADS, **_PADDED}),
    "cohere2": ("Cohere2", _SHORT),
    "gpt_neox": ("GPTNeoX", {}),
}
# model_type of a language model with another tower -> the model_type of its text part, and where that is.
WHOLE: Mapping[str, tuple[str, str]] = {
    "llama4": ("llama4_text", "language_model.model."),
    "qwen3_5": ("qwen3_5_text", "model.language_model."),
    "gemma3n": ("gemma3n_text", "model.language_model."),
    "gemma4": ("gemma4_text", "model.language_model."),
    "mistral3": ("ministral3", "language_model.model."),
}


def text_config(model_type: str) -> Any:
    """Return the tiny configuration of a text network."""
    prefix, more = PLAIN[model_type]
    name = f"{prefix}TextConfig" if model_type.endswith("_text") else f"{prefix}Config"
    return getattr(hf, name)(**{**tiny.TEXT, **more})


def plain(model_type: str, folder: Path) -> Path:
    """Write a language model without another tower."""
    model = getattr(hf, f"{PLAIN[model_type][0]}ForCausalLM")(text_config(model_type))
    return tiny.save(tiny.scattered(model), folder, tiny_texts.tokenizer())


def whole(model_type: str, folder: Path) -> Path:
    """Write a language model whose text part is beside another tower, as the Hub's repositories have it."""
    part, place = WHOLE[model_type]
    plain(part, folder)
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    path = folder / "model.safetensors"
    tensors = load_file(path)
    named = {
        key.replace("model.", place, 1)
        if key.startswith("model.")
        else (key if place.startswith("model.") else f"language_model.{key}"): tensor
        for key, tensor in tensors.items()
    }
    named |= {
        "vision_tower.layers.0.norm.weight": torch.ones(8),
        "multi_modal_projector.linear_1.weight": torch.ones(8, 8),
    }
    save_file(named, path, metadata={"format": "pt"})
    tied = {"tie_word_embeddings": text.get("tie_word_embeddings", False)}
    config = {"model_type": model_type, "text_config": text, **tied}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def gpt2(folder: Path) -> Path:
    return tiny.save(
        tiny.scattered(hf.GPT2LMHeadModel(hf.GPT2Config(**_GPT2))), folder, tiny_texts.tokenizer()
    )


def internlm3(folder: Path) -> Path:
    """Write an InternLM3, which transformers computes as a LLaMA."""
    tiny.llama(folder)
    tiny.edit_config(folder, model_type="internlm3", architectures=["InternLM3ForCausalLM"])
    return folder


def written(model_type: str, folder: Path) -> Path:
    """Write a checkpoint of any model_type that the tests know."""
    if model_type in OTHERS:
        return tiny.save(tiny.scattered(OTHERS[model_type]()), folder, tiny_texts.tokenizer())
    own = {**tiny.LLMS, "gpt2": gpt2, "internlm3": internlm3}
    if model_type in own:
        return own[model_type](folder)
    return plain(model_type, folder) if model_type in PLAIN else whole(model_type, folder)


def _without_groups() -> dict[str, Any]:
    return {key: value for key, value in tiny.TEXT.items() if key != "num_key_value_heads"} | _PADDED


# Architectures that alignbench has not a word about.
OTHERS: Mapping[str, Any] = {
    "ernie4_5": lambda: hf.Ernie4_5ForCausalLM(hf.Ernie4_5Config(**tiny.TEXT, **_PADDED)),
    "mamba": lambda: hf.MambaForCausalLM(
        hf.MambaConfig(hidden_size=24, num_hidden_layers=3, vocab_size=160, state_size=8)
    ),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**_without_groups())),
    "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**{**_without_groups(), "pad_token_id": 1})),
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(d_model=24, d_kv=6, d_ff=40, num_layers=3, num_heads=4, vocab_size=160)
    ),
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(
            d_model=24,
            encoder_layers=1,
            decoder_layers=1,
            encoder_ffn_dim=40,
            decoder_ffn_dim=40,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            vocab_size=160,
            max_position_embeddings=128,
        )
    ),
    "falcon_h1": lambda: hf.FalconH1ForCausalLM(
        hf.FalconH1Config(
            **tiny.TEXT,
            **_PADDED,
            mamba_d_ssm=32,
            mamba_n_heads=4,
            mamba_d_head=8,
            mamba_n_groups=1,
            mamba_d_state=8,
        )
    ),
    "vit": lambda: hf.ViTModel(hf.ViTConfig(**tiny.VISION)),
}
