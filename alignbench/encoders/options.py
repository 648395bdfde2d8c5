"""Options that shape an encoder's vectors, and the capabilities that its model reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from alignbench.encoders.families import FITS
from alignbench.errors import ModelError
from alignbench.weights.family import ModelOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.encoders.pixels import Pixels

Fit = Literal["native", "pad", "squash"]


@dataclass(frozen=True, slots=True)
class EncoderOptions(ModelOptions):
    """Options, besides the weights, that shape an encoder's vectors.

    Args:
        pooling: "cls", "pooler", "mean", "projected"; None for the family's default.
        fit: how an image is brought to the model's size: as its processor does it ("native", which may crop),
            padded to a square with white, or squashed.
        layer: a hidden layer, counted from 0 (the input embeddings) or from -1 (the last); None for the
            output.
        pixels: "mean", "std", "crop", "interpolation", if they differ from the library's values for the
            model.
    """

    pooling: str | None = field(default=None, metadata={"asked_as": "--align-pooling"})
    fit: Fit = field(default="native", metadata={"asked_as": "--align-fit"})
    layer: int | None = field(default=None, metadata={"asked_as": "--align-layer"})
    pixels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ModelError(f"expected a fit of {', '.join(FITS)}, got {self.fit!r}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model itself reports about its capabilities.

    Args:
        lacks: the poolings of its family that it lacks.
        pixels: how an image becomes pixels.
        no_layers: why it returns no hidden layers; "" if it does, or if that was not asked.
    """

    lacks: tuple[str, ...]
    pixels: Pixels | None
    no_layers: str = ""
