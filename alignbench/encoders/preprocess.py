"""From an image to pixels: by the model's own processor, or without its crop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from PIL import Image

from alignbench.encoders.pixels import of_processor
from alignbench.weights.guard import guarded
from alignbench.weights.loading import quiet, transformers_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from alignbench.encoders.pixels import Pixels
    from alignbench.weights.processors import ImageProcessor

_WHITE = (255, 255, 255)


class Prepare:
    """Turns an image into pixels [3, h, w] with a transformers image processor.

    Args:
        processor: the model's own.
        fit: "native" lets the processor resize and crop; "pad" and "squash" bring the image to the model's
            size first, so that nothing is cut off, and leave only scaling and normalising to the processor.
    """

    def __init__(self, processor: ImageProcessor, fit: str) -> None:
        self.processor = processor
        self.fit = fit
        self.size = target_size(processor)

    @property
    def pixels(self) -> Pixels | None:
        """How an image becomes pixels."""
        return of_processor(json.loads(self.processor.to_json_string()), self.fit)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the pixels of `image`, float32."""
        fitted = fit_image(image.convert("RGB"), self.fit, self.size)
        as_is = {} if self.fit == "native" else {"do_resize": False, "do_center_crop": False}
        pixels: Tensor = self.processor(images=fitted, return_tensors="pt", **as_is)["pixel_values"][0]
        return pixels


class TransformPrepare:
    """Turns an image into pixels [3, h, w] with a torchvision transform (open_clip, timm).

    Args:
        transform: the model's own transform: it resizes, crops and normalises.
        fit: see `Prepare`.
        pixels: the description of the result.
    """

    def __init__(self, transform: Callable[[Image.Image], Tensor], fit: str, pixels: Pixels) -> None:
        self.transform = transform
        self.fit = fit
        self.pixels = pixels
        self.size = pixels.size

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the pixels of `image`, float32."""
        from torchvision.transforms import functional

        image = image.convert("RGB")
        if self.fit == "native":
            return self.transform(image)
        fitted = fit_image(image, self.fit, self.size)
        pixels: Tensor = functional.normalize(
            functional.to_tensor(fitted), list(self.pixels.mean), list(self.pixels.std)
        )
        return pixels


def load_prepare(folder: Path, fit: str) -> Prepare:
    """Return the preprocessing that a folder's preprocessor_config.json describes.

    Raises:
        ModelError: there is none, or transformers does not know it.
    """
    processor = image_processor(folder)
    with guarded(str(folder), "no usable preprocessor_config.json", "save the processor, too"):
        return Prepare(processor, fit)


def image_processor(folder: Path) -> ImageProcessor:
    """Return transformers' processor of images that a folder describes.

    Raises:
        ModelError: there is none, or transformers does not know it.
    """
    with quiet(), guarded(str(folder), "no usable preprocessor_config.json", "save the processor, too"):
        processor: ImageProcessor = transformers_class("AutoImageProcessor").from_pretrained(
            folder, backend="torchvision", local_files_only=True, trust_remote_code=False
        )
    return processor


def fit_image(image: Image.Image, fit: str, size: tuple[int, int]) -> Image.Image:
    """Return the image in `size` (height, width), padded with white or squashed; "native" leaves it alone."""
    if fit == "native":
        return image
    height, width = size
    if fit == "squash":
        return image.resize((width, height), Image.Resampling.BICUBIC)
    scale = min(width / image.width, height / image.height)
    inner = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (width, height), _WHITE)
    canvas.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return canvas


def target_size(processor: ImageProcessor) -> tuple[int, int]:
    """Return the (height, width) of a processor's pixels."""
    crops = getattr(processor, "do_center_crop", False)
    size: Mapping[str, int] = getattr(processor, "crop_size", {}) if crops else processor.size
    edge = size.get("shortest_edge") or size["height"]
    return int(size.get("height") or edge), int(size.get("width") or edge)
