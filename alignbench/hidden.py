"""The vectors inside a model: of an encoder's patches, and of the hidden layers of either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.types import ModelInfo


@dataclass(frozen=True, slots=True)
class Patches:
    """The patch vectors of one encoder over one dataset: `values` is float32 [n, p, d].

    `given` is the number of patches that the encoder gives of an image, if these are averages over a grid.
    """

    model: ModelInfo
    values: NDArray[np.float32]
    ids: tuple[str, ...]
    given: int | None = None

    @property
    def count(self) -> int:
        """The number of patches that the encoder gives of an image."""
        return int(self.values.shape[1]) if self.given is None else self.given

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or len(self.ids) != len(self.values):
            raise InputError(
                f"patches of {self.model.name}: expected [n, p, d] with n = {len(self.ids)} ids, "
                f"got shape {self.values.shape}"
            )


@dataclass(frozen=True, slots=True)
class Layers:
    """Every hidden layer of one model over one dataset, under each of its poolings, before L2.

    `values` is float32 [n, l, q, d], where q counts the `poolings`. Layer 0 is the input embeddings; `first`
    is the number of the first layer that is available: 1 for timm and open_clip, which give no embeddings.
    `output` [n, q, d] is an encoder's final output under the same poolings; an LLM has
    none, because its output is its last layer. d is the width of the widest layer: narrower layers, as in a
    convolutional network, are padded with zeros, which change no inner product. `chosen` is the layers'
    pooling under the model's options; None for the first.
    """

    model: ModelInfo
    values: NDArray[np.float32]
    poolings: tuple[str, ...]
    ids: tuple[str, ...]
    first: int = 0
    output: NDArray[np.float32] | None = None
    chosen: str | None = None

    def __post_init__(self) -> None:
        n, q = len(self.ids), len(self.poolings)
        if self.values.ndim != 4 or len(self.values) != n or self.values.shape[2] != q:
            raise InputError(
                f"layers of {self.model.name}: expected [{n}, l, {q}, d], got shape {self.values.shape}"
            )

    @property
    def pooling(self) -> str:
        """The pooling under which the layers are scored."""
        return self.poolings[0] if self.chosen is None else self.chosen

    def by(self, pooling: str) -> NDArray[np.float32]:
        """Return all layers under one pooling [n, l, d].

        Raises:
            InputError: there is no such pooling.
        """
        if pooling not in self.poolings:
            raise InputError(f"layers of {self.model.name}: no pooling {pooling!r}, only {self.poolings}")
        return self.values[:, :, self.poolings.index(pooling)]

    def at(self, layer: int, pooling: str) -> NDArray[np.float32]:
        """Return one layer under one pooling in its own width [n, d]."""
        return _unfilled(self.by(pooling)[:, layer])

    def end(self, pooling: str) -> NDArray[np.float32] | None:
        """Return an encoder's final output under one pooling in its own width [n, d]; None for an LLM."""
        return None if self.output is None else _unfilled(self.output[:, self.poolings.index(pooling)])


def _unfilled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    used = np.flatnonzero(values.any(axis=0))
    return values[:, : int(used[-1]) + 1] if len(used) else values
