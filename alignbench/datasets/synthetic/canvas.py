"""A page to draw on in its own units: the same calls make a thumbnail and a print."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageDraw, ImageFont

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.datasets.synthetic.words import RGB

# Faces beside pillow's own: matplotlib, which the figures need anyway, brings them.
FACES = {"serif": "DejaVuSerif.ttf", "mono": "DejaVuSansMono.ttf"}
Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """Where an object is: its name, the name of its colour, and its edges in pixels of the image."""

    name: str
    colour: str
    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, factor: float) -> Box:
        """Return the box of the same object in an image `factor` times as large."""
        edges = (edge * factor for edge in (self.left, self.top, self.right, self.bottom))
        return Box(self.name, self.colour, *edges)


@dataclass(frozen=True, slots=True)
class Drawing:
    """An RGB image, and the boxes of the objects drawn in it."""

    image: Image.Image
    boxes: tuple[Box, ...]


@lru_cache(maxsize=128)
def font(size: float, face: str = "") -> ImageFont.FreeTypeFont:
    """Return pillow's built-in scalable font at `size` pixels, or one of `FACES`."""
    if not face:
        return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    return ImageFont.truetype(_font_folder() / FACES[face], size)


@lru_cache(maxsize=1)
def _font_folder() -> Path:
    """Return where matplotlib has its fonts, without importing it."""
    found = importlib.util.find_spec("matplotlib")
    places = list(found.submodule_search_locations or ()) if found else []
    folder = Path(places[0]) / "mpl-data" / "fonts" / "ttf" if places else Path()
    if not (folder / FACES["serif"]).is_file():
        raise DataError(f"fonts of other drawings: expected {FACES['serif']} with matplotlib; reinstall it")
    return folder


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, face: str = "") -> float:
    """Return the width of `text` in page units, measured at a size large enough to be free of hinting."""
    return font(64, face).getlength(text) * size / 64


def wrap(text: str, size: float, width: float, face: str = "") -> list[str]:
    """Return `text` as lines that fit into `width`."""
    lines: list[str] = []
    space = text_width(" ", size, face)
    room = 0.0
    for word in text.split():
        needed = text_width(word, size, face)
        if lines and needed + space <= room:
            lines[-1] += " " + word
            room -= needed + space
        else:
            lines.append(word)
            room = width - needed
    return lines


class Canvas:
    """Draws in page units; a unit is `scale` pixels. `face` is the font: "" or one of `FACES`."""

    face = ""

    def __init__(self, size: tuple[int, int], fill: RGB, scale: float) -> None:
        self.width, self.height = size
        self.scale = scale
        self.image = Image.new("RGB", (round(size[0] * scale), round(size[1] * scale)), fill)
        self._draw = ImageDraw.Draw(self.image)

    def rectangle(
        self, box: Rectangle, fill: RGB | None = None, outline: RGB | None = None, width: float = 1
    ) -> None:
        """Draw a rectangle."""
        self._draw.rectangle(self._edges(box), fill, outline, self._pixels(width))

    def ellipse(
        self, box: Rectangle, fill: RGB | None = None, outline: RGB | None = None, width: float = 1
    ) -> None:
        """Draw the ellipse inside `box`."""
        self._draw.ellipse(self._edges(box), fill, outline, self._pixels(width))

    def slice(self, box: Rectangle, start: float, end: float, fill: RGB, outline: RGB) -> None:
        """Draw the slice from `start` to `end` degrees, clockwise from three o'clock."""
        self._draw.pieslice(self._edges(box), start, end, fill, outline, self._pixels(1.5))

    def line(self, points: Sequence[Point], fill: RGB, width: float = 1) -> None:
        """Draw connected lines."""
        self._draw.line([self._point(p) for p in points], fill, self._pixels(width), joint="curve")

    def polygon(self, points: Sequence[Point], fill: RGB) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([self._point(p) for p in points], fill)

    def text(
        self, at: Point, text: str, size: float, fill: RGB, anchor: str = "la", bold: bool = False
    ) -> None:
        """Write `text`; `anchor` is pillow's (first letter horizontal, second vertical)."""
        stroke = size * self.scale / 40 if bold else 0
        self._draw.text(
            self._point(at),
            text,
            fill,
            font(size * self.scale, self.face),
            anchor,
            stroke_width=stroke,
            stroke_fill=fill,
        )

    def upward_text(self, at: Point, text: str, size: float, fill: RGB) -> None:
        """Write `text` from bottom to top, centred on `at`."""
        pixels = size * self.scale
        mask = Image.new("L", (round(text_width(text, pixels, self.face)) + 4, round(pixels * 1.3)))
        ImageDraw.Draw(mask).text((2, 0), text, 255, font(pixels, self.face))
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        x, y = self._point(at)
        self.image.paste(fill, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)

    def _point(self, point: Point) -> Point:
        return point[0] * self.scale, point[1] * self.scale

    def _edges(self, box: Rectangle) -> Rectangle:
        left, top, right, bottom = (edge * self.scale for edge in box)
        # pillow's last pixel is inside the box
        return left, top, max(left, right - 1), max(top, bottom - 1)

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self.scale))
