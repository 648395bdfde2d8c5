"""Where the data is: the order in which roots are tried, and the two layouts that a root can have."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alignbench.errors import DataError
from alignbench.paths import exists, is_dir, is_file, user_path

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.config import Config

LABELS = "labels.jsonl"
IMAGES = "images"
VARIABLE = "VLM_DATA_ROOT"
# Without the folder: the data is the same wherever the package is, and reports are shared.
PACKAGED = "the packaged samples"
DRAWN = "drawn by alignbench.datasets.synthetic"


@dataclass(frozen=True, slots=True)
class LabelSource:
    """A label file and the folder that its images are named under.

    Args:
        data_type: the type of all its rows, or None where each image's first folder names it.
    """

    labels: Path
    images: Path
    data_type: str | None


@dataclass(frozen=True, slots=True)
class Root:
    """A data root with a valid layout.

    Args:
        path: the folder.
        origin: the folder and the rule that selected it, to be shown to the user.
        sources: its label files: one for all types, or one per type.
        notes: which configured types it lacks.
    """

    path: Path
    origin: str
    sources: tuple[LabelSource, ...]
    notes: tuple[str, ...] = ()


def find_root(root: str | Path | None = None, config: Config | None = None) -> Root:
    """Return the data root: the argument, else `VLM_DATA_ROOT`, else the configuration's, else the samples.

    The first of these that is set is used or refused; a wrong one never falls through to the next.

    Raises:
        DataError: the root does not exist, or has neither layout.
    """
    from alignbench.config import load_config

    config = load_config() if config is None else config
    variable = os.environ.get(VARIABLE)
    if root is not None:
        return _layout(user_path(root, "the data root"), "as asked for", config)
    if variable:
        return _layout(user_path(variable, VARIABLE), VARIABLE, config)
    if config.data_root is not None:
        return _layout(config.data_root, "data_root of the configuration", config)
    return sample_root(config)


def sample_root(config: Config) -> Root:
    """Return the root of the samples: the configuration's, else the packaged ones."""
    from alignbench.paths import sample_data

    if config.sample_dir is not None:
        return _layout(config.sample_dir, "data.sample_dir of the configuration", config)
    return replace(_layout(sample_data(), "packaged", config), origin=PACKAGED)


def is_toy_data(origin: str) -> bool:
    """Return whether data of this origin are drawings that alignbench ships or makes."""
    return origin.startswith((PACKAGED, DRAWN))


def _layout(path: Path, rule: str, config: Config) -> Root:
    origin = f"{path} ({rule})"
    if not is_dir(path):
        raise DataError(f"data root {origin}: {'not a folder' if exists(path) else 'no such folder'}")
    if is_file(path / LABELS):
        if not is_dir(path / IMAGES):
            raise DataError(f"data root {origin}: {LABELS} is there, but no folder {IMAGES}/ beside it")
        return Root(path, origin, (LabelSource(path / LABELS, path / IMAGES, None),))
    tree = {name: LabelSource(path / at.labels, path / at.images, name) for name, at in config.data.items()}
    present = tuple(source for source in tree.values() if is_file(source.labels))
    if not present:
        expected = next(iter(config.data.values())).labels if config.data else "a configured tree"
        raise DataError(
            f"data root {origin}: expected {LABELS} with {IMAGES}/, or a label file of the "
            f"configuration's 'data' (such as {expected}); found neither"
        )
    for source in present:
        if not is_dir(source.images):
            raise DataError(f"data root {origin}: {source.labels.name} is there, but not its {source.images}")
    missing = tuple(f"no {name}: {s.labels} is not there" for name, s in tree.items() if s not in present)
    return Root(path, origin, present, missing)
