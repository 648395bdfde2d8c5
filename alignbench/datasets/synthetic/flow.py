"""Running text in lines: for any script, with words of any length."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import text_width

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "BOPOMOFO")


def lines_of(text: str, points: float, width: float) -> list[str]:
    """Return `text` split into lines that fit into `width`.

    Lines end at spaces, between characters of scripts without spaces, and inside words longer than a line.

    Args:
        text: a text without line breaks.
        points: the size of the letters, in units of the page.
        width: the width of the lines, in units of the page.
    """
    lines = [""]
    for token in _tokens(text):
        if _fits(lines[-1] + token.rstrip(), points, width):
            lines[-1] += token
            continue
        for part in _parts(token.lstrip(), lambda piece: _fits(piece.rstrip(), points, width)):
            lines.append(part)
    return [line.strip() for line in lines if line.strip()]


def _fits(text: str, points: float, width: float) -> bool:
    return text_width(text, points) <= width


def _tokens(text: str) -> list[str]:
    """Return the parts between which a line may end, each with the spaces that follow it."""
    tokens = [""]
    for character in text:
        alone = unicodedata.name(character, "").startswith(_NO_SPACES)
        ends = tokens[-1] and (tokens[-1][-1].isspace() and not character.isspace())
        if ends or (alone and tokens[-1]):
            tokens.append(character)
        else:
            tokens[-1] += character
        if alone:
            tokens.append("")
    return [token for token in tokens if token]


def _parts(token: str, fits: Callable[[str], bool]) -> list[str]:
    """Return a token in parts that fit, each as long as possible; a single character always fits."""
    parts = [""]
    for character in token:
        if parts[-1] and not fits(parts[-1] + character):
            parts.append("")
        parts[-1] += character
    return parts
