"""Records of JSON files, one at a time: the lines of a JSONL file, or the elements of a JSON array."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any, TextIO

from alignbench.datasets.dataset import DroppedRow
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE_BYTES = 4 * 2**20
MAX_OBJECT_BYTES = 2 * 2**30
_CHUNK = 2**20
_WHITE = " \t\r\n"
_MORE = "more than white space follows the end of the array, and is not read; a file holds one array"
_BETWEEN = re.compile(r"[ \t\r\n,]*")


class _TwiceError(ValueError):
    """An object has the same key twice."""


def lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes] | DroppedRow]:
    r"""Yield the number and the content of each line of a file, in bounded memory, without blank lines.

    Lines end in \n or \r\n; a byte order mark is passed over. A line that is too long is reported and never
    held in memory.

    Raises:
        DataError: the file can't be read, or is UTF-16.
    """
    number = 0
    try:
        with path.open("rb") as stream:
            while line := stream.readline(max_bytes + 1):
                number += 1
                if number == 1:
                    line = _without_mark(line, path)
                if len(line) > max_bytes and not line.endswith(b"\n"):
                    length = len(line)
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(_CHUNK)
                        length += len(line)
                    reason = f"a line of {length:,} bytes; at most {max_bytes:,} are read"
                    yield DroppedRow(f"{path.name}:{number}", reason)
                elif content := line.strip():
                    yield number, content
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error


def records(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, Any] | DroppedRow]:
    """Yield the number and the content of each record: of the lines of a JSONL file, or of a JSON array.

    Raises:
        DataError: the file can't be read, or is an array that is not valid JSON.
    """
    if is_array(path):
        yield from _elements(path, max_bytes)
        return
    for line in lines(path, max_bytes=max_bytes):
        if isinstance(line, DroppedRow):
            yield line
            continue
        try:
            yield line[0], parse(line[1])
        except DataError as error:
            yield DroppedRow(f"{path.name}:{line[0]}", str(error))


def placed(path: Path) -> str:
    """Return what stands before a record's number in messages: `data.json: row ` or `data.jsonl:`."""
    return f"{path.name}: row " if is_array(path) else f"{path.name}:"


def parse(content: bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        DataError: it is not UTF-8, is not JSON, or has an object with the same key twice.
    """
    try:
        text = content.decode("utf-8").strip(_WHITE)
        value, end = _DECODER.raw_decode(text)
        if end < len(text):
            raise ValueError(f"Extra data: line 1 column {end + 1} (char {end})")
        return value
    except UnicodeDecodeError as error:
        reason = f"not UTF-8: byte 0x{content[error.start]:02x} at position {error.start + 1}"
        raise DataError(reason) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {' '.join(str(error).split())}") from error


def read_object(path: Path) -> Any:
    """Return the content of a JSON file that has to be read as a whole.

    Raises:
        DataError: it can't be read, is too large, or is not valid JSON.
    """
    try:
        if path.stat().st_size > MAX_OBJECT_BYTES:
            raise DataError(f"{path}: larger than {MAX_OBJECT_BYTES:,} bytes")
        return parse(_without_mark(path.read_bytes(), path))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error


def is_array(path: Path) -> bool:
    """Return whether a file holds a JSON array, not records in lines."""
    return path.suffix.lower() != ".jsonl" and head(path).startswith("[")


def head(path: Path, size: int = 4096) -> str:
    """Return the first characters of a file, from the first that is not white space; "" if there are none."""
    try:
        with path.open("rb") as stream:
            start = stream.read(size)
    except OSError:
        return ""
    return start.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").lstrip(_WHITE)


def first_record(path: Path) -> Any:
    """Return the first record that can be read; None if there is none."""
    try:
        for record in records(path):
            if not isinstance(record, DroppedRow):
                return record[1]
    except DataError:
        pass
    return None


def trouble_of(path: Path) -> str | None:
    """Return why not even the first record of a JSON file can be read; None if it can."""
    try:
        first = next(iter(records(path)), None)
        if isinstance(first, DroppedRow) and path.suffix.lower() == ".json":
            read_object(path)  # an object over several lines
    except DataError as error:
        return str(error)
    return f"{first.where}: {first.reason}" if isinstance(first, DroppedRow) else None


def _elements(path: Path, max_bytes: int) -> Iterator[tuple[int, Any] | DroppedRow]:
    """Yield the elements of an array without holding more than a few of them in memory."""
    number = 1
    try:
        with path.open("r", encoding="utf-8-sig", newline="") as stream:
            buffer = stream.read(_CHUNK)
            at = buffer.index("[") + 1
            while True:
                between = _BETWEEN.match(buffer, at)
                at = at if between is None else between.end()
                if buffer.startswith("]", at):
                    if not _only_white(buffer[at + 1 :], stream):
                        yield DroppedRow(f"{path.name}: after row {number - 1}", _MORE)
                    return
                where = f"{path.name}: row {number}"
                try:
                    element, at = _element(buffer, at, number, where)
                except ValueError as error:
                    more = stream.read(max(_CHUNK, len(buffer) - at)) if len(buffer) - at <= max_bytes else ""
                    if not more:
                        raise DataError(f"{where}: not JSON: {' '.join(str(error).split())}") from error
                    buffer, at = buffer[at:] + more, 0
                    continue
                yield element
                number += 1
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path.name}: row {number} or later: not UTF-8: byte 0x{byte:02x}") from error
    except RecursionError as error:
        raise DataError(f"{path.name}: row {number}: not JSON: nested too deeply") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error


def _only_white(text: str, stream: TextIO) -> bool:
    """Return whether a text and the rest of a file are white space."""
    while text:
        if text.strip(_WHITE):
            return False
        text = stream.read(_CHUNK)
    return True


def _element(buffer: str, at: int, number: int, where: str) -> tuple[tuple[int, Any] | DroppedRow, int]:
    """Return the element of an array that begins at an offset, and the offset of its end."""
    element: tuple[int, Any] | DroppedRow
    try:
        content, end = _DECODER.raw_decode(buffer, at)
        element = (number, content)
    except _TwiceError as error:
        _, end = _PLAIN.raw_decode(buffer, at)
        element = DroppedRow(where, f"not JSON: {error}")
    if end == len(buffer):  # a number may go on in the next chunk
        raise ValueError("the array is not closed")
    return element, end


def _without_mark(content: bytes, path: Path) -> bytes:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: UTF-16; expected UTF-8: save it so")
    return content.removeprefix(codecs.BOM_UTF8)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys all differ: of two values of one key, a reader could only guess."""
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the key {twice!r} occurs twice")
    return content


_DECODER, _PLAIN = json.JSONDecoder(object_pairs_hook=_once_each), json.JSONDecoder()
