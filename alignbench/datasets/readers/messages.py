"""Conversations in JSON: alignbench's own `messages`, and the `conversations` of LLaVA and ShareGPT4V."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.datasets.conversation import first_image, read_conversation
from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.finding import IMAGES, image_folder
from alignbench.datasets.readers.table import TABLE
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.records import first_record, placed, records
from alignbench.datasets.row import Draft, Row
from alignbench.errors import DataError
from alignbench.paths import is_dir, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS = "labels.jsonl"
SUFFIXES = (".json", ".jsonl")
_LLAVA_TYPES = ("data_type", "type", "source")


def conversation_rows(
    labels: Path, reading: Reading, folders: tuple[Path, ...], *, data_type: str = "", llava: bool = False
) -> Iterator[Draft | DroppedRow]:
    """Yield the rows of a file of conversations.

    Args:
        labels: the file: JSONL, or a JSON array.
        reading: how to read it.
        folders: where images are looked for.
        data_type: the type of all rows; "" takes each row's own.
        llava: whether the first folder of an image's name is not its type.
    """
    place = placed(labels)
    keys = _LLAVA_TYPES if llava else ("data_type",)

    def row(record: tuple[int, Any]) -> Row | DroppedRow:
        where = f"{place}{record[0]}"
        try:
            return _row(where, record[1], folders)
        except DataError as error:
            return DroppedRow(where, str(error))

    for record in records(labels):
        if isinstance(record, DroppedRow):
            yield record
            continue
        try:
            image = first_image(record[1])
            kind = data_type or reading.type_of(record[1], image, keys=keys, folder=not llava)
            yield image, kind, row, record
        except DataError as error:
            yield DroppedRow(f"{place}{record[0]}", str(error))


def _row(where: str, content: Any, folders: tuple[Path, ...]) -> Row:
    said = read_conversation(content)
    wordings = content.get("wordings", [])
    if not isinstance(wordings, list):
        raise DataError("'wordings' is not a list of texts")
    group = content.get("group", "")
    return Row(
        where,
        said.image,
        (said.answer, *wordings),
        said.question,
        said.exchanges,
        group=str(group) if group else "",
        id=content.get("id", ""),
        folders=folders,
    )


def _recognise_messages(place: Place, reading: Reading) -> str | None:
    if place.files:
        return _has_turns(place, "messages")
    labels = place.folder / LABELS
    if not is_file(labels):
        return None
    # A table may have this name, too. Anything else is read as messages, so that each line has its reason.
    is_table = TABLE.recognise(Place(place.folder, (labels,)), reading)
    return None if is_table else f"a {LABELS}"


def _recognise_llava(place: Place, reading: Reading) -> str | None:
    return _has_turns(place, "conversations") or _has_turns(place, "conversation")


def _has_turns(place: Place, key: str) -> str | None:
    if len(place.files) != 1 or place.files[0].suffix.lower() not in SUFFIXES:
        return None
    record = first_record(place.files[0])
    if isinstance(record, dict) and isinstance(record.get(key), list):
        return f"records with {key!r}"
    return None


def _read_messages(place: Place, reading: Reading) -> Iterator[Draft | DroppedRow]:
    if not place.files:  # the folder of alignbench's own layout
        if not is_dir(image_folder(place.folder)) and reading.image_root is None:
            raise DataError(
                f"data root {place.folder}: {LABELS} is there, but no folder {IMAGES}/ beside it; "
                "--align-image-root says where the images are"
            )
        return conversation_rows(place.folder / LABELS, reading, reading.folders(place.folder))
    return conversation_rows(place.files[0], reading, reading.folders(place.folder))


def _read_llava(place: Place, reading: Reading) -> Iterator[Draft | DroppedRow]:
    return conversation_rows(place.files[0], reading, reading.folders(place.folder), llava=True)


MESSAGES = Reader(
    "messages",
    "JSONL (or a JSON array) with `messages`: alignbench's own, OpenAI, LLaMA-Factory, TRL, axolotl",
    _recognise_messages,
    _read_messages,
)
LLAVA = Reader(
    "llava",
    "a JSON array (or JSONL) with `conversations`: LLaVA, ShareGPT4V, LLaVA-Pretrain",
    _recognise_llava,
    _read_llava,
)
