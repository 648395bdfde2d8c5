"""COCO's captions, and Karpathy's split of them: one JSON object with images and their texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.records import head, read_object
from alignbench.datasets.row import Row
from alignbench.errors import DataError
from alignbench.paths import is_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class _Captions:
    """What the annotations say.

    Args:
        of: image id -> captions.
        shared: the ids that images with different names have, so that their captions could be anybody's.
        dropped: the annotations that can't be used.
    """

    of: dict[Any, list[str]] = field(default_factory=dict)
    shared: set[Any] = field(default_factory=set)
    dropped: list[DroppedRow] = field(default_factory=list)


def _recognise(place: Place, reading: Reading) -> str | None:
    if len(place.files) != 1 or place.files[0].suffix.lower() != ".json":
        return None
    if not head(place.files[0], 64).startswith("{"):
        return None
    try:
        content = read_object(place.files[0])
    except DataError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return None
    annotations = content.get("annotations")
    if isinstance(annotations, list):
        # Boxes and key points lie in files of the same form beside the captions.
        captions = not annotations or any(isinstance(one, dict) and "caption" in one for one in annotations)
        return "`images`, and `annotations` with captions" if captions else None
    first = next(iter(content["images"]), None)
    return "`images` with `sentences`" if isinstance(first, dict) and "sentences" in first else None


def _read(place: Place, reading: Reading) -> Iterator[Row | DroppedRow]:
    file = place.files[0]
    content = read_object(file)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DataError(f"{file.name}: expected an object with a list of 'images'")
    captions = _captions(file, content)
    folders = _folders(place.folder, content, reading)
    for number, image in enumerate(content["images"], 1):
        where = f"{file.name}: image {number}"
        try:
            yield _row(where, image, captions, reading, folders)
        except DataError as error:
            yield DroppedRow(where, str(error))
    yield from captions.dropped


def _row(
    where: str,
    image: Any,
    captions: _Captions,
    reading: Reading,
    folders: tuple[Path, ...],
) -> Row:
    if not isinstance(image, dict):
        raise DataError("an image is not an object")
    name = _name(image)
    if name is None:
        raise DataError("it has neither a 'file_name' nor a 'filename'")
    texts: list[Any]
    if "sentences" in image:
        if not isinstance(image["sentences"], list):
            raise DataError("its 'sentences' are not a list")
        texts = [one.get("raw") for one in image["sentences"] if isinstance(one, dict)]
    elif not _hashable(image):
        raise DataError("its 'id' is neither a number nor a text")
    elif image.get("id") in captions.shared:
        raise DataError(
            f"its id {image['id']!r} is that of another image, too: whose captions are meant is not known"
        )
    else:
        texts = captions.of.get(image.get("id"), [])
    if not texts:
        raise DataError("no annotation with a caption is about it")
    own = image.get("id", image.get("imgid", image.get("cocoid", "")))
    return Row(where, name, tuple(texts), data_type=reading.type_of(image, name), id=own, folders=folders)


def _name(image: dict[str, Any]) -> str | None:
    """Return the name of an image with its folder; None if it has none."""
    name = image.get("file_name", image.get("filename"))
    if not isinstance(name, str):
        return None
    folder = image.get("filepath")
    return f"{folder}/{name}" if isinstance(folder, str) and folder else name


def _captions(file: Path, content: dict[str, Any]) -> _Captions:
    captions = _Captions()
    names: dict[Any, str | None] = {}
    for image in content["images"]:
        if not isinstance(image, dict) or not _hashable(image) or image.get("id") is None:
            continue
        if names.setdefault(image["id"], _name(image)) != _name(image):
            captions.shared.add(image["id"])
    annotations = content.get("annotations", [])
    if not isinstance(annotations, list):
        raise DataError(f"{file.name}: its 'annotations' are not a list")
    for number, annotation in enumerate(annotations, 1):
        if not isinstance(annotation, dict) or not _hashable(annotation, "image_id"):
            reason = "an annotation is not an object"
        elif not isinstance(annotation.get("caption"), str):
            reason = "no 'caption'"
        elif annotation.get("image_id") not in names:
            reason = f"no image has the id {annotation.get('image_id')!r}"
        else:
            captions.of.setdefault(annotation["image_id"], []).append(annotation["caption"])
            continue
        captions.dropped.append(DroppedRow(f"{file.name}: annotation {number}", reason))
    return captions


def _hashable(content: dict[str, Any], key: str = "id") -> bool:
    return not isinstance(content.get(key), dict | list)


def _folders(folder: Path, content: dict[str, Any], reading: Reading) -> tuple[Path, ...]:
    """Return where the images are looked for: COCO keeps its label files in a folder beside the images'."""
    root = folder.parent if folder.name == "annotations" else folder
    beside = (
        sorted(path for path in root.iterdir() if is_dir(path) and path != folder) if is_dir(root) else []
    )
    return tuple(dict.fromkeys((*reading.folders(folder), root, *beside)))


COCO = Reader(
    "coco",
    "one JSON object with `images` and `annotations` (COCO captions), or Karpathy's",
    _recognise,
    _read,
)
