"""What transformers, or a model's authors, give for the tiny LLMs and the LLMs of tiny VLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from alignbench.tests import tiny_llms, tiny_vlms
from alignbench.tests import tiny_models as tiny
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

hf: Any = transformers


@torch.no_grad()
def adapted(family: str, folder: Path, layer: int = -1) -> Any:
    """Return each text's mean state, computed one text at a time, so that nothing is padded."""
    with quiet():
        tokenizer = hf.AutoTokenizer.from_pretrained(folder)
        ids = [torch.tensor([tokenizer(text)["input_ids"]]) for text in tiny.TEXTS]
        if family == "internlm2":
            weights = load_file(folder / "model.safetensors")
            return torch.cat([_original_internlm2(weights, row).mean(1) for row in ids]).numpy()
        if family == "gemma3":
            whole = hf.Gemma3ForConditionalGeneration.from_pretrained(folder).eval()
            decoder = whole.model.language_model
        else:
            cls = {"gemma3_text": hf.Gemma3ForCausalLM}.get(family, hf.AutoModelForCausalLM)
            decoder = cls.from_pretrained(folder).eval().model
    states = [decoder(row, output_hidden_states=True).hidden_states[layer] for row in ids]
    return torch.cat([state.mean(1) for state in states]).numpy()


def _original_internlm2(weights: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """InternLM2 as its authors compute it: `b q (h gs d) -> b q h gs d`, rotary halves, grouped queries."""
    functional = torch.nn.functional
    heads, groups = tiny.TEXT["num_attention_heads"], tiny.TEXT["num_key_value_heads"]
    width = tiny.TEXT["hidden_size"] // heads
    share = heads // groups
    n = ids.shape[1]
    frequencies = 1.0 / 50000 ** (torch.arange(0, width, 2).float() / width)
    angles = torch.outer(torch.arange(n).float(), frequencies)
    cos, sin = (torch.cat([f(angles)] * 2, dim=-1) for f in (torch.cos, torch.sin))

    def norm(h: torch.Tensor, name: str) -> torch.Tensor:
        return h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5) * weights[f"model.{name}.weight"]

    def turned(x: torch.Tensor) -> torch.Tensor:
        half = torch.cat([-x[..., width // 2 :], x[..., : width // 2]], dim=-1)
        return x * cos + half * sin

    h = weights["model.tok_embeddings.weight"][ids]
    for layer in range(tiny.TEXT["num_hidden_layers"]):
        at = f"layers.{layer}"
        w = {k: weights[f"model.{at}.feed_forward.{k}.weight"] for k in ("w1", "w2", "w3")}
        fused = norm(h, f"{at}.attention_norm") @ weights[f"model.{at}.attention.wqkv.weight"].T
        split = fused.reshape(1, n, groups, share + 2, width)
        q = split[..., :share, :].reshape(1, n, heads, width).transpose(1, 2)
        k, v = (split[..., share + i, :].transpose(1, 2).repeat_interleave(share, dim=1) for i in (0, 1))
        scores = turned(q) @ turned(k).transpose(-2, -1) / width**0.5
        scores = scores + torch.full((n, n), float("-inf")).triu(1)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(1, n, -1)
        h = h + mixed @ weights[f"model.{at}.attention.wo.weight"].T
        x = norm(h, f"{at}.ffn_norm")
        h = h + (functional.silu(x @ w["w1"].T) * (x @ w["w3"].T)) @ w["w2"].T
    return norm(h, "norm")


def theirs(model_type: str, folder: Path, tmp_path: Path) -> Any:
    """Return transformers' own network with its head; a text part by way of its checkpoint alone."""
    if model_type in tiny_llms.WHOLE:
        folder = tiny_llms.plain(tiny_llms.WHOLE[model_type][0], tmp_path / "text")
    if model_type == "internlm3":
        folder = tiny.llama(tmp_path / "text")
    with quiet():
        return hf.AutoModelForCausalLM.from_pretrained(folder).eval()


def inside(model: Any) -> Any:
    """Return the network below a head, whatever the class calls it."""
    return next(getattr(model, name) for name in ("model", "transformer", "gpt_neox") if hasattr(model, name))


def llm_of(whole: Any) -> Any:
    """Return the LLM without its head in transformers' whole model, reading texts in one direction."""
    inner = getattr(whole, "model", whole)
    llm = inner.language_model if hasattr(inner, "language_model") else inner.text_model
    llm = getattr(llm, "model", llm)
    if getattr(llm.config, "use_bidirectional_attention", None):  # PaliGemma reads its prompts so
        for layer in llm.layers:
            layer.self_attn.is_causal = True
    return llm


def text_states(folder: Path) -> NDArray[Any]:
    """Return the mean state of each text, alone and without padding, in transformers' own LLM of the VLM."""
    with quiet():
        tokenizer = hf.AutoTokenizer.from_pretrained(folder)
        llm = llm_of(tiny_vlms.own_model(folder))
    means = []
    for text in tiny.TEXTS:
        with torch.no_grad():
            out = llm(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))
        means.append(out.last_hidden_state[0].mean(0).numpy())
    return np.stack(means)


@torch.no_grad()
def means(model_type: str, folder: Path, tmp_path: Path) -> NDArray[Any]:
    """Return the mean state of each text, alone and without padding, in transformers' own network."""
    if model_type in tiny.LLMS:
        return np.asarray(adapted(model_type, folder))
    with quiet():
        tokenizer = hf.AutoTokenizer.from_pretrained(folder)
        if model_type == "t5":
            network = hf.T5EncoderModel.from_pretrained(folder).eval()
        elif model_type in tiny_llms.OTHERS:
            network = hf.AutoModel.from_pretrained(folder).eval()
        else:
            network = inside(theirs(model_type, folder, tmp_path))
    rows = [torch.tensor([tokenizer(text)["input_ids"]]) for text in tiny.TEXTS]
    return torch.cat([network(input_ids=row).last_hidden_state.mean(1) for row in rows]).numpy()
