"""Pairs of images with keypoints in SPair-71k's layout: PairAnnotation/SPLIT/*.json, JPEGImages/CATEGORY/."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from alignbench.datasets.dataset import Dataset, Sample
from alignbench.datasets.keypoints import KeypointPair, KeypointPairs
from alignbench.datasets.records import read_object
from alignbench.errors import DataError
from alignbench.paths import is_dir, is_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

T = TypeVar("T")

ANNOTATIONS, IMAGES = "PairAnnotation", "JPEGImages"
SPLITS = ("test", "val", "trn")  # the first that is there is taken


def split_folder(folder: Path) -> Path:
    """Return the folder of a split: the folder itself, or `test`, else `val`, else `trn` below it.

    Raises:
        DataError: there is no such folder.
    """
    if folder.parent.name == ANNOTATIONS and is_dir(folder):
        return folder
    for split in SPLITS:
        if is_dir(found := folder / ANNOTATIONS / split):
            return found
    raise DataError(
        f"{folder}: expected SPair-71k's layout: {ANNOTATIONS}/test (or val, trn) and {IMAGES}; or name the "
        f"folder of one split, such as {ANNOTATIONS}/val"
    )


def read_spair(folder: Path, most: int | None, seed: int) -> KeypointPairs:
    """Return pairs of a split, of each category at most as many.

    Args:
        folder: the root of the data, or the folder of one split in it.
        most: how many pairs of each category are drawn; None for all.
        seed: of the draw, which does not depend on the other categories.

    Raises:
        DataError: the layout is another one, or a file can't be used; it says which and why.
    """
    split = split_folder(folder)
    root = split.parents[1]
    by_category: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for file in sorted(split.glob("*.json")):
        content, where = read_object(file), str(file)
        if not isinstance(content, dict):
            raise DataError(f"{where}: expected an object")
        by_category[_name(content, "category", where)].append((where, content))
    rows: dict[str, int] = {}
    sizes: list[tuple[int, int]] = []
    samples: list[Sample] = []
    pairs = []
    for category, annotated in by_category.items():
        for where, content in _drawn(annotated, most, seed, category):
            shown = []
            for side in ("src", "trg"):
                name = f"{category}/{_name(content, f'{side}_imname', where)}"
                if name not in rows:
                    samples.append(_sample(root, category, name, where))
                    sizes.append(samples[-1].open_image().size)
                row = rows.setdefault(name, len(rows))
                _check_size(content, side, sizes[row], where)
                shown.append((row, _numbers(content, f"{side}_kps", 2, where)))
            (source, points), (target, truths) = shown
            left, top, right, bottom = _numbers(content, "trg_bndbox", 4, where)[0]
            longer = float(max(right - left, bottom - top))
            pairs.append(KeypointPair(where, category, (source, target), points, truths, longer))
    dataset = Dataset(f"spair-{split.name}", tuple(samples), f"{split} (SPair-71k's layout)")
    return KeypointPairs(dataset, tuple(sizes), tuple(pairs))


def _drawn(annotated: list[T], most: int | None, seed: int, category: str) -> list[T]:
    if most is None or len(annotated) <= most:
        return annotated
    places = random.Random(f"{seed}/spair/{category}").sample(range(len(annotated)), most)
    return [annotated[place] for place in sorted(places)]


def _sample(root: Path, category: str, name: str, where: str) -> Sample:
    if not is_file(image := root / IMAGES / name):
        raise DataError(f"{where}: there is no image {IMAGES}/{name}")
    return Sample(name, image, (), category, group=name)


def _name(content: dict[str, Any], key: str, where: str) -> str:
    """Return the name of a file or folder, which leads nowhere else."""
    value = content.get(key)
    if not isinstance(value, str) or value in {"", ".", ".."} or set(value) & set("/\\\0"):
        raise DataError(f"{where}: {key}: expected a name, got {value!r}")
    return value


def _numbers(content: dict[str, Any], key: str, width: int, where: str) -> NDArray[np.float64]:
    """Return rows of numbers; a single row may stand without a list around it."""
    try:
        values = np.asarray(content.get(key), dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    values = values[None] if values.ndim == 1 and len(values) == width else values
    if values.ndim != 2 or values.shape[1] != width or not np.isfinite(values).all():
        raise DataError(f"{where}: {key}: expected rows of {width} numbers, got {content.get(key)!r}")
    return values


def _check_size(content: dict[str, Any], side: str, size: tuple[int, int], where: str) -> None:
    """Refuse an image that is not as large as it was when its keypoints were marked."""
    marked = content.get(f"{side}_imsize")
    if isinstance(marked, list) and tuple(marked[:2]) != size:
        raise DataError(
            f"{where}: {side}_imsize: its keypoints are for {marked[0]} x {marked[1]} pixels, but the image "
            f"has {size[0]} x {size[1]}"
        )
