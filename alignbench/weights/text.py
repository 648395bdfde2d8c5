"""Text of somebody else's, as from a configuration or a server, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` in one line without control characters: it could steer the terminal."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())
