"""What the decoders need from the networks that transformers builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from alignbench.weights.protocols import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor
    from torch.nn import Embedding


class TextNetwork(Network, Protocol):
    """A text decoder, with its head or without."""

    config: Any

    @property
    def device(self) -> torch.device:
        """The device of its input."""

    def get_input_embeddings(self) -> Embedding:
        """Return the vectors of the tokens."""

    def __call__(self, **inputs: Any) -> Any:
        """Return the states, and the logits if there is a head."""


class CausalNetwork(TextNetwork, Protocol):
    """A text decoder with its head."""

    generation_config: Any

    def generate(self, **inputs: Any) -> Tensor:
        """Return the token ids of its continuation."""

    def modules(self) -> Iterator[Any]:
        """Return all parts."""

    def requires_grad_(self, requires_grad: bool, /) -> CausalNetwork:
        """Set whether its weights are trained, and return it."""
