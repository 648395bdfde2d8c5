"""Untrusted text, such as from a configuration or a server, made safe for a terminal."""

from __future__ import annotations

_LONGEST = 200


def printable(text: str) -> str:
    """Return `text` in one line without control characters, which could steer the terminal."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return `text` in one printable line, cut at a word if it is longer than `longest` characters."""
    line = printable(text)
    if len(line) <= longest:
        return line
    cut = line[: longest - 3]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > longest // 2 else cut}..."


def one_line(error: BaseException) -> str:
    """Return an error's type and message, without line breaks and cut to a readable length."""
    message = shortened(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
