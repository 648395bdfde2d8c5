"""Models of published shapes with random weights, which need no download: for `gpu`."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
import yaml

from alignbench import paths
from alignbench.encoders import Encoder
from alignbench.encoders import resolve as resolve_encoder
from alignbench.llms import LLM
from alignbench.llms import resolve as resolve_llm
from alignbench.weights.loading import quiet, torch_dtype

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
    weights: str = "float32"

    def small(self) -> Published:
        """Return the same architecture with few layers of little width."""
        inner = {} if "mlp_ratio" in self.sizes else {"intermediate_size": 512}
        heads = {"num_key_value_heads": 2, "vocab_size": 8192} if self.side == "text" else {}
        sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, **inner, **heads}
        pixels = {"image_size": 112} if self.pixels else {}
        shape = replace(self, sizes={**self.sizes, **sizes, **pixels})
        return replace(shape, pixels=112) if self.pixels else shape

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
            network.to(torch_dtype(self.weights)).save_pretrained(folder)
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


def published() -> tuple[Published, ...]:
    """Return the shapes of the models that are measured."""
    entries = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return tuple(Published(name, **entry) for name, entry in entries.items())


SHAPES = published()
