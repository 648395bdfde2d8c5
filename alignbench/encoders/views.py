"""From an image to what a VLM's processor makes of it: one view or several, and what describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from alignbench.encoders.pixels import of_processor
from alignbench.encoders.preprocess import fit_image, image_processor
from alignbench.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from torch import Tensor

    from alignbench.encoders.pixels import Pixels
    from alignbench.weights.parts import Vlm


# The inputs that have an entry for each view, and the number of axes of an entry.
_IN_VIEWS = {"pixel_values": 3, "pixel_attention_mask": 2}


@dataclass(frozen=True, slots=True)
class Views:
    """The input of one pass.

    Args:
        inputs: pixels, and what the model needs to place them, by the names of its arguments.
        images: how many images they are of; several only if each is one view.
    """

    inputs: dict[str, Tensor]
    images: int = 1

    @property
    def pixels(self) -> Tensor:
        """The pixels of all views."""
        return self.inputs["pixel_values"]

    @property
    def is_single(self) -> bool:
        """Whether the input is the pixels of one view and nothing else."""
        return set(self.inputs) == {"pixel_values"} and self.pixels.ndim == 4 and len(self.pixels) == 1


class PrepareViews:
    """Turns an image into the inputs of a VLM's `get_image_features`, with the VLM's own image processor.

    Args:
        folder: the folder of the processor's file.
        vlm: the kind of VLM.
        size: the height and width of one view; None if the image itself decides.
        fit: "native" leaves everything to the processor; "pad" and "squash" bring the image to the size
            of one view first.
        whole: whether only the view that shows the whole image is kept.
    """

    def __init__(
        self, folder: Path, vlm: Vlm, size: tuple[int, int] | None, fit: str, *, whole: bool
    ) -> None:
        if size is None and fit != "native":
            raise ModelError(
                f"{vlm.name} models read an image in its own shape: nothing is cut off or squashed, and "
                f"there is no size to {fit} it to; leave out --align-fit"
            )
        self.processor = image_processor(folder)
        self.size = size or (0, 0)
        self._vlm, self._fit, self._whole = vlm, fit, whole

    @property
    def pixels(self) -> Pixels | None:
        """How an image becomes pixels; None if that depends on the shape of the image."""
        if self._vlm.inputs != ("pixel_values",):
            return None
        return of_processor(json.loads(self.processor.to_json_string()), self._fit)

    def __call__(self, image: Image.Image) -> Views:
        """Return what the processor makes of an image: pixels, and what the model needs to place them."""
        fitted = fit_image(image.convert("RGB"), self._fit, self.size)
        made = self.processor(images=fitted, return_tensors="pt")
        inputs = {name: torch.as_tensor(made[name]) for name in self._vlm.inputs if name in made}
        # Llama 4's processor gives bfloat16.
        inputs["pixel_values"] = inputs["pixel_values"].float()
        if self._whole and "image_grid_thw" not in inputs:
            return Views({name: self._whole_view(name, inputs[name]) for name in _IN_VIEWS if name in inputs})
        return Views(inputs)

    def _whole_view(self, name: str, views: Tensor) -> Tensor:
        """Return the pixels, or their mask, of the view of the whole image, as a batch of one."""
        return views.flatten(0, -1 - _IN_VIEWS[name])[self._vlm.whole].unsqueeze(0)


def size_of_view(config: Any) -> tuple[int, int] | None:
    """Return the height and width of a tower's input; None if it takes images of any size."""
    size = getattr(config, "image_size", None)
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) and len(size) == 2 else None
