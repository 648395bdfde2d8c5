"""Options that shape an LLM's vectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from alignbench.errors import ModelError
from alignbench.weights.family import ModelOptions

Quantization = Literal["4bit", "8bit"]


@dataclass(frozen=True, slots=True)
class LLMOptions(ModelOptions):
    """Options, besides the weights, that shape an LLM's vectors.

    Args:
        layer: a hidden layer, counted from 0 (the input embeddings) or from -1 (the last, after the norm).
        max_length: the number of tokens of a text that are read; the rest is cut off.
        quantization: "4bit" or "8bit" weights, on CUDA.
    """

    layer: int = field(default=-1, metadata={"asked_as": "--align-llm-layer"})
    quantization: Quantization | None = field(default=None, metadata={"asked_as": "--align-quantize"})
    max_length: int = field(default=128, metadata={"asked_as": "max_length"})

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ModelError(f"expected a max_length of at least 1 token, got {self.max_length}")
        if self.quantization not in (None, "4bit", "8bit"):
            raise ModelError(f"expected a quantization of 4bit or 8bit, got {self.quantization!r}")
