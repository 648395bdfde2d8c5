"""Scenes in which the place of each named object is known, and how well maps find these objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.experiments.scoring import drawn_null
from alignbench.metrics.localisation import (
    Edges,
    box_coverage,
    localisation_auc,
    overlap_iou,
    overlap_of_chance,
    pointing_game,
    union_coverage,
)
from alignbench.stats import jackknife_interval, rng_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from alignbench.types import Interval, Null

    Maps = NDArray[np.float32]

N_SCENES = 64
FIRST = 1000  # earlier scenes served to choose the wording of the prompts
SIDE = 224
MEASURES: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "localisation_auc": localisation_auc,
    "pointing_game": pointing_game,
    "overlap_iou": overlap_iou,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """An image of several objects.

    Args:
        image: a square image.
        prompts: the sentence that names each object.
        boxes: the place of each object: left, top, right and bottom as shares of the image.
    """

    image: Image.Image
    prompts: tuple[str, ...]
    boxes: tuple[Edges, ...]


@dataclass(frozen=True, slots=True)
class Localisation:
    """One measure of the maps of all scenes.

    Args:
        by_scene: for each scene, the mean of the measure over its objects.
        chance: what a guesser gets.
        null: the measure when maps and boxes are exchanged.
    """

    by_scene: tuple[float, ...]
    chance: float
    null: Null

    @property
    def value(self) -> float:
        """The mean over scenes."""
        return float(np.mean(self.by_scene))


def draw_scenes(n: int = N_SCENES, first: int = FIRST) -> tuple[Scene, ...]:
    """Return `n` held-out scenes of two to four shapes, each with its own colour.

    The packaged encoders were trained on other scenes of this kind, with texts that name each shape with its
    colour, size and place; no training told them which pixels a text means.
    """
    from alignbench.datasets.synthetic import HELD_OUT_SEED, Synthetic

    drawings = Synthetic(HELD_OUT_SEED, types=("shapes",), size=SIDE)
    scenes: list[Scene] = []
    index = first
    while len(scenes) < n:
        drawing = drawings.drawing("shapes", index)
        index += 1
        if len(drawing.boxes) < 2:
            continue
        width, height = drawing.image.size
        scenes.append(
            Scene(
                drawing.image,
                tuple(prompt_of(box.name) for box in drawing.boxes),
                tuple(
                    (b.left / width, b.top / height, b.right / width, b.bottom / height)
                    for b in drawing.boxes
                ),
            )
        )
    return tuple(scenes)


def prompt_of(name: str) -> str:
    """Return the sentence that names an object: "An orange circle."."""
    from alignbench.datasets.synthetic.words import a, sentence

    return f"{sentence(a(name))}."


def named_objects(
    maps: Sequence[Maps], scenes: Sequence[Scene], grid: tuple[int, int], seed: int, draws: int
) -> dict[str, Localisation]:
    """Return measure -> how well maps find the objects that they are for.

    The null exchanges the prompts among the objects of each scene: it is what any prompt finds.

    Args:
        maps: for each scene, one map per object [objects, p].
        scenes: the scenes.
        grid: rows and columns of patches.
        seed: the seed of the permutations.
        draws: the number of permutations.
    """
    inside = [np.stack([box_coverage(box, grid) for box in scene.boxes]) for scene in scenes]
    results = {}
    for name, measure in MEASURES.items():
        tables = [
            np.stack([measure(each, boxes) for each in of_scene])
            for of_scene, boxes in zip(maps, inside, strict=True)
        ]
        rng = rng_for(seed, "prompts", name)
        drawn = np.mean([_exchanged(table, rng, draws) for table in tables], axis=0)
        by_scene = [float(np.diag(table).mean()) for table in tables]
        kind, mean = "prompts permuted within each image, exact mean", np.mean([t.mean() for t in tables])
        null = drawn_null(kind, float(np.mean(by_scene)), drawn, float(mean))
        chance = float(np.mean([_chance(name, boxes) for boxes in inside]))
        results[name] = Localisation(tuple(by_scene), chance, null)
    return results


def any_object(
    maps: Maps, scenes: Sequence[Scene], grid: tuple[int, int], seed: int, draws: int
) -> dict[str, Localisation]:
    """Return measure -> how well maps without a prompt find any object.

    The null exchanges the maps among the scenes: it shows what objects tend to have in common, such as that
    they are not at the border.

    Args:
        maps: one map per scene [n, p].
        scenes: the scenes.
        grid: rows and columns of patches.
        seed: the seed of the permutations.
        draws: the number of permutations.
    """
    inside = np.stack([union_coverage(scene.boxes, grid) for scene in scenes])
    results = {}
    for name, measure in MEASURES.items():
        table = np.stack([measure(each, inside) for each in maps])
        drawn = _exchanged(table, rng_for(seed, "maps", name), draws)
        by_scene = [float(v) for v in np.diag(table)]
        kind = "maps permuted among images, exact mean"
        null = drawn_null(kind, float(np.mean(by_scene)), drawn, float(table.mean()))
        results[name] = Localisation(tuple(by_scene), _chance(name, inside), null)
    return results


def over_scenes(values: Sequence[float], bounds: tuple[float, float]) -> tuple[Interval, tuple[float, ...]]:
    """Return the interval of a mean over scenes, and the means without each of the scenes."""
    numbers = np.asarray(values, dtype=np.float64)
    deletions = (numbers.sum() - numbers) / (len(numbers) - 1)
    interval = jackknife_interval(
        float(numbers.mean()), deletions, bounds=bounds, method="jackknife over images"
    )
    return interval, tuple(float(v) for v in deletions)


def _exchanged(table: NDArray[np.float64], rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Return the mean of table[i, π(i)] for `draws` permutations π."""
    rows = np.arange(len(table))
    means: NDArray[np.float64] = table[rows, rng.permuted(np.tile(rows, (draws, 1)), axis=1)].mean(axis=1)
    return means


def _chance(measure: str, inside: NDArray[np.float64]) -> float:
    if measure == "localisation_auc":
        return 0.5
    return float(inside.mean() if measure == "pointing_game" else overlap_of_chance(inside).mean())
