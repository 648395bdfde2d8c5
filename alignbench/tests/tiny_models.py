"""Checkpoints of each family in its real architecture, some thousand parameters large, by save_pretrained."""

from __future__ import annotations

import json
import re
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.tests import tiny_texts
from alignbench.tests.tiny_texts import text_tower_tokenizer, tokenizer
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

TEXTS = tiny_texts.TEXTS
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXT: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 160,
    "max_position_embeddings": 256,
}


def images(n: int = 5, seed: int = 0) -> list[Image.Image]:
    """Return smooth images of several shapes, wide and high."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n, 4, 4, 3), dtype=np.uint8)
    sizes = [(64, 40), (40, 64), (32, 32), (90, 33), (33, 80)]
    return [Image.fromarray(c).resize(sizes[i % 5], Image.Resampling.BICUBIC) for i, c in enumerate(coarse)]


def scattered(model: Any, seed: int = 0) -> Any:
    """Return the model with every parameter drawn anew: fresh ones hide mistakes behind zeros and ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_scale = parameter.ndim == 1 and not name.endswith("bias")
            parameter.copy_(1 + 0.2 * noise if is_scale else 0.15 * noise)
    return model.eval()


def save(model: Any, folder: Path, *parts: Any) -> Path:
    """Write a model with its processor or tokenizer."""
    with quiet():
        model.save_pretrained(folder)
        for part in parts:
            part.save_pretrained(folder)
    return folder


def rename_keys(folder: Path, rename: Callable[[str], str | None]) -> None:
    """Rewrite a checkpoint under other keys; None leaves one out."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    renamed = {rename(key): tensor for key, tensor in tensors.items()}
    save_file(
        {key: tensor for key, tensor in renamed.items() if key is not None}, path, metadata={"format": "pt"}
    )


def edit_config(folder: Path, **changes: Any) -> None:
    """Change entries of config.json; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), encoding="utf-8")


def made_once(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Have a checkpoint made for the first test that wants it, and its files written again for the others."""
    files: dict[str, bytes] = {}

    @wraps(make)
    def written(folder: Path) -> Path:
        if not files:
            with TemporaryDirectory() as own:
                files.update({path.name: path.read_bytes() for path in make(Path(own)).iterdir()})
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return written


@made_once
def clip(folder: Path) -> Path:
    text = {**TEXT, "max_position_embeddings": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    text.pop("num_key_value_heads")
    config = transformers.CLIPConfig(vision_config=VISION, text_config=text, projection_dim=20)
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return save(scattered(transformers.CLIPModel(config)), folder, processor, text_tower_tokenizer(20))


@made_once
def siglip(folder: Path) -> Path:
    text = {**TEXT, "hidden_size": 32, "max_position_embeddings": 20, "projection_size": 32}
    text |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    text.pop("num_key_value_heads")
    config = transformers.SiglipConfig(vision_config=VISION, text_config=text)
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return save(scattered(transformers.SiglipModel(config)), folder, processor, text_tower_tokenizer(20))


@made_once
def dinov2(folder: Path) -> Path:
    config = transformers.Dinov2Config(
        **{key: value for key, value in VISION.items() if key != "intermediate_size"}, mlp_ratio=2
    )
    return save(scattered(transformers.Dinov2Model(config)), folder, shortest_edge_processor())


@made_once
def dinov2_with_registers(folder: Path) -> Path:
    config = transformers.Dinov2WithRegistersConfig(
        **{key: value for key, value in VISION.items() if key != "intermediate_size"},
        mlp_ratio=2,
        num_register_tokens=3,
    )
    return save(scattered(transformers.Dinov2WithRegistersModel(config)), folder, shortest_edge_processor())


@made_once
def dinov3_vit(folder: Path) -> Path:
    """Write a DINOv3, whose patches have rotary positions, with four register tokens."""
    config = transformers.DINOv3ViTConfig(**VISION, num_register_tokens=4)
    processor = transformers.DINOv3ViTImageProcessor(size={"height": 32, "width": 32})
    return save(scattered(transformers.DINOv3ViTModel(config)), folder, processor)


@made_once
def vit(folder: Path) -> Path:
    model = transformers.ViTModel(transformers.ViTConfig(**VISION))
    return save(scattered(model), folder, transformers.ViTImageProcessor(size={"height": 32, "width": 32}))


def shortest_edge_processor() -> Any:
    """Return a processor that crops the centre, as DINOv2's."""
    return transformers.BitImageProcessor(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}, do_center_crop=True
    )


@made_once
def paligemma(folder: Path) -> Path:
    vision = {**VISION, "projection_dim": 24, "vision_use_head": False}
    config = transformers.PaliGemmaConfig(
        vision_config=vision, text_config={**TEXT, "head_dim": 6}, projection_dim=24, image_token_index=150
    )
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return save(scattered(transformers.PaliGemmaForConditionalGeneration(config)), folder, processor)


@made_once
def internvit_native(folder: Path) -> Path:
    config = transformers.InternVLVisionConfig(
        **{**VISION, "image_size": [32, 32], "patch_size": [8, 8]}, attention_bias=True
    )
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return save(scattered(transformers.InternVLVisionModel(config)), folder, processor)


_INTERNVIT = {
    "cls_token": "class_embedding",
    "position_embeddings": "position_embedding",
    "patch_embeddings.projection": "patch_embedding",
    "encoder.layer.": "encoder.layers.",
    "lambda_": "ls",
    "attention.projection_layer": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}


@made_once
def internvit(folder: Path) -> Path:
    """Write the layout that the Hub's repository has: fused qkv, other names, model_type intern_vit_6b."""
    internvit_native(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    original: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        if found := re.fullmatch(r"(encoder\.layer\.\d+\.attention)\.q_proj\.(\w+)", key):
            parts = [tensors[f"{found[1]}.{part}_proj.{found[2]}"] for part in "qkv"]
            fused = found[1].replace("layer.", "layers.").replace("attention", "attn")
            original[f"{fused}.qkv.{found[2]}"] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", key):
            for native, theirs in _INTERNVIT.items():
                key = key.replace(native, theirs)
            original[key] = tensor
    save_file(original, path, metadata={"format": "pt"})
    config = {
        **VISION,
        "model_type": "intern_vit_6b",
        "architectures": ["InternVisionModel"],
        "auto_map": {"AutoModel": "modeling_intern_vit.InternVisionModel"},
        "qkv_bias": True,
        "qk_normalization": False,
        "norm_type": "layer_norm",
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu",
        "num_channels": 3,
        "drop_path_rate": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    processor = {
        "crop_size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 32,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    return folder


@made_once
def llama(folder: Path) -> Path:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT))
    return save(scattered(model), folder, tokenizer())


@made_once
def qwen2(folder: Path) -> Path:
    model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**TEXT, use_sliding_window=False))
    return save(scattered(model), folder, tokenizer())


@made_once
def gemma3_text(folder: Path) -> Path:
    model = transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(**TEXT, head_dim=6, sliding_window=8)
    )
    return save(scattered(model), folder, tokenizer())


@made_once
def gemma3(folder: Path) -> Path:
    config = transformers.Gemma3Config(
        vision_config={**VISION, "vision_use_head": False},
        text_config={**TEXT, "head_dim": 6, "sliding_window": 8},
        mm_tokens_per_image=4,
        image_token_index=150,
        boi_token_index=151,
        eoi_token_index=152,
    )
    return save(scattered(transformers.Gemma3ForConditionalGeneration(config)), folder, tokenizer())


@made_once
def internlm2(folder: Path) -> Path:
    """Write an InternLM2 in its own layout, from a LLaMA of the same numbers."""
    made = llama(folder)
    heads, groups = TEXT["num_attention_heads"], TEXT["num_key_value_heads"]
    width = TEXT["hidden_size"] // heads
    path = made / "model.safetensors"
    tensors = load_file(path)
    names = {
        "model.embed_tokens.": "model.tok_embeddings.",
        "lm_head.": "output.",
        ".self_attn.o_proj.": ".attention.wo.",
        ".mlp.gate_proj.": ".feed_forward.w1.",
        ".mlp.down_proj.": ".feed_forward.w2.",
        ".mlp.up_proj.": ".feed_forward.w3.",
        ".input_layernorm.": ".attention_norm.",
        ".post_attention_layernorm.": ".ffn_norm.",
    }
    original: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        if key.endswith("q_proj.weight"):
            q, k, v = (tensors[key.replace("q_proj", f"{part}_proj")] for part in "qkv")
            stacked = [
                torch.cat(
                    [
                        q.view(groups, -1, width, q.shape[1])[g],
                        *(t.view(groups, 1, width, -1)[g] for t in (k, v)),
                    ]
                )
                for g in range(groups)
            ]
            fused = torch.stack(stacked).reshape(-1, q.shape[1])
            original[key.replace("self_attn.q_proj", "attention.wqkv")] = fused
        elif not re.search(r"\.[kv]_proj\.", key):
            for ours, theirs in names.items():
                key = key.replace(ours, theirs)
            original[key] = tensor.clone()
    save_file(original, path, metadata={"format": "pt"})
    config = {
        **TEXT,
        "model_type": "internlm2",
        "auto_map": {"AutoModel": "modeling_internlm2.InternLM2ForCausalLM"},
        "bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 50000,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


ENCODERS: Mapping[str, Callable[[Path], Path]] = {
    "clip": clip,
    "siglip": siglip,
    "dinov2": dinov2,
    "dinov2_with_registers": dinov2_with_registers,
    "dinov3_vit": dinov3_vit,
    "vit": vit,
    "internvit": internvit,
    "internvit_native": internvit_native,
    "paligemma": paligemma,
}
LLMS: Mapping[str, Callable[[Path], Path]] = {
    "llama": llama,
    "qwen2": qwen2,
    "gemma3_text": gemma3_text,
    "gemma3": gemma3,
    "internlm2": internlm2,
}


def close(a: NDArray[Any], b: NDArray[Any] | Sequence[Any], tolerance: float = 2e-5) -> None:
    """Assert that two arrays agree to float32's accuracy, relative to their size."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max())))


def load(folder: Path, **options: Any) -> Any:
    """Return the encoder in a folder, loaded in float32 on the CPU."""
    handle = resolve(str(folder), **options)
    handle.load("cpu", "float32")
    return handle


def as_pickle(folder: Path) -> Path:
    """Turn a model's safetensors into the pickle that older repositories have."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder
