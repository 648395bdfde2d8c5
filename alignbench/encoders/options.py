"""What shapes an encoder's vectors beside its weights, and what its model says of that."""

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
    """What shapes an encoder's vectors beside its weights.

    Args:
        pooling: "cls", "pooler", "mean", "projected"; None for the family's default.
        fit: how an image gets to the model's size: as its processor does ("native": may crop), padded to a
            square with white, or squashed.
        layer: a hidden layer, from 0 (the input embeddings) up or from -1 (the last) down; None: the end.
        pixels: "mean", "std", "crop", "interpolation", where they are not what the library has for the model.
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
    """What a model itself says of what it can give.

    Args:
        lacks: the poolings of its family that it does not have.
        pixels: how an image becomes pixels.
        no_layers: why it gives no hidden layers; "" where it does, or nobody asked.
    """

    lacks: tuple[str, ...]
    pixels: Pixels | None
    no_layers: str = ""
