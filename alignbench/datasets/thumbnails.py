"""How a report shows a sample: a small picture and the beginning of its text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from PIL.Image import Image

    from alignbench.datasets.dataset import Sample

SIDE = 112
QUALITY = 60
TEXT_LENGTH = 280


def thumbnails(
    samples: Iterable[Sample], side: int = SIDE
) -> tuple[dict[str, NDArray[Any]], list[DataError]]:
    """Return how a report shows samples, as arrays of an artifact, and why pictures are missing.

    Args:
        samples: in any order; a sample has no picture if it has no image, or if its image is gone or has
            changed since the data was read (its embedding may have come from the cache).
        side: the longer side of a picture, in pixels.

    Returns:
        ids, labels and texts (str [m]); pictures (uint8), WebP or JPEG files one after the other, and ends
        (int [m]): picture i is `pictures[ends[i - 1]:ends[i]]`, empty if there is none. The second value has
        an error for every image that could not be opened.
    """
    chosen = tuple(samples)
    pictures: list[bytes] = []
    missing = []
    for sample in chosen:
        try:
            pictures.append(b"" if sample.image is None else _small(sample.open_image(), side))
        except DataError as error:
            pictures.append(b"")
            missing.append(error)
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.array([sample.id for sample in chosen], dtype=np.str_),
        "labels": np.array([sample.data_type for sample in chosen], dtype=np.str_),
        "texts": np.array([_beginning(sample) for sample in chosen], dtype=np.str_),
        "pictures": np.frombuffer(b"".join(pictures), dtype=np.uint8),
        "ends": np.cumsum([len(picture) for picture in pictures], dtype=np.int64),
    }
    return arrays, missing


def _beginning(sample: Sample) -> str:
    text = sample.texts[0] if sample.texts else ""
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"


def _small(image: Image, side: int) -> bytes:
    from PIL import features

    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP" if features.check("webp") else "JPEG", quality=QUALITY)
    return buffer.getvalue()
