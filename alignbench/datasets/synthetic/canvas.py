"""A page to draw on in its own units, so that the same calls make a thumbnail and a print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from alignbench.datasets.synthetic.lettering import font, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.datasets.synthetic.words import RGB

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


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, face: str = "") -> float:
    """Return the width of `text` in page units, measured at a size large enough for hinting not to matter."""
    return sum(font(64, own).getlength(piece) for own, piece in pieces(text, face)) * size / 64


def wrap(text: str, size: float, width: float, face: str = "") -> list[str]:
    """Return `text` split into lines that fit into `width`."""
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


def _write(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    pixels: float,
    fill: RGB | int,
    face: str,
    anchor: str = "la",
    stroke: float = 0,
) -> None:
    """Write `text`, each character in the first font that has it, all on one baseline."""
    parts = pieces(text, face)
    if len(parts) < 2:
        own = parts[0][0] if parts else face
        draw.text(at, text, fill, font(pixels, own), anchor, stroke_width=stroke, stroke_fill=fill)
        return
    widths = [font(pixels, own).getlength(piece) for own, piece in parts]
    ascent, descent = font(pixels, face).getmetrics()
    x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * sum(widths)
    y = at[1] + {"a": float(ascent), "m": (ascent - descent) / 2, "s": 0.0}[anchor[1]]
    for (own, piece), width in zip(parts, widths, strict=True):
        draw.text((x, y), piece, fill, font(pixels, own), "ls", stroke_width=stroke, stroke_fill=fill)
        x += width


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
        _write(self._draw, self._point(at), text, size * self.scale, fill, self.face, anchor, stroke)

    def upward_text(self, at: Point, text: str, size: float, fill: RGB) -> None:
        """Write `text` from bottom to top, centred on `at`."""
        pixels = size * self.scale
        mask = Image.new("L", (round(text_width(text, pixels, self.face)) + 4, round(pixels * 1.3)))
        _write(ImageDraw.Draw(mask), (2, 0), text, pixels, 255, self.face)
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        x, y = self._point(at)
        self.image.paste(fill, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)

    def smoothed(self, smooth: int) -> Image.Image:
        """Return the image reduced by the factor `smooth`: each pixel is the mean of `smooth` by `smooth`."""
        if smooth == 1:
            return self.image
        scale = self.scale / smooth
        shape = (round(self.width * scale), round(self.height * scale))
        return self.image.resize(shape, Image.Resampling.BOX)

    def _point(self, point: Point) -> Point:
        return point[0] * self.scale, point[1] * self.scale

    def _edges(self, box: Rectangle) -> Rectangle:
        left, top, right, bottom = (edge * self.scale for edge in box)
        # pillow's last pixel is inside the box
        return left, top, max(left, right - 1), max(top, bottom - 1)

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self.scale))
