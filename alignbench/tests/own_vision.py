"""What transformers, or a model's authors, give for the tiny vision models and the towers of tiny VLMs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors.torch import load_file

from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_vlms
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

hf: Any = transformers


def pixels(folder: Path) -> torch.Tensor:
    with quiet():
        processor = hf.AutoImageProcessor.from_pretrained(folder, backend="torchvision")
    each = [processor(images=image, return_tensors="pt")["pixel_values"] for image in tiny.images()]
    return torch.cat(each)


@torch.no_grad()
def adapted(family: str, folder: Path) -> dict[str, torch.Tensor]:
    """Return what transformers itself gives: each pooling, and the patches."""
    if family in ("clip", "metaclip2", "clip_vision"):
        with quiet():
            whole = hf.AutoModel.from_pretrained(folder).eval()
        out = getattr(whole, "vision_model", whole)(pixels(folder))
        tokens = out.last_hidden_state[:, 1:]
        found = {"cls": out.pooler_output, "pooler": out.pooler_output, "mean": tokens.mean(1)}
        if family != "clip_vision":
            found["projected"] = whole.get_image_features(pixel_values=pixels(folder)).pooler_output
        return {**found, "patches": tokens}
    if family == "siglip":
        with quiet():
            whole = hf.SiglipModel.from_pretrained(folder).eval()
        out = whole.vision_model(pixels(folder))
        tokens = out.last_hidden_state
        return {"pooler": out.pooler_output, "mean": tokens.mean(1), "patches": tokens}
    if family == "paligemma":
        with quiet():
            whole = hf.PaliGemmaForConditionalGeneration.from_pretrained(folder).eval().model
        tokens = whole.vision_tower(pixels(folder)).last_hidden_state
        projected = whole.multi_modal_projector(tokens)
        return {"mean": tokens.mean(1), "projected": projected.mean(1), "patches": projected}
    if family == "internvit":
        tokens = _original_internvit(load_file(folder / "model.safetensors"), pixels(folder))
        return {"cls": tokens[:, 0], "mean": tokens[:, 1:].mean(1), "patches": tokens[:, 1:]}
    cls, special = {
        "dinov2": (hf.Dinov2Model, 1),
        "dinov2_with_registers": (hf.Dinov2WithRegistersModel, 4),
        "dinov3_vit": (hf.DINOv3ViTModel, 5),
        "vit": (hf.ViTModel, 1),
        "internvit_native": (hf.InternVLVisionModel, 1),
    }[family]
    tokens = _outputs(cls, folder).last_hidden_state
    return {"cls": tokens[:, 0], "mean": tokens[:, special:].mean(1), "patches": tokens[:, special:]}


def _outputs(cls: Any, folder: Path) -> Any:
    with quiet(), torch.no_grad():
        return cls.from_pretrained(folder).eval()(pixels(folder))


def _original_internvit(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """InternViT as its authors compute it: the fused matrix gives [b, n, 3, heads, width]."""
    functional = torch.nn.functional
    heads, width = tiny.VISION["num_attention_heads"], tiny.VISION["hidden_size"]
    patch = "embeddings.patch_embedding"
    h = functional.conv2d(
        x, weights[f"{patch}.weight"], weights[f"{patch}.bias"], stride=tiny.VISION["patch_size"]
    )
    h = h.flatten(2).transpose(1, 2)
    h = torch.cat([weights["embeddings.class_embedding"].expand(len(h), -1, -1), h], dim=1)
    h = h + weights["embeddings.position_embedding"]

    def norm(h: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(h, (width,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def linear(h: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(h, weights[f"{name}.weight"], weights[f"{name}.bias"])

    for layer in range(tiny.VISION["num_hidden_layers"]):
        at = f"encoder.layers.{layer}"
        b, n, _ = h.shape
        qkv = linear(norm(h, f"{at}.norm1"), f"{at}.attn.qkv").reshape(b, n, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention = ((q * (width // heads) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        mixed = (attention @ v).transpose(1, 2).reshape(b, n, width)
        h = h + linear(mixed, f"{at}.attn.proj") * weights[f"{at}.ls1"]
        inner = functional.gelu(linear(norm(h, f"{at}.norm2"), f"{at}.mlp.fc1"))
        h = h + linear(inner, f"{at}.mlp.fc2") * weights[f"{at}.ls2"]
    return h


@torch.no_grad()
def generic(family: str, folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return what transformers itself gives: each pooling, the patches, and layer 1."""
    x = pixels(folder)
    with quiet():
        config = hf.AutoConfig.from_pretrained(folder)
        how: dict[str, Any] = {"output_hidden_states": True}
        if family == "vit_mae":
            config.mask_ratio = 0.0
            how["noise"] = torch.arange(16).expand(len(x), -1)
        model = hf.AutoModel.from_pretrained(folder, config=config).eval()
    found: dict[str, torch.Tensor] = {}
    if family == "chinese_clip":
        found["projected"] = model.get_image_features(pixel_values=x).pooler_output
        model = model.vision_model
    out = model(pixel_values=x, **how)
    tokens, layer = out.last_hidden_state, out.hidden_states[1]
    if family in ("resnet", "sam_vision"):
        tokens = torch.stack([one.reshape(one.shape[0], -1).T for one in tokens])
    if family in ("resnet", "dinov3_convnext"):
        layer = torch.stack([one.reshape(one.shape[0], -1).T for one in layer])
    if family == "sam_vision":
        layer = layer.reshape(len(x), -1, layer.shape[-1])
    if family in ("chinese_clip", "mlcd", "vit_mae"):
        found["cls"] = tokens[:, 0]
        tokens, layer = tokens[:, 1:], layer[:, 1:]
    if family == "dinov3_convnext":
        tokens = tokens[:, 1:]
    found |= {"mean": tokens.mean(1), "patches": tokens, "layer": layer.mean(1)}
    if family not in ("ijepa", "vit_mae", "sam_vision"):
        found["pooler"] = out.pooler_output.reshape(len(x), -1)
    return {name: values.numpy() for name, values in found.items()}


def any_of(family: str, folder: Path) -> dict[str, Any]:
    """Return what transformers itself gives for any tiny vision model: its poolings, and often patches."""
    if family in ("siglip2_naflex", "siglip2_vision"):
        model, inputs = naflex(folder)
        with torch.no_grad():
            out = model(**inputs)
        there = inputs["pixel_attention_mask"][..., None].float()
        mean = (out.last_hidden_state * there).sum(1) / there.sum(1)
        return {"pooler": out.pooler_output.numpy(), "mean": mean.numpy()}
    if family in (*tiny.ENCODERS, "metaclip2", "clip_vision"):
        return {name: values.numpy() for name, values in adapted(family, folder).items()}
    return generic(family, folder)


def naflex(folder: Path) -> tuple[Any, Any]:
    """Return transformers' own vision model and its inputs: every image padded to the most patches."""
    with quiet():
        model = hf.AutoModel.from_pretrained(folder).eval()
        inputs = hf.AutoImageProcessor.from_pretrained(folder)(images=tiny.images(), return_tensors="pt")
    return getattr(model, "vision_model", model), inputs


def made_inputs(folder: Path) -> Iterator[Any]:
    """Yield what a family's own processor makes of each image."""
    with quiet():
        processor = hf.AutoImageProcessor.from_pretrained(folder, backend="torchvision")
    for image in tiny.images():
        inputs = processor(images=image, return_tensors="pt")
        yield {**inputs, "pixel_values": inputs["pixel_values"].float()}


@torch.no_grad()
def image_tokens(folder: Path) -> list[NDArray[Any]]:
    """Return the image tokens of each image that transformers' whole model gives to its LLM."""
    with quiet():
        whole = tiny_vlms.own_model(folder)
    takes = inspect.signature(whole.get_image_features).parameters
    found = []
    for inputs in made_inputs(folder):
        out = whole.get_image_features(**{name: inputs[name] for name in inputs if name in takes})
        if hasattr(whole, "multi_modal_projector"):  # Llama 4 projects in its own forward pass
            tokens = whole.multi_modal_projector(out.last_hidden_state.reshape(-1, 48))
        else:
            tokens = torch.cat([part.reshape(-1, part.shape[-1]) for part in out.pooler_output])
        found.append(tokens.numpy())
    return found


@torch.no_grad()
def tower_tokens(folder: Path, family: str) -> list[NDArray[Any]]:
    """Return the tokens [t, d] that transformers' own tower gives for the whole of each image."""
    with quiet():
        whole = tiny_vlms.own_model(folder)
    inner = getattr(whole, "model", whole)
    found = []
    for inputs in made_inputs(folder):
        if family.startswith("qwen"):
            found.append(inner.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]))
            continue
        views = inputs["pixel_values"].reshape(-1, 3, 32, 32)
        first = family.startswith("llava")
        view = views[:1] if first else views[-1:]
        tower = inner.vision_tower if hasattr(inner, "vision_tower") else inner.vision_model
        found.append(tower(view))
    return [out.last_hidden_state.reshape(-1, out.last_hidden_state.shape[-1]).numpy() for out in found]
