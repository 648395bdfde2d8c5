"""Tiny vision-language models of each family, by save_pretrained, with processor and tokenizer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_SQUARE = {"height": 32, "width": 32}
_PINPOINTS = [[32, 64], [64, 32], [64, 64]]
_GEMMA = {**tiny.TEXT, "head_dim": 6, "sliding_window": 8}
_QWEN_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 4,
    "out_hidden_size": 24,
}
_MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 1]}
_SPECIAL: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2}


def _clip() -> Any:
    return transformers.CLIPVisionConfig(**tiny.VISION)


def _siglip(**more: Any) -> dict[str, Any]:
    return {**tiny.VISION, "model_type": "siglip_vision_model", "vision_use_head": False, **more}


def _clip_processor() -> Any:
    return transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=_SQUARE)


def _llava() -> tuple[Any, Any]:
    text = transformers.LlamaConfig(**tiny.TEXT)
    config = transformers.LlavaConfig(
        vision_config=_clip(), text_config=text, image_token_index=150, vision_feature_layer=-2
    )
    return config, _clip_processor()


def _llava_next() -> tuple[Any, Any]:
    config = transformers.LlavaNextConfig(
        vision_config=_clip(),
        text_config=transformers.LlamaConfig(**tiny.TEXT),
        image_token_index=150,
        image_grid_pinpoints=_PINPOINTS,
    )
    processor = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size=_SQUARE, image_grid_pinpoints=_PINPOINTS
    )
    return config, processor


def _llava_onevision() -> tuple[Any, Any]:
    config = transformers.LlavaOnevisionConfig(
        vision_config=_siglip(),
        text_config=transformers.Qwen2Config(**tiny.TEXT, **_SPECIAL),
        image_token_index=150,
        image_grid_pinpoints=[[32, 32], *_PINPOINTS],
    )
    processor = transformers.LlavaOnevisionImageProcessor(
        size=_SQUARE, image_grid_pinpoints=[[32, 32], *_PINPOINTS]
    )
    return config, processor


def _internvl() -> tuple[Any, Any]:
    vision = {**tiny.VISION, "image_size": [32, 32], "patch_size": [8, 8]}
    config = transformers.InternVLConfig(
        vision_config=transformers.InternVLVisionConfig(**vision),
        text_config=transformers.Qwen2Config(**tiny.TEXT, **_SPECIAL),
        image_token_id=150,
    )
    return config, transformers.GotOcr2ImageProcessor(size=_SQUARE)


def _internvl_in_tiles() -> tuple[Any, Any]:
    processor = transformers.GotOcr2ImageProcessor(size=_SQUARE, crop_to_patches=True, max_patches=4)
    return _internvl()[0], processor


def _paligemma(text: str) -> tuple[Any, Any]:
    config = transformers.PaliGemmaConfig(
        vision_config=_siglip(projection_dim=24),
        text_config={**tiny.TEXT, "head_dim": 6, "model_type": text},
        projection_dim=24,
        image_token_index=150,
    )
    return config, transformers.SiglipImageProcessor(size=_SQUARE)


def _gemma3() -> tuple[Any, Any]:
    config = transformers.Gemma3Config(
        vision_config=_siglip(),
        text_config=_GEMMA,
        mm_tokens_per_image=4,
        image_token_index=150,
        boi_token_index=151,
        eoi_token_index=152,
    )
    return config, transformers.Gemma3ImageProcessor(size=_SQUARE)


def _idefics(name: str) -> tuple[Any, Any]:
    make, processor = getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ImageProcessor")
    config = make(
        vision_config=dict(tiny.VISION),
        text_config=transformers.LlamaConfig(**tiny.TEXT),
        scale_factor=2,
        image_token_id=150,
    )
    return config, processor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})


def _llama4() -> tuple[Any, Any]:
    vision = {
        **tiny.VISION,
        "intermediate_size": 128,
        "pixel_shuffle_ratio": 0.5,
        "projector_input_dim": 48,
        "projector_output_dim": 48,
        "vision_output_dim": 48,
    }
    text = {**tiny.TEXT, "head_dim": 6, "num_local_experts": 2, "intermediate_size_mlp": 40}
    config = transformers.Llama4Config(vision_config=vision, text_config=text)
    return config, transformers.Llama4ImageProcessor(size=_SQUARE, max_patches=4)


def _qwen2_5_vl() -> tuple[Any, Any]:
    vision = {**_QWEN_VISION, "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}
    text = {**tiny.TEXT, "rope_parameters": _MROPE, **_SPECIAL}
    config = transformers.Qwen2_5_VLConfig(vision_config=vision, text_config=text)
    return config, transformers.Qwen2VLImageProcessor(patch_size=14, merge_size=2)


def _qwen3_vl() -> tuple[Any, Any]:
    vision = {
        **_QWEN_VISION,
        "patch_size": 16,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    config = transformers.Qwen3VLConfig(
        vision_config=vision, text_config={**tiny.TEXT, "head_dim": 6, **_SPECIAL}
    )
    return config, transformers.Qwen2VLImageProcessor(patch_size=16, merge_size=2)


VLMS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "internvl": _internvl,
    "internvl_in_tiles": _internvl_in_tiles,
    "paligemma": lambda: _paligemma("gemma"),
    "paligemma2": lambda: _paligemma("gemma2"),
    "gemma3": _gemma3,
    "idefics3": lambda: _idefics("Idefics3"),
    "smolvlm": lambda: _idefics("SmolVLM"),
    "llama4": _llama4,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
}


def vlm(name: str, folder: Path) -> Path:
    """Write a VLM of a family."""
    config, processor = VLMS[name]()
    model = transformers.AutoModelForImageTextToText.from_config(config)
    return tiny.save(tiny.scattered(model), folder, processor, tiny_texts.tokenizer())


def part(folder: Path, name: str, **options: Any) -> Any:
    """Return a part of the VLM in a folder, loaded in float32 on the CPU; its vectors keep their lengths."""
    made: Any = (resolve_llm if name == "text" else resolve)(f"{folder}#{name}", l2=False, **options)
    made.load("cpu", "float32")
    return made


def own_model(folder: Path) -> Any:
    """Return the whole VLM in a folder, as transformers itself loads it."""
    return transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def sharded(folder: Path, first: Callable[[str], bool]) -> tuple[Path, Path]:
    """Split the weights of a folder into two files with an index; return the files."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    files = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    of_key = {key: files[0] if first(key) else files[1] for key in tensors}
    for file in files:
        part = {key: tensor for key, tensor in tensors.items() if of_key[key] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    path.unlink()
    index = json.dumps({"metadata": {}, "weight_map": of_key})
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    return folder / files[0], folder / files[1]
