"""The header of a GGUF file: its metadata, and the positions of its tensors."""

from __future__ import annotations

import functools
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Value = int | float | bool | str

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# The struct letter of each value of fixed size, by GGUF's type number.
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the table of tensors.

    Args:
        name: the name in llama.cpp.
        shape: the dimensions, the fastest first.
        kind: ggml's type number.
        offset: bytes from the start of the data.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the data.

    Args:
        version: the version of the format.
        values: entries that are a single number or text; lists, such as the vocabulary, are left out.
        entries: the number of entries, including lists.
        entries_end: the byte after them, where the table of tensors begins.
        tensors: the table.
        data: the byte at which the tensors' data begins.
        size: the size of the whole file in bytes.
    """

    version: int
    values: Mapping[str, Value]
    entries: int
    entries_end: int
    tensors: tuple[Tensor, ...]
    data: int
    size: int

    @property
    def alignment(self) -> int:
        """The number of which each tensor's offset is a multiple."""
        return number(self.values, "general.alignment", 32)


def number(values: Mapping[str, Value], key: str, otherwise: int = 0) -> int:
    """Return an entry that is a count; `otherwise` if there is none or it is not a whole number."""
    value = values.get(key, otherwise)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def read_header(file: Path, whole: int | None = None) -> Header:
    """Return the header of a GGUF file.

    Args:
        file: the file, or the first of its pieces.
        whole: the bytes of the file that was cut into pieces; None for a file in one piece.

    Raises:
        ModelError: it is not a GGUF file, or it is truncated or contradicts itself.
    """
    try:
        state = file.stat()
        return _read(file, state.st_size if whole is None else whole, state.st_mtime_ns)
    except (OSError, struct.error, ValueError, KeyError, OverflowError) as error:
        why = "cut off" if isinstance(error, struct.error) else str(error)
        raise ModelError(f"{file} is not a GGUF file that can be read here ({why})") from error


# The key includes size and time: a file that is rewritten during a run is read again.
@functools.lru_cache(maxsize=256)
def _read(file: Path, size: int, changed: int) -> Header:
    if not file.is_file():
        raise ValueError("no regular file")
    if size < 24:
        raise ValueError(f"{size} bytes")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        reader = _Reader(content)
        if content[:4] != MAGIC:
            raise ValueError("no GGUF header")
        reader.at = 4
        version, tensors, entries = reader.numbers("IQQ")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} of the format, or another byte order")
        # An entry takes at least 13 bytes, a tensor 24: counts of more than fit must be wrong.
        if entries * 13 + tensors * 24 > size:
            raise ValueError(f"it counts {entries} entries and {tensors} tensors in {size} bytes")
        values: dict[str, Value] = {}
        for _ in range(entries):
            key = reader.text(_LONGEST_NAME)
            value = reader.value()
            if value is not None:
                values[key] = value
        entries_end = reader.at
        table = tuple(reader.tensor() for _ in range(tensors))
        alignment = number(values, "general.alignment", 32)
        if alignment < 1:
            raise ValueError(f"an alignment of {alignment}")
        data = -(-reader.at // alignment) * alignment
    if len({tensor.name for tensor in table}) != len(table):
        raise ValueError("two tensors of one name")
    if table and data + max(tensor.offset for tensor in table) >= size:
        raise ValueError("it is cut off: its last tensor would begin behind its end")
    return Header(version, values, entries, entries_end, table, data, size)


class _Reader:
    """Reads numbers and texts in sequence.

    Args:
        content: the content of the file.
    """

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self.at = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        """Return numbers by the struct letters in `form`."""
        found = struct.unpack_from(f"<{form}", self._content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self, longest: int | None = None) -> str:
        """Return a text that is preceded by its length."""
        start, end = self._text_span(longest)
        return self._content[start:end].decode("utf-8")

    def value(self) -> Value | None:
        """Return a value that is preceded by its type; None for a list, which is skipped."""
        [kind] = self.numbers("I")
        if kind == _ARRAY:
            self._pass_list()
            return None
        return self.text() if kind == _STRING else self.numbers(_FIXED[kind])[0]

    def tensor(self) -> Tensor:
        """Return an entry of the table of tensors."""
        name = self.text(_LONGEST_NAME)
        [dimensions] = self.numbers("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = self.numbers(f"{dimensions}Q")
        kind, offset = self.numbers("IQ")
        return Tensor(name, shape, kind, offset)

    def _pass_list(self) -> None:
        kind, count = self.numbers("IQ")
        width = struct.calcsize(f"<{_FIXED[kind]}") if kind in _FIXED else 8
        if kind not in _FIXED and kind != _STRING:
            raise ValueError(f"a list of values of type {kind}")
        if self.at + width * count > len(self._content):
            raise ValueError(f"a list of {count} values, which is more than the file holds")
        if kind != _STRING:
            self.at += width * count
            return
        for _ in range(count):
            self._text_span(None)

    def _text_span(self, longest: int | None) -> tuple[int, int]:
        [length] = self.numbers("Q")
        if length > (len(self._content) - self.at if longest is None else longest):
            raise ValueError(f"a text of {length} bytes")
        start = self.at
        self.at += length
        return start, self.at
