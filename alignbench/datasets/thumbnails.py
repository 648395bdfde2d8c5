"""What a sample looks like in a report: a small picture and the beginning of its text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets.images import open_image
from alignbench.errors import AlignbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from alignbench.datasets.dataset import Sample

SIDE = 112
QUALITY = 60
TEXT_LENGTH = 280


def thumbnails(samples: Iterable[Sample], side: int = SIDE) -> dict[str, NDArray[Any]]:
    """Return what a report shows of samples, as arrays of an artifact.

    Args:
        samples: in any order; a sample without an image, or whose image can't be opened, has no picture.
        side: the longer side of a picture, in pixels.

    Returns:
        ids, labels and texts (str [m]); pictures (uint8), WebP or JPEG files one after the other, and ends
        (int [m]): picture i is `pictures[ends[i - 1]:ends[i]]`, empty where there is none.
    """
    chosen = tuple(samples)
    pictures = [_picture(sample, side) for sample in chosen]
    return {
        "ids": np.array([sample.id for sample in chosen], dtype=np.str_),
        "labels": np.array([sample.data_type for sample in chosen], dtype=np.str_),
        "texts": np.array([_beginning(sample) for sample in chosen], dtype=np.str_),
        "pictures": np.frombuffer(b"".join(pictures), dtype=np.uint8),
        "ends": np.cumsum([len(picture) for picture in pictures], dtype=np.int64),
    }


def _beginning(sample: Sample) -> str:
    text = sample.texts[0] if sample.texts else ""
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"


def _picture(sample: Sample, side: int) -> bytes:
    from PIL import features

    if sample.image is None:
        return b""
    try:
        image = open_image(sample.image)
    except AlignbenchError:  # it was embedded from the cache, and its file is gone by now
        return b""
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP" if features.check("webp") else "JPEG", quality=QUALITY)
    return buffer.getvalue()
