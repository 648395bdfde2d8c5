"""The memory that a model takes on its device: estimated before a load, from configuration and headers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.weights.config_tensors import side_of
from alignbench.weights.digest import parameter_count
from alignbench.weights.headers import safetensors_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Location

# Matrices that autocast leaves in the dtype of the weights, because no product is taken with them.
_LOOKED_UP = re.compile(r"embed|wte|wpe|position|pos_")
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8bit": 1.0, "4bit": 0.53}
_INNER = ("intermediate_size", "n_inner", "ffn_dim", "mlp_dim")
_BYTES_ON_HUB = 2  # of a number
_USUAL_RATIO = 4  # of the inner width of a layer to its width
# The largest number of arrays in a layer that are alive at a time, counted in passes of tensors
# (`python -m alignbench.measure gpu`): of the layer's inner width, more where one of its parts is multiplied
# by another, and of the model's width.
_INNER_ARRAYS, _INNER_ARRAYS_GATED = 2, 3
_GATED = "quick_gelu"
_ARRAYS = 4
# Libraries of a GPU take this much for themselves: what cuBLAS takes for its products on Hopper.
_WORKSPACE = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Footprint:
    """The bytes that a model takes on its device.

    Args:
        weights: what its weights take.
        batch: what a pass of a batch adds at its peak.
    """

    weights: int
    batch: int = 0

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.batch


@dataclass(frozen=True, slots=True)
class WeightsRead:
    """What is read of a checkpoint.

    Args:
        kind: the side that is used.
        config: the model's configuration.
        located: the weight files, or what it takes to download them.
        wanted: prefixes of the tensors that are read; None for all.
        left: prefixes of the tensors that are not.
        quantization: "4bit" or "8bit" of the matrices; None for neither.
    """

    kind: Literal["vision", "text"]
    config: Mapping[str, Any]
    located: Location
    wanted: tuple[str, ...] | None = None
    left: tuple[str, ...] = ()
    quantization: str | None = None

    def bytes_in(self, precision: Precision) -> int:
        """Return about how many bytes they take in an arithmetic."""
        products = _BYTES[self.quantization or precision.autocast or precision.weights]
        if not self.located.weights:
            return round(self.located.download / _BYTES_ON_HUB * products)
        total = (
            parameter_count(path for path in self.located.weights if path.suffix != ".safetensors") * products
        )
        for name, shape in self._shapes().items():
            multiplied = len(shape) == 2 and _LOOKED_UP.search(name) is None
            total += math.prod(shape) * (products if multiplied else _BYTES[precision.weights])
        return round(total)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return name -> shape of the tensors that are read."""
        shapes = {
            name: tuple(entry["shape"])
            for path in self.located.weights
            if path.suffix == ".safetensors"
            for name, entry in safetensors_header(path).items()
        }
        # open_clip builds both of its towers.
        whole = "model_cfg" in self.config or "open_clip_model" in self.config
        return {
            name: shape
            for name, shape in (shapes if whole else side_of(self.config, shapes, self.kind).tensors).items()
            if (self.wanted is None or name.startswith(self.wanted)) and not name.startswith(self.left)
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """A model's batch.

    Args:
        kind: the side of the model.
        config: the model's configuration.
        tokens: the number of tokens, including padding.
        numbers: how many numbers of float32 the input has beside them: an image's pixels.
    """

    kind: Literal["vision", "text"]
    config: Mapping[str, Any]
    tokens: int
    numbers: int = 0

    def bytes_in(self, precision: Precision, device: str, width: int) -> int:
        """Return about how many bytes a pass adds to the weights at its peak.

        It is tokens · (m · inner width · bytes of a product + k · width · bytes of a weight) in the widest
        moment of a layer, and the input twice, since the next batch's is there already.

        Args:
            precision: the arithmetic.
            device: "cpu", "cuda", ...
            width: the model's width.
        """
        own = side_of(self.config, {}, self.kind).config
        ratio = own.get("mlp_ratio")
        if not (isinstance(ratio, int | float) and 0 < ratio < math.inf):
            ratio = _USUAL_RATIO
        sizes = [own[name] for name in _INNER if type(own.get(name)) is int and own[name] > 0]
        inner = sizes[0] if sizes else width * ratio
        gated = self.kind == "text" or own.get("hidden_act") == _GATED
        products, others = _BYTES[precision.autocast or precision.weights], _BYTES[precision.weights]
        widest = (_INNER_ARRAYS_GATED if gated else _INNER_ARRAYS) * inner * products
        layer = self.tokens * (widest + _ARRAYS * width * others)
        cast = others if others < _BYTES["float32"] else 0
        workspace = _WORKSPACE if device.startswith("cuda") else 0
        return round(layer + self.numbers * (2 * _BYTES["float32"] + cast) + workspace)
