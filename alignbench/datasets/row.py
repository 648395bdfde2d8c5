"""One row of a data set as its reader understood it, before anything was checked against the disk."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from unicodedata import category

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from alignbench.datasets.dataset import DroppedRow
    from alignbench.datasets.images import Packed

_MAX_NAME = 200
_MARK = re.compile(r"<image>[ \t]*\n?")
_NOT_A_TEXT = frozenset({"nan", "NaN", "NaT", "<NA>"})  # what pandas writes for a cell without a text
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


class Row(NamedTuple):
    """What a reader yields for every row that it can make sense of.

    One place turns rows into samples, for all readers: it looks for the image, checks it and the texts, and
    reports what can't be used. A reader opens no image.

    Args:
        where: the row's place for messages, such as `captions.csv:17`.
        image: the image's name, its bytes, or the part of a file that holds it; None if the row has none.
        texts: the wordings of the text that the image is paired with.
        question: the question that they answer, if there is one.
        exchanges: further (question, answer) pairs about the same image.
        data_type: the type; "" if the data does not say.
        group: rows with the same group belong together; "" if the data does not say.
        id: the row's own id; "" if it has none.
        folders: where the image's name is looked for.
    """

    where: str
    image: str | bytes | Packed | None
    texts: tuple[Any, ...] = ()
    question: Any = ""
    exchanges: tuple[tuple[str, str], ...] = ()
    data_type: str = ""
    group: str = ""
    id: Any = ""
    folders: tuple[Path, ...] = ()


Draft: TypeAlias = "tuple[str | bytes | Packed | None, str, Callable[[Any], Row | DroppedRow], Any]"
"""A row that is understood only if it is drawn, as most rows of a large data set are not: its image, its data
type, a function, and the record of which the function makes the row."""


Rows: TypeAlias = "Callable[[], Iterable[Row | Draft | DroppedRow]]"
"""A function that yields the rows of a data set from the first one on."""


def clean_text(value: object) -> str:
    """Return a text without white space around it and without the marks that stand for an image.

    A text of nothing but invisible characters is empty, and so is what pandas writes for a missing one.

    Raises:
        DataError: it is no text, or can't be encoded.
    """
    if not isinstance(value, str):
        raise DataError(f"expected a text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        byte = ord(value[error.start]) - 0xDC00
        if 0x80 <= byte <= 0xFF:  # how Python keeps a byte that it can't decode
            raise DataError(f"a text is not UTF-8: byte 0x{byte:02x}; save the file as UTF-8") from error
        # JSON can spell half of a surrogate pair, which no encoding can write and no tokenizer can read.
        raise DataError("a text has half a surrogate pair in it") from error
    if "<image>" in value:
        value = _MARK.sub("", value)
    text = value.strip()
    if text in _NOT_A_TEXT:
        return ""
    return text if any(category(character) not in _INVISIBLE for character in text) else ""


def clean_id(value: Any) -> str:
    """Return a row's own id, safe to display.

    Raises:
        DataError: it is neither a text nor a whole number, or is too long.
    """
    if isinstance(value, float) and (value.is_integer() or math.isnan(value)):
        value = "" if math.isnan(value) else int(value)  # pandas makes these of numbers with gaps
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if text is None or len(text) > _MAX_NAME:
        raise DataError(f"expected an 'id' of at most {_MAX_NAME} characters")
    return printable(text)


def printable(text: str) -> str:
    """Return `text` with everything replaced that a terminal would obey instead of showing."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def shown(name: str) -> str:
    """Return a name in quotes for a message, cut if it is long."""
    return repr(name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "...")
