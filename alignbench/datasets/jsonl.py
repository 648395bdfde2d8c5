"""Lines of a large file: their positions are kept instead of their contents, so that any can be drawn."""

from __future__ import annotations

import codecs
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import DroppedRow
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_LINE_BYTES = 4 * 2**20
_CHUNK = 2**20
_WHITE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class LineIndex:
    """The positions of a file's lines, at 12 bytes per line, without blank lines.

    Args:
        path: the file.
        offsets: the offset in bytes at which each line begins.
        numbers: each line's number as an editor shows it, from 1.
        dropped: lines that are too long to be read.
    """

    path: Path
    offsets: array[int]
    numbers: array[int]
    dropped: tuple[DroppedRow, ...]
    max_bytes: int

    def __len__(self) -> int:
        return len(self.offsets)

    def where(self, row: int) -> str:
        """Return the place of a row for messages, such as `labels.jsonl:17`."""
        return f"{self.path.name}:{self.numbers[row]}"

    def read(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Yield the rows' lines in the requested order, without white space around them."""
        with self.path.open("rb") as stream:
            for row in rows:
                stream.seek(self.offsets[row])
                yield _stripped(stream.readline(self.max_bytes + 1), self.offsets[row])


def index_lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> LineIndex:
    r"""Return the index of a file's lines, from one pass in bounded memory.

    Lines end in \n or \r\n; a byte order mark and blank lines are passed over.

    Args:
        path: the file.
        max_bytes: the longest line that is read; a longer one is reported in `dropped`, and never held in
            memory.

    Raises:
        DataError: the file can't be read, or is UTF-16.
    """
    offsets, numbers, dropped = array("Q"), array("I"), []
    offset = number = 0
    try:
        with path.open("rb") as stream:
            while line := stream.readline(max_bytes + 1):
                number += 1
                length = len(line)
                if not offset and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise DataError(f"{path}: UTF-16; expected UTF-8: save it so")
                if length > max_bytes and not line.endswith(b"\n"):
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(_CHUNK)
                        length += len(line)
                    reason = f"a line of {length:,} bytes; at most {max_bytes:,} are read"
                    dropped.append(DroppedRow(f"{path.name}:{number}", reason))
                elif _stripped(line, offset):
                    offsets.append(offset)
                    numbers.append(number)
                offset += length
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    return LineIndex(path, offsets, numbers, tuple(dropped), max_bytes)


def _stripped(line: bytes, offset: int) -> bytes:
    return (line if offset else line.removeprefix(codecs.BOM_UTF8)).strip(_WHITE)
