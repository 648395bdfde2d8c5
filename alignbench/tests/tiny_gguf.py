"""GGUF files of tiny LLaMAs, as llama.cpp's converter writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import transformers
from safetensors.torch import load_file

from alignbench.tests import tiny_models as tiny

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

hf: Any = transformers
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers.": "blk.",
}


def folder_with_gguf(folder: Path) -> Path:
    """Return a folder that holds `model.gguf`, a tiny LLaMA's."""
    folder.mkdir(parents=True)
    write_gguf(folder / "model.gguf", tiny.llama(folder.with_name(f"{folder.name}-source")))
    return folder


def turned(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Return query or key rows in GGUF's order, which interleaves the halves of the rotary embedding."""
    return weights.reshape(heads, 2, -1, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def tensors_of(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return a LLaMA's tensors as a GGUF file has them."""
    config = hf.LlamaConfig.from_pretrained(folder)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    found = {}
    for key, tensor in load_file(folder / "model.safetensors").items():
        name = key
        for ours, theirs in _NAMES.items():
            name = name.replace(ours, theirs)
        for part, count in heads.items():
            tensor = turned(tensor, count) if part in name else tensor
        found[name] = tensor.contiguous().numpy().astype(np.float32)
    return found


def write_gguf(
    path: Path,
    folder: Path,
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
    split: tuple[int, int, int] | None = None,
    **texts: str,
) -> Path:
    """Write a LLaMA's folder as a float32 GGUF file with its tokenizer's words.

    Args:
        path: where to.
        folder: of the LLaMA.
        tensors: those to write; None for all.
        split: which part it is, of how many, and how many tensors there are in all of them.
        texts: further entries; a double underscore stands for a dot.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    if split is None or split[0] == 0:
        add_entries(writer, folder)
    else:
        writer.kv_data[0].pop("general.architecture")  # gguf-split gives it to the first part only
    for key, value in texts.items():
        writer.add_string(key.replace("__", "."), value)
    if split is not None:
        writer.add_uint16("split.no", split[0])
        writer.add_uint16("split.count", split[1])
        writer.add_int32("split.tensors.count", split[2])
    for name, tensor in (tensors_of(folder) if tensors is None else tensors).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_entries(writer: Any, folder: Path) -> None:
    """Give a file the settings and the words of a LLaMA."""
    config = hf.LlamaConfig.from_pretrained(folder)
    words = hf.AutoTokenizer.from_pretrained(folder)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(words.get_vocab().items(), key=lambda item: item[1])
    pieces = [word for word, _ in vocabulary]
    pieces += [f"<unused{i}>" for i in range(config.vocab_size - len(pieces))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([-float(i) for i in range(len(pieces))])
    writer.add_token_types([2] + [3] * 2 + [1] * (len(pieces) - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
