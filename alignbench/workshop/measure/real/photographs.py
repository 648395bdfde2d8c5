"""The data of the run with real weights: photographs from packages, in addition to the packaged drawings."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from alignbench import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

PHOTOGRAPH: Final = "photograph"
# The package with photographs -> the folder in it, and what to install.
FOLDERS: Final = {"skimage": ("data", "scikit-image"), "sklearn": ("datasets/images", "scikit-learn")}


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph in a package.

    Args:
        package: the package that contains it.
        name: the name of its file.
        subject: what it shows, in two or three words.
        caption: the same in a sentence that is true of this photograph alone.
    """

    package: str
    name: str
    subject: str
    caption: str

    @property
    def id(self) -> str:
        """Its name in the data."""
        return Path(self.name).stem


PHOTOGRAPHS: Final = tuple(
    Photograph(**entry)
    for entry in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
)


def folder_of(package: str, inside: str = "") -> Path | None:
    """Return a folder of an installed package, without importing it; None if it does not exist."""
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or []) if spec else []
    return next((folder for root in roots if (folder := Path(root) / inside).is_dir()), None)


def installed_folders() -> tuple[dict[str, Path], list[str]]:
    """Return the folders with photographs by package, and one line for each package that is missing."""
    folders, lines = {}, []
    for package, (inside, install) in FOLDERS.items():
        folder = folder_of(package, inside)
        if folder is None:
            lines.append(f"no photographs of {package}: pip install {install}")
        else:
            folders[package] = folder
    return folders, lines


def write_data(root: Path, folders: Mapping[str, Path]) -> tuple[int, list[str]]:
    """Write a data root: every packaged drawing, and the photographs as one more data type.

    Args:
        root: the folder to create.
        folders: package -> the folder with its photographs.

    Returns:
        The number of photographs, and one line for each that its package doesn't contain (any more).
    """
    drawings = paths.sample_data()
    shutil.copytree(drawings / "images", root / "images")
    (root / "images" / PHOTOGRAPH).mkdir()
    lines = (drawings / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    written, missing = 0, []
    for photograph in PHOTOGRAPHS:
        if photograph.package not in folders:
            continue
        file = folders[photograph.package] / photograph.name
        if not file.is_file():
            missing.append(
                f"no photograph {photograph.name} in {photograph.package}: this version does not ship it"
            )
            continue
        shutil.copy(file, root / "images" / PHOTOGRAPH / photograph.name)
        lines.append(json.dumps(_line(photograph), ensure_ascii=False))
        written += 1
    (root / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return written, missing


def _line(photograph: Photograph) -> dict[str, Any]:
    image = {"type": "image", "image": f"{PHOTOGRAPH}/{photograph.name}"}
    return {
        "id": photograph.id,
        "messages": [
            {"role": "user", "content": [_text("What does this photograph show?"), image]},
            {"role": "assistant", "content": [_text(photograph.caption)]},
            {"role": "user", "content": [_text("What is the subject of the photograph?")]},
            {"role": "assistant", "content": [_text(photograph.subject)]},
        ],
    }


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
