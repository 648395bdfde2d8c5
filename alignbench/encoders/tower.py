"""A loaded vision model behind one interface: from pixels to tokens and pooled outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from alignbench.errors import LayersMissingError, ModelError
from alignbench.memory import is_out_of_memory
from alignbench.weights.loading import computing
from alignbench.weights.transfer import sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from alignbench.encoders.pixels import Pixels
    from alignbench.weights.precision import Precision
    from alignbench.weights.protocols import Network


@dataclass(frozen=True, slots=True)
class Features:
    """The result of one pass.

    Args:
        tokens: [b, t, d], special tokens (CLS, registers) first, then the patches row by row.
        cls: the CLS token as the model outputs it [b, d]; None if there is none.
        pooler: the output of the model's own pooling [b, d]; None if there is none.
        projected: the output in the space shared with the texts or the LLM [b, d']; None if there is none.
        projected_tokens: [b, p, d'], if patches have a projection of their own.
        mask: [b, t], which of the tokens belong to an image; None if all do.
    """

    tokens: Tensor
    cls: Tensor | None = None
    pooler: Tensor | None = None
    projected: Tensor | None = None
    projected_tokens: Tensor | None = None
    mask: Tensor | None = None


class ToPixels(Protocol):
    """Turns an image into pixels, and describes how."""

    size: tuple[int, int]
    """Height and width of the pixels."""

    @property
    def pixels(self) -> Pixels | None:
        """The description of how; None if it can't be given in a line."""
        ...

    def __call__(self, image: Image.Image) -> Any:
        """Return the pixels of an image, float32 [3, h, w], or what else its tower's `run_pixels` takes."""
        ...


class Tower(ABC):
    """A vision model with its preprocessing.

    Args:
        prepare: a function from image to pixels [3, h, w]; several threads may call it.
        special: the number of tokens in front of the patches.
    """

    has_text = False
    model: Network
    # The poolings of its family that this model lacks.
    lacks: tuple[str, ...] = ()

    def __init__(self, prepare: ToPixels, special: int) -> None:
        self.prepare = prepare
        self.special = special

    @abstractmethod
    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the features of `pixels` [b, 3, h, w] at a hidden layer, or the final ones (None)."""

    def texts(self, texts: list[str]) -> Tensor:
        """Return texts in the shared space, [b, d]."""
        raise NotImplementedError

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens [b, t, d] of the embeddings and each layer, and the final output, in one pass."""
        raise LayersMissingError(f"{type(self).__name__} gives no hidden layers")

    def pooled_layers(self, pixels: Tensor, poolings: Sequence[str]) -> Tensor:
        """Return every hidden layer and the output, pooled by "mean" and "cls": [b, l + 1, poolings, d].

        Layers with different widths, as in a convolutional network, are padded with zeros to the widest,
        which changes no length, angle, distance or inner product.

        Raises:
            LayersMissingError: the model returns no layers.
        """
        states, end = self.hidden_states(pixels)
        found = [*(Features(state, cls=state[:, 0], mask=end.mask) for state in states), end]
        by_layer = [torch.stack([self.pooled(one, of).float() for of in poolings], dim=1) for one in found]
        widest = max(layer.shape[-1] for layer in by_layer)
        filled = [torch.nn.functional.pad(layer, (0, widest - layer.shape[-1])) for layer in by_layer]
        return torch.stack(filled, dim=1)

    def rehearse(self, layer: int | None) -> str:
        """Pass an image without numbers through the model; return why it has no hidden layers, or "".

        Args:
            layer: the requested hidden layer, or None.

        Raises:
            ModelError: there is no such layer.
        """
        with torch.inference_mode():
            pixels = torch.empty(1, 3, *self.prepare.size)
            self.features(pixels, layer)
            try:
                self.hidden_states(pixels)
            except LayersMissingError as error:
                return str(error)
        return ""

    def attention(self, pixels: Tensor) -> Tensor:
        """Return the model's own attention to its patches, [b, p]: of CLS, or of its pooling head."""
        raise NotImplementedError

    def shared_patches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the patches in the space of the texts, [b, p, d], by each method that there is."""
        raise NotImplementedError

    def check_text(self, where: str) -> None:
        """Raise unless there is a text tower.

        Raises:
            ModelError: the family has none.
        """
        if not self.has_text:
            raise ModelError(
                f"{where}: this family has no text tower, so there is no space shared with texts"
            )

    def stacked(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the pixels of several images as one tensor [b, 3, h, w]."""
        return torch.stack(list(batch))

    def staged(self, batch: Sequence[Any], device: str) -> Sequence[Any] | Tensor:
        """Return a batch as `run_pixels` takes it with the least delay: as one tensor on the device.

        Another thread than the one that computes may call it. If there is no room, the batch stays as it is,
        and its pass runs out of memory, which can be mended there.
        """
        try:
            return sent(self.stacked(batch), device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return batch

    def run_pixels(
        self,
        batch: Sequence[Tensor] | Tensor,
        device: str,
        precision: Precision,
        outputs: Callable[[Tensor], Mapping[str, Tensor]],
    ) -> dict[str, NDArray[np.float32]]:
        """Return `outputs` of the batch's pixels [b, 3, h, w] as float32."""
        with computing(precision, device):
            pixels = (batch if isinstance(batch, torch.Tensor) else self.stacked(batch)).to(device)
            if precision.autocast is None:
                pixels = pixels.to(getattr(torch, precision.weights))
            return {name: as_array(values) for name, values in outputs(pixels).items()}

    def run_texts(self, texts: list[str], device: str, precision: Precision) -> NDArray[np.float32]:
        """Return texts in the shared space as float32 [b, d]."""
        with computing(precision, device):
            return as_array(self.texts(texts))

    def pooled(self, features: Features, pooling: str) -> Tensor:
        """Return one vector per image, [b, d]."""
        if pooling == "mean":
            tokens = features.tokens[:, self.special :].float()
            if features.mask is None:
                return tokens.mean(dim=1)
            there = features.mask[:, self.special :, None].float()
            return (tokens * there).sum(dim=1) / there.sum(dim=1)
        chosen = {"cls": features.cls, "pooler": features.pooler, "projected": features.projected}[pooling]
        if chosen is None:
            raise ModelError(f"this model has no {pooling!r} output; use pooling 'mean'")
        return chosen

    def patches(self, features: Features, pooling: str) -> Tensor:
        """Return one vector per patch, [b, p, d]."""
        if pooling == "projected" and features.projected_tokens is not None:
            return features.projected_tokens
        return features.tokens[:, self.special :]


def as_array(values: Tensor) -> NDArray[np.float32]:
    """Return a tensor as a float32 array on the CPU."""
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
