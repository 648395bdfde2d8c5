"""A folder of images: with a text file beside each, with a folder for each class, or both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.formats import SUFFIXES
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.records import MAX_LINE_BYTES
from alignbench.datasets.row import Row
from alignbench.errors import DataError
from alignbench.files import UnfitFileError, read_regular
from alignbench.paths import is_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIDECARS = (".txt", ".caption")


def _recognise(place: Place, reading: Reading) -> str | None:
    if place.files:
        return None
    name = next(_image_names(place.folder), None)
    return None if name is None else f"images, such as {name}"


def _read(place: Place, reading: Reading) -> Iterator[Row | DroppedRow]:
    for name in _image_names(place.folder):
        try:
            kind = reading.type_of({}, name, folder=True)
            texts = _sidecars(place.folder, name)
        except DataError as error:
            yield DroppedRow(name, str(error))
            continue
        yield Row(name, name, texts, data_type=kind, folders=(place.folder,))


def _image_names(folder: Path) -> Iterator[str]:
    """Yield the names of all images below a folder, in order, apart from hidden ones."""
    if not is_dir(folder):
        return
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _sidecars(folder: Path, name: str) -> tuple[str, ...]:
    """Return the lines of the text files beside an image: each line is a wording."""
    texts: list[str] = []
    for suffix in _SIDECARS:
        path = (folder / name).with_suffix(suffix)
        try:
            content = read_regular(path, MAX_LINE_BYTES, root=folder)
        except FileNotFoundError:
            continue
        except (OSError, UnfitFileError) as error:
            raise DataError(f"{path.name} can't be read: {error}") from error
        try:
            texts += [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name} is not UTF-8: byte 0x{content[error.start]:02x}") from error
    return tuple(texts)


IMAGEFOLDER = Reader(
    "imagefolder",
    "a folder of images with .txt files beside them, or with a folder for each class",
    _recognise,
    _read,
    fallback=True,
)
