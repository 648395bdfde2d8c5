"""Models of published shapes with random weights, which need no download: for `gpu`."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers

from alignbench import paths
from alignbench.encoders import Encoder
from alignbench.encoders import resolve as resolve_encoder
from alignbench.llms import LLM
from alignbench.llms import resolve as resolve_llm
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from pathlib import Path

hf: Any = transformers

Handle = Encoder | LLM


@dataclass(frozen=True, slots=True)
class Published:
    """A published model's shape.

    Args:
        name: its name in tables.
        side: the side of a pair that it forms.
        model: the class of its network in transformers.
        config: the class of its configuration.
        sizes: the values of its configuration.
        processor: the class of its image processor; "" for an LLM.
        pixels: the side of the image that it sees.
        pooling: the output that is taken.
        weights: the dtype in which it is published.
    """

    name: str
    side: Literal["vision", "text"]
    model: str
    config: str
    sizes: dict[str, Any]
    processor: str = ""
    pixels: int = 0
    pooling: str = ""
    weights: torch.dtype = torch.float32

    def small(self) -> Published:
        """Return the same architecture with few layers of little width."""
        inner = {} if "mlp_ratio" in self.sizes else {"intermediate_size": 512}
        heads = {"num_key_value_heads": 2, "vocab_size": 8192} if self.side == "text" else {}
        sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, **inner, **heads}
        pixels = {"image_size": 112} if self.pixels else {}
        return Published(
            self.name,
            self.side,
            self.model,
            self.config,
            {**self.sizes, **sizes, **pixels},
            self.processor,
            112 if self.pixels else 0,
            self.pooling,
            self.weights,
        )

    def write(self, folder: Path, device: str) -> Path:
        """Write the model, with what prepares its input; its weights are drawn on the device."""
        torch.manual_seed(0)
        with torch.device(device):
            network = getattr(hf, self.model)(getattr(hf, self.config)(**self.sizes))
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim > 1:
                    # So large that a vector depends on its image or text, as in a trained model.
                    weight.normal_(0, (weight.numel() / weight.shape[0]) ** -0.5)
        with quiet():
            network.to(self.weights).save_pretrained(folder)
            self._prepares().save_pretrained(folder)
        del network
        gc.collect()
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
        return folder

    def handle(self, folder: Path, **options: Any) -> Handle:
        """Return the model of a folder, not yet loaded."""
        spec = f"{self.name}={folder}"
        if self.side == "text":
            llm = resolve_llm(spec, **options)
            assert isinstance(llm, LLM)
            return llm
        encoder = resolve_encoder(spec, pooling=self.pooling, **options)
        assert isinstance(encoder, Encoder)
        return encoder

    def _prepares(self) -> Any:
        if self.side == "text":
            return hf.AutoTokenizer.from_pretrained(paths.models_dir() / "mini-llama")
        square = {"height": self.pixels, "width": self.pixels}
        if self.processor == "SiglipImageProcessor":
            return hf.SiglipImageProcessor(size=square)
        return getattr(hf, self.processor)(size={"shortest_edge": self.pixels * 8 // 7}, crop_size=square)


_VIT_L = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14}
SHAPES = (
    Published(
        "clip-vit-l-14",
        "vision",
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        {**_VIT_L, "intermediate_size": 4096, "image_size": 224, "projection_dim": 768},
        "CLIPImageProcessor",
        224,
        "projected",
    ),
    Published(
        "siglip-so400m",
        "vision",
        "SiglipVisionModel",
        "SiglipVisionConfig",
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 384,
        },
        "SiglipImageProcessor",
        384,
        "pooler",
    ),
    Published(
        "dinov2-l",
        "vision",
        "Dinov2Model",
        "Dinov2Config",
        {**_VIT_L, "mlp_ratio": 4, "image_size": 518},
        "BitImageProcessor",
        224,
        "pooler",
    ),
    Published(
        "qwen2.5-1.5b",
        "text",
        "Qwen2Model",
        "Qwen2Config",
        {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
        },
        weights=torch.bfloat16,
    ),
    Published(
        "qwen2.5-7b",
        "text",
        "Qwen2Model",
        "Qwen2Config",
        {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
        },
        weights=torch.bfloat16,
    ),
)
