"""Samples written as a `messages` set with their images: a small set to share, and to cite by its digest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.datasets.dataset import first_wording
from alignbench.datasets.finding import IMAGES
from alignbench.datasets.formats import kind_of
from alignbench.datasets.load import load_mixed
from alignbench.datasets.readers.messages import LABELS
from alignbench.datatypes import ALL
from alignbench.errors import AlignbenchError, DataError
from alignbench.files import make_folder, replacing_folder, write_bytes

if TYPE_CHECKING:
    from alignbench.config import Config
    from alignbench.datasets.dataset import Dataset, Sample

_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
_LONGEST_NAME = 80


def write_messages(dataset: Dataset, folder: Path, *, seed: int, config: Config | None = None) -> None:
    """Write samples as `labels.jsonl` and `images/TYPE/NAME`, and check that they are read as they were.

    The folder appears in one step, when all of it is there. The text that an image is paired with becomes the
    answer, whichever text of the data it was; all rows loaded with the same seed give the same digest.

    Args:
        dataset: the samples.
        folder: where to; it is empty or does not exist.
        seed: the seed by which the samples were drawn.
        config: the configuration; None loads it.

    Raises:
        DataError: the folder is not empty, a sample has no image or no text, or the samples would not be read
            as they are.
        UnwritableError: there is no space, or no permission to write.
    """
    for sample in dataset.samples:
        if sample.image is None or not sample.texts:
            raise DataError(
                f"sample {sample.id!r} has no {'image' if sample.image is None else 'text'}: "
                "a messages set has pairs of an image and a text"
            )
    with replacing_folder(folder) as place:
        names: set[str] = set()
        lines = []
        for sample in dataset.samples:
            content = sample.image_bytes()
            name = _image_name(sample, content, names)
            make_folder((place / IMAGES / name).parent)
            write_bytes(place / IMAGES / name, content)
            lines.append(json.dumps(_record(sample, name, seed), ensure_ascii=False) + "\n")
        write_bytes(place / LABELS, "".join(lines).encode())
        _check_same(dataset, place, seed, config)


def _check_same(dataset: Dataset, place: Path, seed: int, config: Config | None) -> None:
    try:
        back = load_mixed(None, root=place, seed=seed, config=config)
    except AlignbenchError as error:
        raise DataError(f"the written set can't be read: {error}") from error
    if back.dropped:
        raise DataError(f"the written set can't be read: {back.dropped[0].where}: {back.dropped[0].reason}")
    for was, now in zip(dataset.samples, back.samples, strict=False):
        if (was.id, was.data_type, was.texts, was.group) != (now.id, now.data_type, now.texts, now.group):
            raise DataError(
                f"sample {was.id!r} would be read as another one ({now.id!r}): its id or a text has a form "
                "that a messages set can't hold"
            )
    if back.digest != dataset.digest:
        raise DataError("the written set would not be read as it is")


def _record(sample: Sample, name: str, seed: int) -> dict[str, Any]:
    # Loading draws one of the texts as the first one: they are written in the order that leads to ours.
    first = first_wording(sample, seed)
    answer, *wordings = sample.texts[len(sample.texts) - first :] + sample.texts[: len(sample.texts) - first]
    image = {"type": "image", "image": f"{IMAGES}/{name}"}
    content = [{"type": "text", "text": sample.question}, image] if sample.question else [image]
    messages = [_turn("user", content), _said("assistant", answer)]
    for question, reply in sample.exchanges:
        messages += [_said("user", question)] if question else []
        messages.append(_said("assistant", reply))
    return {
        "id": sample.id,
        **({} if sample.data_type == ALL else {"data_type": sample.data_type}),
        "group": sample.group,
        "messages": messages,
        **({"wordings": wordings} if wordings else {}),
    }


def _turn(role: str, content: list[dict[str, str]]) -> dict[str, Any]:
    return {"role": role, "content": content}


def _said(role: str, text: str) -> dict[str, Any]:
    return _turn(role, [{"type": "text", "text": text}])


def _image_name(sample: Sample, content: bytes, taken: set[str]) -> str:
    """Return a name that no other image has, on any file system: TYPE/NAME, of letters, digits, - and _."""
    kind = kind_of(content) or ""
    suffix = _SUFFIXES.get(kind, f".{kind.lower()}")
    folder = "" if sample.data_type == ALL else f"{_plain(sample.data_type) or 'type'}/"
    stem = _plain(re.sub(r"\.\w{2,5}$", "", Path(sample.id.replace("\\", "/")).name)) or "image"
    name, again = f"{folder}{stem}{suffix}", 1
    while name.casefold() in taken:
        again += 1
        name = f"{folder}{stem}-{again}{suffix}"
    taken.add(name.casefold())
    return name


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:_LONGEST_NAME]
