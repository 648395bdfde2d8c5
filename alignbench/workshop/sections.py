"""The text of the pages that measurements write, and their sections, each written by its own command."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCS = Path(__file__).parents[1] / "docs"
CALIBRATION = DOCS / "calibration.md"
_SECTION = re.compile(r"<!-- begin ([\w-]+) -->\n.*?<!-- end \1 -->\n", re.DOTALL)


def template(name: str) -> str:
    """Return the text of a page or a section, with the names of its numbers and tables in braces."""
    return (Path(__file__).parent / "measure" / "pages" / f"{name}.md").read_text(encoding="utf-8")


def with_section(page: str, name: str, text: str) -> str:
    """Return the page with this section in place of the one with the same name; a new one comes last.

    Args:
        page: the whole page, in Markdown.
        name: the section's name in its markers.
        text: the section's text, including its heading.
    """
    section = f"<!-- begin {name} -->\n{text.strip()}\n<!-- end {name} -->\n"
    for match in _SECTION.finditer(page):
        if match[1] == name:
            return page[: match.start()] + section + page[match.end() :]
    return f"{page.rstrip()}\n\n{section}" if page.strip() else section


def with_sections_of(page: str, before: str) -> str:
    """Return the page with the sections that it had before it was rewritten."""
    for match in _SECTION.finditer(before):
        lines = match[0].splitlines()
        page = with_section(page, match[1], "\n".join(lines[1:-1]))
    return page


def section_command(
    name: str, description: str | None, draws: int, section: Callable[[int], str], argv: Sequence[str]
) -> None:
    """Run a command that writes its own section of calibration.md and leaves the rest unchanged.

    Args:
        name: the name of the command and of its section.
        description: what `--help` says.
        draws: the number of draws without `--draws`.
        section: (number of draws) -> the section's text.
        argv: the arguments of the command.
    """
    parser = argparse.ArgumentParser(prog=f"python -m alignbench.measure {name}", description=description)
    parser.add_argument("--out", type=Path, default=CALIBRATION, help="the page (%(default)s)")
    parser.add_argument("--draws", type=int, default=draws, help="draws for each number (%(default)s)")
    options = parser.parse_args(argv)
    if options.draws < 2:
        parser.error("--draws: expected at least 2")
    text = section(options.draws)
    before = page_text(options.out)
    options.out.write_text(with_section(before, name, text), encoding="utf-8")
    print(f"wrote {options.out}")


def page_text(page: Path) -> str:
    """Return the text of a page; "" if there is none yet."""
    return page.read_text(encoding="utf-8") if page.is_file() else ""
