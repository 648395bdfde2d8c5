"""Geometric shapes: scenes of one to four, and single shapes that are their own category."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas
from alignbench.datasets.synthetic.kind import Description, Kind
from alignbench.datasets.synthetic.words import COLOURS, PAGES, a, count, listing, sentence

if TYPE_CHECKING:
    import random

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
SIDE = 448
CELL = SIDE / 2
PLACES = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: `place` indexes `PLACES`, `x` and `y` its centre; `radius` reaches its farthest point."""

    name: str
    colour: str
    place: int
    x: float
    y: float
    radius: float

    @property
    def size_word(self) -> str:
        """Its size in words."""
        return "small" if self.radius < 60 else "large"

    @property
    def phrase(self) -> str:
        """Size, colour and name."""
        return f"{self.size_word} {self.colour} {self.name}"


@dataclass(frozen=True, slots=True)
class ShapeScene:
    """Shapes that don't overlap: each stays in its own quarter of the page."""

    shapes: tuple[Shape, ...]
    background: str
    size: tuple[int, int] = (SIDE, SIDE)


def imagine_scene(rng: random.Random, most: int = 4, only: str | None = None) -> ShapeScene:
    """Return a scene of up to `most` shapes of different looks; `only` restricts it to one shape."""
    n = rng.randint(1, most)
    colours = rng.sample(tuple(COLOURS), n)
    places = sorted(rng.sample(range(len(PLACES)), n))
    shapes = []
    for colour, place in zip(colours, places, strict=True):
        radius = rng.choice((rng.uniform(36, 52), rng.uniform(70, 96)))
        slack = CELL / 2 - radius - 8
        x = CELL * (place % 2 + 0.5) + rng.uniform(-slack, slack)
        y = CELL * (place // 2 + 0.5) + rng.uniform(-slack, slack)
        name = only or rng.choice(SHAPES)
        shapes.append(Shape(name, colour, place, round(x, 1), round(y, 1), round(radius, 1)))
    return ShapeScene(tuple(shapes), rng.choice(PAGES))


def paint_scene(scene: ShapeScene, canvas: Canvas) -> list[Box]:
    """Draw `scene`; return the boxes of the shapes."""
    boxes = []
    for shape in scene.shapes:
        outline = _outline(shape)
        if shape.name == "circle":
            edges = (
                shape.x - shape.radius,
                shape.y - shape.radius,
                shape.x + shape.radius,
                shape.y + shape.radius,
            )
            canvas.ellipse(edges, COLOURS[shape.colour])
        else:
            canvas.polygon(outline, COLOURS[shape.colour])
            xs, ys = [x for x, _ in outline], [y for _, y in outline]
            edges = (min(xs), min(ys), max(xs), max(ys))
        boxes.append(Box(f"{shape.colour} {shape.name}", shape.colour, *edges))
    return boxes


def _outline(shape: Shape) -> list[tuple[float, float]]:
    """Return the corners in x and y, from angles and distances from the centre."""
    if shape.name == "cross":
        steps = ((1, 0.33), (0.33, 0.33), (0.33, 1), (-0.33, 1), (-0.33, 0.33), (-1, 0.33))
        corners = [*steps, *((-x, -y) for x, y in steps)]
        return [(shape.x + 0.9 * shape.radius * x, shape.y + 0.9 * shape.radius * y) for x, y in corners]
    corners_of = {"square": 4, "diamond": 4, "triangle": 3, "star": 10, "circle": 48}
    n = corners_of[shape.name]
    turn = math.pi / 4 if shape.name == "square" else -math.pi / 2
    points = []
    for i in range(n):
        reach = shape.radius * (0.42 if shape.name == "star" and i % 2 else 1.0)
        narrow = 0.62 if shape.name == "diamond" else 1.0
        angle = turn + 2 * math.pi * i / n
        points.append((shape.x + narrow * reach * math.cos(angle), shape.y + reach * math.sin(angle)))
    return points


def describe_scene(scene: ShapeScene) -> Description:
    """Describe `scene` in three wordings."""
    shapes = scene.shapes
    subject = "shapes are" if len(shapes) > 1 else "shape is"
    placed = listing([f"{a(s.phrase)} at the {PLACES[s.place]}" for s in shapes])
    by_place = listing([f"{PLACES[s.place]}, {a(s.phrase)}" for s in shapes])
    bracketed = listing([f"{a(s.phrase)} ({PLACES[s.place]})" for s in shapes])
    wordings = (
        f"{sentence(placed)} on a {scene.background} page.",
        f"On a {scene.background} background, {count(len(shapes), 'shape')}: {by_place}.",
        f"The {subject} {bracketed}; the page is {scene.background}.",
    )
    largest = max(shapes, key=lambda shape: shape.radius)
    exchanges = (
        ("What type of image is this?", "A drawing of shapes."),
        ("What kind of shape is the largest?", f"{sentence(a(largest.name))}."),
        ("How many shapes are there?", f"{len(shapes)}."),
        ("What colours are there?", f"{sentence(listing([s.colour for s in shapes]))}."),
        ("What colour is the background?", f"{sentence(scene.background)}."),
    )
    return Description(largest.name, "What shapes are there?", wordings, exchanges)


SCENES: dict[str, Kind[ShapeScene]] = {
    "shapes": Kind(imagine_scene, paint_scene, describe_scene),
    **{name: Kind(partial(imagine_scene, most=1, only=name), paint_scene, describe_scene) for name in SHAPES},
}
