"""Text that came from data made fit to be shown, and numbers as they are shown."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def clean(text: object) -> str:
    """Return `text` on one line without terminal escapes, control, bidirectional or unassigned characters.

    A caption with a clear-screen sequence or a right-to-left override must not act on the reader's terminal.
    """
    characters = str(text)
    if characters.isprintable():  # as most texts are
        return " ".join(characters.split())
    visible = _ESCAPE_SEQUENCE.sub("", characters)
    kept = (" " if c.isspace() else "" if unicodedata.category(c) in _INVISIBLE else c for c in visible)
    return " ".join("".join(kept).split())


def display_width(text: str) -> int:
    """Return the number of terminal columns that `text` takes: wide (CJK) characters take two."""
    return sum(_columns(c) for c in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """Return a name in at most `width` columns, shortened in its middle: both ends tell names apart."""
    if display_width(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 2:
        return _head(text, width)
    head = _head(text, (room + 1) // 2)
    tail = _head(text[::-1], room - display_width(head))[::-1]
    return head + ellipsis + tail


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Return a sentence in at most `width` columns, shortened at its end."""
    if display_width(text) <= width:
        return text
    return _head(text, width - len(ellipsis)).rstrip() + ellipsis


def _head(text: str, width: int) -> str:
    used = 0
    for i, character in enumerate(text):
        used += _columns(character)
        if used > width:
            return text[:i]
    return text


def number(value: float | None, missing: str = "n/a", *, largest: float = 0.0) -> str:
    """Return `value` in three decimals, or in three digits where decimals would hide it.

    Args:
        value: the number.
        missing: what stands for None.
        largest: the largest of the numbers that it is shown with. If that one is shown with decimals, a value
            too small for them is shown as 0.000 instead of `-2.1e-04`.
    """
    if value is None:
        return missing
    if abs(value) < 0.0005 <= largest < 1000:
        return "0.000"
    if value != 0 and (abs(value) >= 1000 or abs(value) < 0.0005):
        return f"{value:.1e}"
    return f"{value:.3f}"
