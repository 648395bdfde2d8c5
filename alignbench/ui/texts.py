"""Text that a browser sent: whole characters only."""

from __future__ import annotations

from typing import Any

from alignbench.errors import InputError


def check_texts(value: Any, where: str = "a text of the request") -> None:
    r"""Refuse half a character, which no file, no JSON and no tokenizer can take.

    A program can send one as JSON (`"\ud800"`), and some keyboards and clipboards cut an emoji in two.

    Args:
        value: text, or lists and mappings of it.
        where: what it is called.

    Raises:
        InputError: there is a lone surrogate.
    """
    if isinstance(value, str):
        broken = next((c for c in value if "\ud800" <= c <= "\udfff"), None)
        if broken is not None:
            raise InputError(
                f"{where}: {value[:60]!a} holds half a character (\\u{ord(broken):04x}, a lone "
                "surrogate); type it again"
            )
    elif isinstance(value, list | tuple):
        for item in value:
            check_texts(item, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_texts(key, where)
            check_texts(item, where)
