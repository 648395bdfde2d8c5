"""Checks of content that a user wants to draw: texts, numbers and tables."""

from __future__ import annotations

import math
import numbers
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from alignbench.errors import InputError

_LARGEST, _SMALLEST = 1e300, 1e-300
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # may reverse a text
_UNWRITABLE = {"Cc": "a control character", "Cs": "half of a character", "Cn": "no character"}
MISSING = "–"


@runtime_checkable
class Frame(Protocol):
    """A DataFrame of pandas, which need not be installed."""

    @property
    def columns(self) -> Iterable[object]:
        """The names of its columns."""

    def itertuples(self, *, index: bool, name: str | None) -> Iterable[tuple[object, ...]]:
        """Return its rows."""


def check_text(given: object, where: str, *, empty: bool = False, lines: bool = False) -> str:
    """Return a text that can be written.

    Args:
        given: a text, or an object that `str` converts.
        where: what it is, for errors.
        empty: whether it may be empty.
        lines: whether it may have several lines.

    Raises:
        InputError: it is empty, or has a character that can't be written.
    """
    text = str(given)
    for place, character in enumerate(text):
        if lines and character in "\n\t":
            continue
        why = _UNWRITABLE.get(unicodedata.category(character))
        if character in _DIRECTIONS:
            why = "a mark that turns the direction of a text"
        if why:
            raise InputError(
                f"{where}: U+{ord(character):04X} at place {place} is {why}, which can't be drawn"
            )
    if not empty and not text.strip():
        raise InputError(f"{where}: expected a text, got {text!r}")
    return text


def check_number(given: object, where: str) -> float:
    """Return a number that can be drawn.

    Raises:
        InputError: it is not a real number, is not finite, or is beyond all scales.
    """
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise InputError(f"{where}: expected a number, got {given!r}")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or (value and not _SMALLEST <= abs(value) <= _LARGEST):
        raise InputError(f"{where}: expected 0 or a size from 1e-300 to 1e300, got {str(given)[:40]}")
    return value


def number_text(value: float) -> str:
    """Return a number with up to ten digits: 1,234,567.5 or 1e+12."""
    return f"{value + 0.0:,.10g}"  # adding 0.0 turns -0 into 0


def check_list(given: object, where: str) -> list[Any]:
    """Return the items of a list, a column or an array; a text does not count as one.

    Raises:
        InputError: it is none of these, or it is empty.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"{where}: expected a list, got {type(given).__name__}")
    items = list(given)
    if not items:
        raise InputError(f"{where}: expected at least one, got none")
    return items


def table_of(data: object) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of a table.

    Args:
        data: a DataFrame (its index is left out), a mapping of columns by name, or rows with the header
            first.

    Raises:
        InputError: columns or rows differ in length, or it is none of the above.
    """
    if isinstance(data, Frame):
        head, rows = list(data.columns), [list(row) for row in data.itertuples(index=False, name=None)]
    elif isinstance(data, Mapping):
        head = list(data)
        columns = [check_list(column, f"column {name!r}") for name, column in data.items()]
        for name, column in zip(head, columns, strict=True):
            if len(column) != len(columns[0]):
                raise InputError(
                    f"column {name!r} has {len(column)} values, and {head[0]!r} has {len(columns[0])}"
                )
        rows = [list(row) for row in zip(*columns, strict=True)]
    else:
        head, *rows = [
            check_list(row, f"row {number}") for number, row in enumerate(check_list(data, "data"))
        ]
    if not head:
        raise InputError("data: expected at least one column, got none")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise InputError(f"row {number} has {len(row)} cells, and the header {len(head)}")
    return [check_text(name, f"header {i}") for i, name in enumerate(head)], rows


def cell_text(given: object, where: str) -> str:
    """Return the text of a cell: a number with up to ten digits, a dash if it is empty."""
    if is_missing(given):
        return MISSING
    if is_number(given):
        return number_text(check_number(given, where))
    return check_text(given, where, empty=True)


def is_number(given: object) -> bool:
    """Whether it is a number; True and False are not."""
    return isinstance(given, numbers.Real) and not isinstance(given, bool)


def is_missing(given: object) -> bool:
    """Whether a cell is empty: None, NaN, or pandas' equivalents."""
    if given is None or type(given).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(given, numbers.Real) and given != given


def sections_of(given: Mapping[Any, Any] | Sequence[Any]) -> list[tuple[str, str]]:
    """Return headings with their texts.

    Args:
        given: heading -> text, or pairs of both.

    Raises:
        InputError: it is neither, or a text can't be written.
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else check_list(given, "sections")
    if not pairs:
        raise InputError("sections: expected at least one, got none")
    found = []
    for number, pair in enumerate(pairs):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(f"section {number}: expected a heading and its text, got {pair!r}")
        heading = check_text(pair[0], f"heading of section {number}")
        found.append((heading, check_text(pair[1], f"text of section {number}", empty=True, lines=True)))
    return found
