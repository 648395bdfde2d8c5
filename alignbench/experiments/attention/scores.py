"""Where an encoder looks and where it sees what a text names, checked on scenes with known objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.encoders import Encoder
from alignbench.errors import ModelError
from alignbench.experiments.attention.localisation import (
    FIRST,
    Localisation,
    any_object,
    draw_scenes,
    named_objects,
    over_scenes,
)
from alignbench.metrics.localisation import grid_of
from alignbench.rows import unit_rows
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from PIL.Image import Image as PILImage

    from alignbench.experiments.attention.localisation import Scene
    from alignbench.types import ModelInfo
    from alignbench.weights.protocols import Described

AUC = "localisation_auc"
SHOWN = 3  # scenes in the figures
_BOUNDS = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Subject:
    """The images and prompts of the user, for which maps are drawn.

    Args:
        images: the images with their names.
        prompts: the texts to look for in each image.
    """

    images: tuple[tuple[str, PILImage], ...] = ()
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of one encoder over some images.

    Args:
        grid: rows and columns of patches.
        by_method: method -> for each image, one map per prompt [prompts, p].
        attention: [n, p], the model's own attention; None if it has none.
        kind: what attends to the patches: "cls" or "pooling".
    """

    grid: tuple[int, int]
    by_method: Mapping[str, Sequence[NDArray[np.float32]]]
    attention: NDArray[np.float32] | None
    kind: str


def attention(
    encoder: Described,
    loaded: Callable[[], AbstractContextManager[Encoder]],
    *,
    subject: Subject | None = None,
    seed: int = 42,
    draws: int = 999,
) -> tuple[list[Score], dict[str, NDArray[Any]] | None]:
    """Return all localisation scores of one encoder, and the maps for its figures.

    Where there is no map, the score has the status `not_applicable` and the reason; an encoder without any
    maps is not loaded.

    Args:
        encoder: the selected encoder; one that the user registered has no maps.
        loaded: loads the encoder so that it squashes whole images to its input and crops nothing away.
        subject: the user's images and prompts; None stands for the first scenes.
        seed: the seed of the permutations.
        draws: the number of permutations of each null.
    """
    scenes = draw_scenes()
    lacks = what_it_lacks(encoder)
    if len(lacks) == 2:
        return [_missing(encoder.info, what, why, len(scenes), seed) for what, why in lacks.items()], None
    with loaded() as model:
        maps = maps_of(model, [s.image for s in scenes], [s.prompts for s in scenes], lacks)
        shown = panels(model, subject, lacks) if subject and subject.images else scene_panels(maps, scenes)
    n = len(scenes)
    scores = [_missing(encoder.info, what, why, n, seed) for what, why in lacks.items()]
    named = {
        method: named_objects(of_method, scenes, maps.grid, seed, draws)
        for method, of_method in maps.by_method.items()
    }
    variants = dict(named)
    if maps.attention is not None:
        kind = "CLS" if maps.kind == "cls" else maps.kind
        variants[f"{kind} attention, any object"] = any_object(maps.attention, scenes, maps.grid, seed, draws)
    for variant, by_measure in variants.items():
        scores += [_score(encoder.info, name, variant, of, seed, n) for name, of in by_measure.items()]
    if named:
        scores.append(_gain(encoder.info, named["value"][AUC], named["raw"][AUC], seed))
    return scores, {"encoder": np.array(encoder.info.label), **shown}


def what_it_lacks(encoder: Described) -> dict[str, str]:
    """Return which maps an encoder lacks, "texts" or "attention", with the reasons; nothing is loaded."""
    if not isinstance(encoder, Encoder):
        why = f"{encoder.info.label}: arrays and registered objects give no maps, only embeddings"
        return {"texts": why, "attention": why}
    if encoder.family is None:
        encoder.locate()  # only this makes a repository's configuration available
    family, lacks = encoder.known_family(), {}
    if not (family.locates and "text_config" in (encoder.source.config() or {})):
        lacks["texts"] = f"{encoder.info.label}: no text tower, so no text can be looked for"
    try:
        family.check_attention(None, encoder.info.label)
    except ModelError as error:
        lacks["attention"] = str(error)
    return lacks


def maps_of(
    model: Encoder,
    images: Sequence[PILImage],
    prompts: Sequence[Sequence[str]],
    lacks: Mapping[str, str],
) -> Maps:
    """Return an encoder's maps over images.

    Args:
        model: the loaded encoder.
        images: the images; those that are not square are squashed.
        prompts: the prompts of each image.
        lacks: the maps that the encoder lacks, as `what_it_lacks` returns them.
    """
    by_method: dict[str, list[NDArray[np.float32]]] = {}
    attention = None if "attention" in lacks else model.attention(images)
    count = 0 if attention is None else attention.shape[1]
    wanted = list(dict.fromkeys(text for texts in prompts for text in texts))
    if "texts" not in lacks and wanted:
        embedded = dict(zip(wanted, unit_rows(model.text_embed(wanted)), strict=True))
        patches = model.shared_patches(images)
        for method, vectors in patches.items():
            count = vectors.shape[1]
            by_method[method] = [
                np.stack([embedded[text] for text in texts]) @ of_image.T
                for texts, of_image in zip(prompts, vectors, strict=True)
            ]
        by_method["negated"] = [-of_image for of_image in by_method["raw"]]
    kind = str(model.family.attends) if model.family else ""
    return Maps(grid_of(count, model.map_size), by_method, attention, kind)


def scene_panels(maps: Maps, scenes: Sequence[Scene]) -> dict[str, NDArray[Any]]:
    """Return the maps of the first object of the first scenes, for figures."""
    first = scenes[:SHOWN]
    return _panels(
        maps,
        [scene.image for scene in first],
        [scene.prompts[:1] for scene in first],
        [scene.boxes[:1] for scene in first],
    )


def panels(model: Encoder, subject: Subject, lacks: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return the maps of the user's images and prompts, for figures; images are padded to squares."""
    images = [padded(image) for _, image in subject.images]
    prompts = [subject.prompts] * len(images)
    return _panels(maps_of(model, images, prompts, lacks), images, prompts, [[]] * len(images))


def padded(image: PILImage) -> PILImage:
    """Return the image in the middle of a white square, so that squashing it does not distort it."""
    from PIL import Image

    side = max(image.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(image.convert("RGB"), ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _panels(
    maps: Maps,
    images: Sequence[PILImage],
    prompts: Sequence[Sequence[str]],
    boxes: Sequence[Sequence[tuple[float, float, float, float]]],
) -> dict[str, NDArray[Any]]:
    """Return one row per map: its image, prompt, method, values [rows, columns], and box or NaN."""
    rows: list[tuple[int, str, str, NDArray[np.float32], tuple[float, ...]]] = []
    nowhere = (np.nan,) * 4
    for i, texts in enumerate(prompts):
        for method, of_method in maps.by_method.items():
            for j, text in enumerate(texts):
                box = boxes[i][j] if j < len(boxes[i]) else nowhere
                rows.append((i, text, method, of_method[i][j], box))
        if maps.attention is not None:
            rows.append((i, "", f"{maps.kind} attention", maps.attention[i], nowhere))
    small = [np.asarray(image.convert("RGB").resize((224, 224))) for image in images]
    return {
        "images": np.stack(small),
        "image": np.array([row[0] for row in rows]),
        "prompt": np.array([row[1] for row in rows]),
        "method": np.array([row[2] for row in rows]),
        "map": np.stack([row[3].reshape(maps.grid) for row in rows]).astype(np.float32),
        "box": np.array([row[4] for row in rows], dtype=np.float64),
    }


def _common(info: ModelInfo, n: int, seed: int) -> dict[str, Any]:
    from alignbench.datasets.synthetic import HELD_OUT_SEED

    return {
        "experiment": "attention",
        "encoder": info.label,
        "llm": None,
        "dataset": f"shapes-{HELD_OUT_SEED}@{FIRST}",
        "n": n,
        "dims": (),
        "seed": seed,
        "weights": {info.label: info.weights},
        "params": {"preprocessing": {info.label: {**info.params, "fit": "squash"}}},
    }


def _score(info: ModelInfo, metric: str, variant: str, of: Localisation, seed: int, n: int) -> Score:
    interval, deletions = over_scenes(of.by_scene, _BOUNDS)
    return Score(
        metric=metric,
        variant=variant,
        value=of.value,
        chance=of.chance,
        null=of.null,
        interval=interval,
        deletions=deletions,
        **_common(info, n, seed),
    )


def _gain(info: ModelInfo, value: Localisation, raw: Localisation, seed: int) -> Score:
    differences = np.subtract(value.by_scene, raw.by_scene)
    interval, deletions = over_scenes(differences.tolist(), (-1.0, 1.0))
    return Score(
        metric="localisation_gain",
        variant="AUC of value over raw",
        value=float(differences.mean()),
        chance=0.0,
        interval=interval,
        deletions=deletions,
        **_common(info, len(differences), seed),
    )


def _missing(info: ModelInfo, what: str, why: str, n: int, seed: int) -> Score:
    variant = "value" if what == "texts" else "attention, any object"
    return Score(
        metric=AUC,
        variant=variant,
        value=None,
        status="not_applicable",
        reason=why,
        **_common(info, n, seed),
    )
