"""Pairs of drawings in which an object of five parts recurs in another place and size, on another page."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import numpy as np

from alignbench.datasets.dataset import Dataset, Sample
from alignbench.datasets.keypoints import KeypointPair, KeypointPairs
from alignbench.datasets.roots import DRAWN
from alignbench.datasets.synthetic.shapes import SHAPES, SIDE, Shape, ShapeScene
from alignbench.datasets.synthetic.source import draw, png
from alignbench.datasets.synthetic.words import COLOURS, PAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    Look = tuple[str, str]  # of a part: its shape and its colour
    Cell = tuple[int, int]  # of a part: its column and its row in the object

PARTS, CELLS = 5, 3
SIDES = (240.0, 400.0)  # of the object, on a page of 448
_MARGIN = 8.0
_LEAST_RATIO, _LEAST_MOVE = 1.25, 0.1 * SIDE


def recurring_objects(n: int, seed: int) -> KeypointPairs:
    """Return `n` pairs of drawings; the keypoints are the centres of the object's parts.

    The parts lie in five of nine cells and share three shapes and three colours, so that neither a shape nor
    a colour alone tells which part is meant.

    Args:
        n: the number of pairs.
        seed: selects the stream of pairs: the i-th is the same whatever n is.
    """
    samples, pairs = [], []
    for number in range(n):
        rng = random.Random(f"{seed}/recurring/{number}")
        looks, cells = _object(rng)
        shown = []
        for row, place in enumerate(_places(rng)):
            scene = _scene(rng, looks, cells, *place)
            name = f"recurring-{seed}-{number}-{'ab'[row]}"
            image = png(draw("shapes", scene).image)
            samples.append(Sample(name, image, (), "shapes", group=f"pair {number}"))
            shown.append(scene.shapes)
        points, truths = (np.asarray([(part.x, part.y) for part in parts]) for parts in shown)
        images = (2 * number, 2 * number + 1)
        pairs.append(KeypointPair(f"pair {number}", "shapes", images, points, truths, _box_side(shown[1])))
    images_of = Dataset(f"recurring-{seed}", tuple(samples), f"{DRAWN}, recurring objects, seed {seed}")
    return KeypointPairs(images_of, ((SIDE, SIDE),) * len(samples), tuple(pairs))


def _object(rng: random.Random) -> tuple[Sequence[Look], Sequence[Cell]]:
    """Return the looks of the parts, all different, and their cells, which reach all sides of the object."""
    shapes, colours = rng.sample(SHAPES, 3), rng.sample(tuple(COLOURS), 3)
    looks = rng.sample(list(itertools.product(shapes, colours)), PARTS)
    while True:
        cells = rng.sample(list(itertools.product(range(CELLS), range(CELLS))), PARTS)
        if all({0, CELLS - 1} <= set(along) for along in zip(*cells, strict=True)):
            return looks, cells


def _places(rng: random.Random) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return left, top and side of the object in both drawings, which differ in place and in size."""
    while True:
        places = []
        for _ in range(2):
            side = rng.uniform(*SIDES)
            slack = SIDE - side - 2 * _MARGIN
            places.append((_MARGIN + rng.uniform(0, slack), _MARGIN + rng.uniform(0, slack), side))
        source, target = places
        ratio = source[2] / target[2]
        middles = [(left + side / 2, top + side / 2) for left, top, side in places]
        if max(ratio, 1 / ratio) >= _LEAST_RATIO and math.dist(*middles) >= _LEAST_MOVE:
            return source, target


def _scene(
    rng: random.Random, looks: Sequence[Look], cells: Sequence[Cell], left: float, top: float, side: float
) -> ShapeScene:
    cell = side / CELLS
    parts = tuple(
        Shape(shape, colour, 0, left + (column + 0.5) * cell, top + (row + 0.5) * cell, 0.46 * cell)
        for (shape, colour), (column, row) in zip(looks, cells, strict=True)
    )
    return ShapeScene(parts, rng.choice(PAGES))


def _box_side(parts: Sequence[Shape]) -> float:
    """Return the longer side of the box of the parts, each as wide as the circle around it."""
    reach = [max(at) - min(at) for at in ([part.x for part in parts], [part.y for part in parts])]
    return max(reach) + 2 * parts[0].radius
