"""The toolkit's tree: a label file and a folder of images for each type, where the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets.readers.messages import conversation_rows
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.errors import DataError
from alignbench.paths import is_dir, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alignbench.datasets.dataset import DroppedRow
    from alignbench.datasets.row import Draft


def _recognise(place: Place, reading: Reading) -> str | None:
    if place.files:
        return None
    present = present_types(place.folder, reading)
    return f"a label file of type {present[0]}" if present else None


def _read(place: Place, reading: Reading) -> Iterator[Draft | DroppedRow]:
    for name, at in reading.config.data.items():
        labels, images = place.folder / at.labels, place.folder / at.images
        if not is_file(labels) or not (reading.types is None or name in reading.types):
            continue
        if not is_dir(images):
            raise DataError(f"data root {place.folder}: {labels.name} is there, but not its {images}")
        typed = name if reading.type_from is None else ""  # an option asks for other types, or for none
        yield from conversation_rows(labels, reading, (images,), data_type=typed)


def present_types(folder: Path, reading: Reading) -> tuple[str, ...]:
    """Return the types of the configuration that a tree has."""
    return tuple(name for name, at in reading.config.data.items() if is_file(folder / at.labels))


def missing_types(place: Place, reading: Reading) -> tuple[str, ...]:
    """Return a note for each type of the configuration that the tree lacks."""
    return tuple(
        f"no {name}: {place.folder / at.labels} is not there"
        for name, at in reading.config.data.items()
        if not is_file(place.folder / at.labels)
    )


TREE = Reader(
    "tree", "a label file in the `messages` format and a folder of images for each type", _recognise, _read
)
