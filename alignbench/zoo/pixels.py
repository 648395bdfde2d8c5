"""Image processors of the built-in models, and the same normalisation for batches of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor

from alignbench.zoo.recipes import IMAGE_SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from alignbench.weights.processors import ImageProcessor


def image_processor(objective: str, side: int = IMAGE_SIZE) -> ImageProcessor:
    """Return the family's image processor, set to squash to `side` x `side`.

    The families' own centre crop would cut off the edges of a chart, and with them its labels.
    """
    size = {"height": side, "width": side}
    made: Any
    if objective == "sigmoid":
        made = SiglipImageProcessor(size=size)
    elif objective == "softmax":
        made = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    else:
        made = BitImageProcessor(
            size=size, crop_size=size, do_center_crop=False, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD
        )
    processor: ImageProcessor = made
    return processor


def normalised(pixels: NDArray[np.uint8], processor: ImageProcessor) -> torch.Tensor:
    """Return uint8 `pixels` [b, h, w, 3] as the processor hands them to the model: float [b, 3, h, w]."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (
        torch.tensor(value).view(1, 3, 1, 1) for value in (processor.image_mean, processor.image_std)
    )
    return (scaled - mean) / std


IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
