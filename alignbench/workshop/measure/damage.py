"""What happens to damaged images: one bit of a file is flipped, and the file is opened as in a run.

A flip is refused, harmless (no pixel changes), or unseen: the image is used although pixels are wrong.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets import open_image
from alignbench.datasets.synthetic import HELD_OUT_SEED, TYPES, Synthetic
from alignbench.errors import DataError
from alignbench.workshop.measure._embed_inputs import photo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from PIL import Image

FORMATS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("PNG", {}),
    "JPEG": ("JPEG", {"quality": 85}),
    "JPEG, progressive": ("JPEG", {"quality": 85, "progressive": True}),
    "WebP": ("WEBP", {"quality": 80}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "BMP": ("BMP", {}),
    "GIF": ("GIF", {}),
    "TIFF": ("TIFF", {}),
    "TIFF, Deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "AVIF": ("AVIF", {"quality": 75}),
}
SIDE = 448  # the side of an image, in pixels
LARGE = 8  # of 255: a pixel that differs by more in any channel is wrong
MUCH = 0.1  # of the pixels


@dataclass(frozen=True, slots=True)
class FlipCounts:
    """How the flips of a format ended.

    Args:
        files: the number of files, each with one flipped bit.
        refused: how many were refused.
        harmless: how many opened with unchanged pixels.
        unseen: how many opened with other pixels.
        much: how many of the unseen have more than a tenth of their pixels wrong.
    """

    files: int
    refused: int
    harmless: int
    unseen: int
    much: int


def pictures(n: int) -> Iterator[Image.Image]:
    """Yield n images: a drawing and a picture as detailed as a photo, in turns."""
    source = Synthetic(HELD_OUT_SEED, size=SIDE)
    for i in range(n):
        if i % 2:
            yield source.drawing(TYPES[i // 2 % len(TYPES)], i).image.convert("RGB")
        else:
            yield photo(i, (SIDE, SIDE * 2 // 3))


def flipped(content: bytes, bit: int) -> bytes:
    """Return a file with one bit flipped."""
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def damage(name: str, images: int, flips: int, seed: int = 0) -> FlipCounts:
    """Return the counts for `images` files of a format, each opened `flips` times with one bit flipped."""
    rng = np.random.default_rng(seed)
    kind, how = FORMATS[name]
    refused = harmless = unseen = much = 0
    for image in pictures(images):
        stream = io.BytesIO()
        image.save(stream, kind, **how)
        content = stream.getvalue()
        whole = np.asarray(open_image(content))
        for bit in rng.integers(0, 8 * len(content), flips).tolist():
            try:
                wrong = _share_wrong(whole, np.asarray(open_image(flipped(content, bit))))
            except DataError:
                refused += 1
                continue
            harmless += wrong is None
            unseen += wrong is not None
            much += wrong is not None and wrong > MUCH
    return FlipCounts(images * flips, refused, harmless, unseen, much)


def _share_wrong(whole: NDArray[np.uint8], opened: NDArray[np.uint8]) -> float | None:
    """Return the share of wrong pixels; None if the two images are equal."""
    if whole.shape != opened.shape:
        return 1.0
    if np.array_equal(whole, opened):
        return None
    return float((np.abs(whole.astype(int) - opened).max(axis=2) > LARGE).mean())


def main(argv: list[str]) -> int:
    """Print the table of outcomes by format; the status is 1 if a damaged PNG was used."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure damage", description=__doc__)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--flips", type=int, default=25)
    options = parser.parse_args(argv)
    print("| format | files | refused | no pixel changes | used with other pixels | more than 10% wrong |")
    print("|---|---|---|---|---|---|")
    counts = {name: damage(name, options.images, options.flips) for name in FORMATS}
    for name, count in counts.items():
        print(f"| {name} | {' | '.join(map(str, astuple(count)))} |")
    return int(counts["PNG"].unseen > 0)
