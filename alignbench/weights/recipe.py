"""What a registered name stands for, and where its weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.paths import is_dir, is_file, user_path
from alignbench.weights.files import PREPROCESSING
from alignbench.weights.parts import part_source
from alignbench.weights.source import FolderSource, HubSource
from alignbench.weights.spec import looks_like_path, split_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.types import Weights
    from alignbench.weights.source import Source


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model of this package by name.

    Args:
        family: the family, if it is known without reading the files.
        weights: the kind of weights.
        source: creates the place of its files; None for the one that the configuration names.
        stand_in: the built-in toy model of the same family.
    """

    family: str
    weights: Weights = "pretrained"
    source: Callable[[], Source] | None = None
    stand_in: str | None = None


def embedded(name: str, family: str) -> CatalogEntry:
    """Return the entry of a built-in toy model."""
    return CatalogEntry(family, "embedded", lambda: embedded_source(name))


def embedded_source(name: str) -> FolderSource:
    """Return the place of a built-in toy model, in the clone or in the wheel."""

    def find() -> Path:
        from alignbench import paths

        return paths.models_dir() / name

    return FolderSource(find, name, hint=f"make it with `python -m alignbench.zoo train {name}`")


def plain_source(
    target: str,
    *,
    name: str,
    noun: str,
    stand_in: str | None = None,
    allow_pickle: bool = False,
    needs: tuple[str, ...] = PREPROCESSING,
) -> Source:
    """Return the source of a configured name: a folder if it looks like one, else a repository of the Hub.

    `#part` at the end names a part of a VLM.

    Raises:
        ConfigError: there is no such part, or it is of the other side.
    """
    whole, part = split_part(target, noun)
    return part_source(_whole_source(whole, name, stand_in, allow_pickle, needs), part)


def _whole_source(
    target: str, name: str, stand_in: str | None, allow_pickle: bool, needs: tuple[str, ...]
) -> Source:
    text = target.removeprefix("hf:")
    if text == target and (target.startswith((".", "/", "~")) or is_dir(user_path(target, name))):
        return folder_source(target, allow_pickle=allow_pickle)
    repository, _, at = text.partition("@")
    return HubSource(repository, at or None, name, stand_in, allow_pickle, needs=needs)


def folder_source(target: str, *, allow_pickle: bool = False) -> FolderSource:
    """Return the source of a folder that a user named.

    Raises:
        WeightsMissingError: it does not exist.
    """
    folder = user_path(target, "a model folder")
    if is_file(folder) and not target.endswith(".npy"):
        raise WeightsMissingError(
            f"{target} is a file, and a folder is expected; `alignbench convert {target} --arch timm:NAME "
            "--to DIR` makes one of the weights of a model of timm"
        )
    if not is_dir(folder):
        hub = (
            f"; for the Hub, write hf:{target}" if looks_like_path(target) and target.count("/") == 1 else ""
        )
        arrays = f"; for arrays, write npy:{target}" if target.endswith(".npy") else ""
        raise WeightsMissingError(f"there is no model folder {target}{arrays or hub}")
    return FolderSource(folder.resolve(), str(folder), allow_pickle=allow_pickle)


def at_hand(source: Source, wanted: tuple[str, ...] | None = None) -> bool:
    """Whether a model can run without a download; this never uses the network."""
    try:
        return source.local(wanted) is not None
    except WeightsMissingError:
        return False
    except ModelError:
        # It exists but is unusable: loading it says why, while a stand-in would hide the problem.
        return True
