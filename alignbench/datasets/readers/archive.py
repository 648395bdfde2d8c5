"""WebDataset: tar files in which the files of a sample share a name: a.jpg, a.txt, a.json, a.cls.

The archives are read by Python's own tarfile, which never writes a member to the disk and never opens
anything but the archive. (The package webdataset also opens `pipe:` and URLs.)
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from alignbench.datasets.columns import choose_columns
from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.finding import check_name
from alignbench.datasets.formats import SUFFIXES
from alignbench.datasets.images import Packed
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.records import MAX_LINE_BYTES, parse
from alignbench.datasets.row import Row
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE_SUFFIXES = frozenset(suffix[1:] for suffix in SUFFIXES)
_TEXTS = ("txt", "text", "caption")
# What tarfile raises on hostile headers; it follows a header that is about the next one by recursion.
_DAMAGED = (tarfile.TarError, OSError, EOFError, ValueError, LookupError, OverflowError, RecursionError)
_KNOWN = frozenset({*IMAGE_SUFFIXES, *_TEXTS, "json", "cls"})

_Parts: TypeAlias = "dict[str, Packed | bytes | DataError]"


def _recognise(place: Place, reading: Reading) -> str | None:
    if not place.files or any(file.suffix.lower() != ".tar" for file in place.files):
        return None
    return "files that end in .tar"


def _read(place: Place, reading: Reading) -> Iterator[Row | DroppedRow]:
    for file in place.files:
        yield from _archive_rows(file, reading)


def _archive_rows(file: Path, reading: Reading) -> Iterator[Row | DroppedRow]:
    """Yield a row for each run of members with the same name up to its first dot."""
    key = ""
    parts: _Parts = {}
    alone = _Alone()
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined] # it keeps all that it has read
                if member.size < 0:  # tarfile would go back, and read the same members for ever
                    raise tarfile.ReadError(f"{member.name[:200]!r} has a negative size")
                where = f"{file.name}: {member.name[:200]!r}"
                if member.isdir():
                    continue
                try:
                    stem, suffix = _checked(member)
                except DataError as error:
                    yield DroppedRow(where, str(error))
                    continue
                if suffix not in _KNOWN:
                    continue
                if stem != key:
                    if parts:
                        alone.see(parts)
                        yield _row(file, key, parts, reading)
                    key, parts = stem, {}
                if suffix in parts:
                    yield DroppedRow(where, "the archive has two members of this name")
                    continue
                parts[suffix] = _content(archive, file, member, suffix)
            _check_end(archive)
    except _DAMAGED as error:
        if parts:
            row = _row(file, key, parts, reading)
            lost = isinstance(row, Row) and not row.texts  # a text may have followed the image
            yield DroppedRow(row.where, "no text before the archive ends") if lost else row
        yield DroppedRow(file.name, f"the archive is damaged or cut off: {' '.join(str(error).split())}")
        return
    if parts:
        alone.see(parts)
        yield _row(file, key, parts, reading)
    if alone.images and alone.texts:
        raise DataError(
            f"{file.name}: {alone.images} images and {alone.texts} texts have nothing beside them, and all "
            "others neither: the files of a sample have to follow each other in the archive (tar --sort=name)"
        )


@dataclass(slots=True)
class _Alone:
    """How many images have no label next to them in an archive, and how many labels have no image.

    Both are 0 once a sample had the two of them.
    """

    images: int = 0
    texts: int = 0
    together: bool = False

    def see(self, parts: _Parts) -> None:
        """Count the members of a sample."""
        images = sum(isinstance(part, Packed) for part in parts.values())
        self.together |= 0 < images < len(parts)
        self.images = 0 if self.together else self.images + (images > 0)
        self.texts = 0 if self.together else self.texts + (images == 0)


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse an end that is none: tarfile takes a damaged header behind the first one for the archive's end.

    Raises:
        tarfile.ReadError: more than zeros follow.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)  # where it looked for a header
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset:,}")


def _checked(member: tarfile.TarInfo) -> tuple[str, str]:
    """Return a member's name up to the first dot of its last part, and what follows the last dot."""
    if not member.isreg():
        raise DataError("neither a file nor a folder; links and devices in an archive are not followed")
    if member.issparse():
        raise DataError("a sparse file: its bytes are not in one piece; pack it without holes")
    name = member.name.removeprefix("./")
    check_name(name)
    folder, slash, last = name.rpartition("/")
    stem, _, suffixes = last.partition(".")
    return folder + slash + stem, suffixes.rpartition(".")[2].lower()


def _content(
    archive: tarfile.TarFile, file: Path, member: tarfile.TarInfo, suffix: str
) -> Packed | bytes | DataError:
    """Return where an image is in the archive, the content of a label, or why a label is not read."""
    if suffix in IMAGE_SUFFIXES:
        return Packed(file, member.offset_data, member.size, member.name)
    if member.size > MAX_LINE_BYTES:
        return DataError(f"its .{suffix} has {member.size:,} bytes; at most {MAX_LINE_BYTES:,} are read")
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _row(file: Path, key: str, parts: _Parts, reading: Reading) -> Row | DroppedRow:
    where = f"{file.name}: {key}"
    try:
        for part in parts.values():
            if isinstance(part, DataError):
                raise part
        images = [part for part in parts.values() if isinstance(part, Packed)]
        if len(images) != 1:
            raise DataError(f"expected one image, got {len(images)}")
        record = parse(_bytes(parts["json"])) if "json" in parts else {}
        if not isinstance(record, dict):
            raise DataError("its .json is not an object")
        texts: list[Any] = []
        if not reading.columns.get("text"):  # each line is a wording, as in a text file beside an image
            texts += [line for of in _TEXTS if of in parts for line in _text(parts[of]).splitlines() if line]
        question: Any = ""
        group: Any = ""
        silent = not record
        if record:
            columns = choose_columns(record, reading)
            question = record.get(columns.question) or "" if columns.question else ""
            group = record.get(columns.group) if columns.group else ""
            silent = columns.silent
            if not texts:
                texts = [text for name in columns.texts for text in _several(record.get(name))]
        if not texts and not silent:
            raise DataError("no text: expected a member .txt, .caption, or a .json with a caption")
        kind = _text(parts["cls"]) if "cls" in parts and reading.type_from is None else ""
        kind = reading.type_of({"data_type": kind, **record}, images[0].name)
        group = "" if group is None else str(group)
        return Row(where, images[0], tuple(texts), question, data_type=kind, group=group, id=key)
    except DataError as error:
        return DroppedRow(where, str(error))


def _bytes(part: Packed | bytes | DataError) -> bytes:
    return part if isinstance(part, bytes) else b""


def _text(part: Packed | bytes | DataError) -> str:
    try:
        return _bytes(part).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"a text is not UTF-8: byte 0x{error.object[error.start]:02x}") from error


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


WEBDATASET = Reader(
    "webdataset",
    "tar files with images beside .txt, .caption, .json or .cls, also as `shards-{000..099}.tar`",
    _recognise,
    _read,
)
