"""The data of the run with real weights: photographs of other packages beside the packaged drawings."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alignbench import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

PHOTOGRAPH: Final = "photograph"
# The package that ships photographs -> the folder in it, and what installs it.
FOLDERS: Final = {"skimage": ("data", "scikit-image"), "sklearn": ("datasets/images", "scikit-learn")}


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph that a package ships.

    Args:
        package: that it lies in.
        name: of its file.
        subject: what it shows, in two or three words.
        caption: the same in a sentence, true of this photograph alone.
    """

    package: str
    name: str
    subject: str
    caption: str

    @property
    def id(self) -> str:
        """What the data calls it."""
        return Path(self.name).stem


PHOTOGRAPHS: Final = tuple(
    Photograph("sklearn" if name in {"china.jpg", "flower.jpg"} else "skimage", name, subject, caption)
    for name, subject, caption in (
        (
            "astronaut.png",
            "An astronaut.",
            "A smiling astronaut in an orange space suit, a flag and a model of a space shuttle behind her.",
        ),
        ("brick.png", "A wall.", "A brick wall seen from below, its rows of bricks running upwards."),
        (
            "camera.png",
            "A cameraman.",
            "A man in a dark coat looks through a film camera on a tripod; behind him a lawn and buildings.",
        ),
        (
            "cell.png",
            "A cell.",
            "A single bright round cell on a dark grey background, seen through a microscope.",
        ),
        (
            "chelsea.png",
            "A cat.",
            "The face of a ginger tabby cat with green eyes and long white whiskers, close up.",
        ),
        (
            "clock_motion.png",
            "A clock.",
            "A pale wall clock blurred by a sideways movement of the camera, on an empty grey wall.",
        ),
        (
            "coffee.png",
            "A cup of coffee.",
            "An espresso in a red cup with a spoon on its saucer, on a wooden table.",
        ),
        (
            "coins.png",
            "Coins.",
            "Twenty-four ancient coins with worn portraits, laid out in four rows on dark cloth.",
        ),
        ("grass.png", "Grass.", "Blades of dense grass, seen straight from above."),
        ("gravel.png", "Gravel.", "Small sharp stones of a gravel path that cover the ground."),
        (
            "hubble_deep_field.jpg",
            "Galaxies.",
            "Hundreds of distant galaxies and a few stars in a black sky, taken by a space telescope.",
        ),
        (
            "ihc.png",
            "Tissue.",
            "Stained tissue of a gland under a microscope, brown cells around blue nuclei.",
        ),
        (
            "microaneurysms.png",
            "Blood vessels.",
            "A tiny dark square out of an eye examination, crossed by thin blood vessels.",
        ),
        (
            "moon.png",
            "The moon.",
            "The grey surface of the moon with a few craters and a dark rough patch below.",
        ),
        (
            "motorcycle_left.png",
            "A motorcycle.",
            "A red motorcycle parked in a cluttered garage, before shelves full of boxes.",
        ),
        (
            "page.png",
            "A printed page.",
            "A printed page about image segmentation, unevenly lit, with a line of code at its foot.",
        ),
        (
            "retina.jpg",
            "A retina.",
            "The back of a human eye, an orange disc with branching red veins and a bright spot on the left.",
        ),
        (
            "rocket.jpg",
            "A rocket.",
            "A white rocket on its launch pad at dusk, lit by floodlights between four lattice towers.",
        ),
        (
            "text.png",
            "Handwriting.",
            "Mathematical formulas written by hand on squared paper, seen at a slant.",
        ),
        (
            "china.jpg",
            "A pagoda.",
            "A Chinese pagoda of several storeys on a wooded hill above a wide hazy lake.",
        ),
        (
            "flower.jpg",
            "A flower.",
            "An orange dahlia in full bloom before dark green leaves.",
        ),
    )
)


def folder_of(package: str, inside: str = "") -> Path | None:
    """Return a folder of an installed package, which is not imported; None where it is not there."""
    found = importlib.util.find_spec(package)
    roots = list(found.submodule_search_locations or []) if found else []
    return next((folder for root in roots if (folder := Path(root) / inside).is_dir()), None)


def installed_folders() -> tuple[dict[str, Path], list[str]]:
    """Return the folders with photographs, by package, and a line a package that is not installed."""
    folders, lines = {}, []
    for package, (inside, install) in FOLDERS.items():
        folder = folder_of(package, inside)
        if folder is None:
            lines.append(f"no photographs of {package}: pip install {install}")
        else:
            folders[package] = folder
    return folders, lines


def write_data(root: Path, folders: Mapping[str, Path]) -> tuple[int, list[str]]:
    """Write a data root: every packaged drawing, and the photographs beside them as one more data type.

    Args:
        root: the folder to make.
        folders: package -> the folder with its photographs.

    Returns:
        How many photographs it holds, and a line a photograph that a package doesn't ship (any more).
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
                f"no photograph {photograph.name} in {photograph.package}: it ships none of that name"
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


def _text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}
