"""A folder of images: with a text file beside each, with a folder for each class, or both."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
    from collections.abc import Callable, Iterator

_SIDECARS = (".txt", ".caption")


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image, or a text file without one.

    Args:
        name: its name below the folder.
        texts: the names of the text files beside the image.
        twins: other images beside it that have the same text files.
    """

    name: str
    texts: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    is_image: bool = True


def _recognise(place: Place, reading: Reading) -> str | None:
    if place.files:
        return None
    image = next((entry for entry in _entries(place.folder) if entry.is_image), None)
    return None if image is None else f"images, such as {image.name}"


def _read(place: Place, reading: Reading) -> Iterator[Row | DroppedRow]:
    orphans, used = [], False
    errors: list[OSError] = []
    for entry in _entries(place.folder, errors.append):
        if not entry.is_image:
            orphans.append(entry.name)
            continue
        used |= bool(entry.texts)
        try:
            if entry.texts and entry.twins:
                raise DataError(f"{entry.texts[0]} could be its text or that of {entry.twins[0]}; rename one")
            kind = reading.type_of({}, entry.name, folder=True)
            texts = tuple(line for name in entry.texts for line in _lines(place.folder, name))
        except DataError as error:
            yield DroppedRow(entry.name, str(error))
            continue
        yield Row(entry.name, entry.name, texts, data_type=kind, folders=(place.folder,))
    for name in orphans if used else ():
        yield DroppedRow(name, "no image of this name is beside it")
    for unread in errors:
        yield DroppedRow(str(unread.filename), f"the folder can't be read ({unread.strerror})")


def _entries(folder: Path, report: Callable[[OSError], object] | None = None) -> Iterator[_Entry]:
    """Yield the images below a folder and the text files without one, in order, apart from hidden files.

    Args:
        folder: the folder.
        report: is called for each folder that can't be read.
    """
    if not is_dir(folder):
        return
    for place, folders, files in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(folder)
        images: dict[str, list[str]] = {}
        texts: dict[str, list[str]] = {}
        for name in sorted(files):
            path = below / name
            suffix = path.suffix.lower()
            if not name.startswith(".") and (suffix in SUFFIXES or suffix in _SIDECARS):
                by_stem = images if suffix in SUFFIXES else texts
                by_stem.setdefault(path.stem, []).append(path.as_posix())
        for stem, names in images.items():
            for name in names:
                twins = tuple(other for other in names if other != name)
                yield _Entry(name, tuple(sorted(texts.get(stem, ()), key=_rank)), twins)
        for stem, names in texts.items():
            if stem not in images:
                yield from (_Entry(name, is_image=False) for name in names)


def _rank(name: str) -> int:
    return _SIDECARS.index(Path(name).suffix.lower())


def _lines(folder: Path, name: str) -> list[str]:
    """Return the lines of a text file beside an image: each line is a wording."""
    try:
        content = read_regular(folder / name, MAX_LINE_BYTES, root=folder)
    except (OSError, UnfitFileError) as error:
        raise DataError(f"{name} can't be read: {error}") from error
    try:
        return [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: byte 0x{content[error.start]:02x}") from error


IMAGEFOLDER = Reader(
    "imagefolder",
    "a folder of images with .txt files beside them, or with a folder for each class",
    _recognise,
    _read,
    fallback=True,
)
