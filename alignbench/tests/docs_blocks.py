"""The blocks of code of README and docs, and the commands in them and in the text between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "alignbench" / "docs"
PAGES = {page.name: page for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))}
PROGRAMS = ("alignbench", "bash", "pip", "pytest", "python", "python3")
"""Each line of a block without a language begins with one of these."""

DATA = ("csv", "json", "toml", "txt", "yaml")
KINDS = ("command", "python", "shown", "script", *DATA)
"""`shown` is what a program prints, or a list of files; `script` is for a shell as a whole."""

_NAMED = {"": "command", "python": "python", "text": "shown", "bash": "script", "sh": "script"}
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+", re.M)
_INLINE = re.compile(r"`((?:(?:pytest|alignbench|python) |… --)[^`]+)`")
_COMMENT = re.compile(r"(?:^|\s)#\s.*$", re.M)


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, in which language it is, and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def first(self) -> str:
        """The first line, by which a table names a block."""
        return self.text.partition("\n")[0]

    @property
    def kind(self) -> str:
        """One of `KINDS`.

        Raises:
            DataError: it is none of them.
        """
        kind = _NAMED.get(self.language, self.language)
        if kind not in KINDS:
            raise DataError(f"{self}: no test knows blocks of {self.language!r}; known: {', '.join(KINDS)}")
        if kind == "command":
            for line in commands_of(self.text):
                if line.split()[0] not in PROGRAMS:
                    raise DataError(
                        f"{self}: no test knows the command {line!r}; if a program prints it, write ```text"
                    )
        return kind


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced and the indented blocks of a page in their order."""
    fences = [(m.start(), m["language"].strip(), m["text"]) for m in _FENCE.finditer(text)]
    blank = _FENCE.sub(lambda m: re.sub(r"[^\n]", "x", m[0]), text)  # of the same length and lines
    indented = [(m.start(), "", re.sub(r"^ {4}", "", m[0], flags=re.M)) for m in _INDENTED.finditer(blank)]
    for start, language, content in sorted((*fences, *indented)):
        yield Block(page, text.count("\n", 0, start) + 1, language, content)


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    found: list[Block] = []
    for name, path in PAGES.items():
        found += blocks_of(name, path.read_text(encoding="utf-8"))
    return found


def commands_of(text: str) -> list[str]:
    """Return the commands of a shell's lines, without comments; `\\` joins two lines."""
    joined = _COMMENT.sub("", text.replace("\\\n", " "))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def inline_commands(page: str, text: str) -> list[Block]:
    """Return the commands between backticks within the text of a page, each as a block of its own.

    The tables of README shorten the beginning of a command to `…`.
    """
    outside = _FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)
    found = []
    for match in _INLINE.finditer(outside):
        line = " ".join(match[1].split()).replace("… --", "pytest benchmarks/ --").replace("\\|", "|")
        found.append(Block(page, outside.count("\n", 0, match.start()) + 1, "", line + "\n"))
    return found
