"""InternLM2 as a LLaMA: the same architecture with one fused matrix and other names; no code is fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alignbench.llms.decoder import Decoder, load_decoder
from alignbench.weights.loading import build_config, read_tensors, transformers_class
from alignbench.weights.tokenizer import SentencePieceTokenizer, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from alignbench.llms.options import LLMOptions
    from alignbench.weights.request import LoadRequest

_RENAMED = {
    "tok_embeddings.": "embed_tokens.",
    ".attention.wo.": ".self_attn.o_proj.",
    ".feed_forward.w1.": ".mlp.gate_proj.",
    ".feed_forward.w2.": ".mlp.down_proj.",
    ".feed_forward.w3.": ".mlp.up_proj.",
    ".attention_norm.": ".input_layernorm.",
    ".ffn_norm.": ".post_attention_layernorm.",
}
_HEAD = ("output.weight", "lm_head.weight")
_FUSED = re.compile(r"(.*)\.attention\.wqkv(\.\w+)")
_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)


def llama_keys(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, head: bool = False
) -> dict[str, Tensor]:
    """Return an InternLM2 checkpoint under the names of LlamaModel or, with its head, of LlamaForCausalLM.

    `wqkv` [(h + 2 kv) · hd, d] holds, for each of the kv groups, its h/kv queries, one key and one value.
    """
    heads, groups = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    width = int(config["hidden_size"]) // heads
    llama: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if not key.startswith("model."):
            continue
        name = key.removeprefix("model.")
        for theirs, ours in _RENAMED.items():
            name = name.replace(theirs, ours)
        if fused := _FUSED.fullmatch(name):
            rest = tensor.shape[1:]
            split = tensor.view(groups, heads // groups + 2, width, *rest)
            for part, chosen in (("q", split[:, :-2]), ("k", split[:, -2]), ("v", split[:, -1])):
                llama[f"{fused[1]}.self_attn.{part}_proj{fused[2]}"] = chosen.reshape(-1, *rest).clone()
        else:
            llama[name] = tensor
    if not head:
        return llama
    named = {f"model.{name}": tensor for name, tensor in llama.items()}
    # If it is absent, it is either tied, or the check of the loaded keys reports it.
    return {**named, _HEAD[1]: tensors[_HEAD[0]]} if _HEAD[0] in tensors else named


def llama_config(config: Mapping[str, Any]) -> Any:
    """Return the LlamaConfig of an InternLM2 config.json."""
    values = {name: config[name] for name in _SAME if name in config}
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("type", scaling.pop("rope_type", "default"))
    rope = {"rope_type": kind, "rope_theta": config.get("rope_theta", 10000.0), **scaling}
    bias = bool(config.get("bias", False))
    tied = bool(config.get("tie_word_embeddings", False))
    return build_config(
        "LlamaConfig",
        {**values, "attention_bias": bias, "rope_parameters": rope, "tie_word_embeddings": tied},
    )


def load(request: LoadRequest[LLMOptions]) -> Decoder:
    """Load an InternLM2 or InternLM2.5."""
    located, config, head = request.located, request.config, request.head
    wanted = ("model.", _HEAD[0]) if head else ("model.",)
    state = llama_keys(read_tensors(located.weights, wanted), config, head=head)
    cls = transformers_class("LlamaForCausalLM" if head else "LlamaModel")
    model = load_decoder(request, cls, llama_config(config), state=state)
    # AutoTokenizer silently drops the blank before the first word; the original is plain SentencePiece.
    if (located.path / "tokenizer.model").is_file():
        return Decoder(model, SentencePieceTokenizer(located.path / "tokenizer.model"))
    return Decoder(model, load_tokenizer(located.path, "LlamaTokenizer"))
