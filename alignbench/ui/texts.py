"""Checks text that a browser sent for broken characters."""

from __future__ import annotations

from typing import Any

from alignbench.errors import InputError


def check_texts(value: Any, where: str = "a text of the request") -> None:
    r"""Check that there is no half of a character, which files, JSON and tokenizers can't hold.

    A program can send one as JSON (`"\ud800"`), and some keyboards and clipboards split an emoji.

    Args:
        value: text, or lists and mappings of text.
        where: what the text is, for the message.

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
