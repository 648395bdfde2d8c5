"""The text of the pages that measurements write, and their sections, each written by its own command."""

from __future__ import annotations

import re
from pathlib import Path

_SECTION = re.compile(r"<!-- begin ([\w-]+) -->\n.*?<!-- end \1 -->\n", re.DOTALL)


def template(name: str) -> str:
    """Return the text of a page or a section, with the names of its numbers and tables in braces."""
    return (Path(__file__).parent / "pages" / f"{name}.md").read_text(encoding="utf-8")


def with_section(page: str, name: str, text: str) -> str:
    """Return the page with this section in place of the one with the same name; a new one comes last.

    Args:
        page: the whole page, in Markdown.
        name: the section's name in its markers.
        text: the section's text, including its heading.
    """
    section = f"<!-- begin {name} -->\n{text.strip()}\n<!-- end {name} -->\n"
    for found in _SECTION.finditer(page):
        if found[1] == name:
            return page[: found.start()] + section + page[found.end() :]
    return f"{page.rstrip()}\n\n{section}" if page.strip() else section


def with_sections_of(page: str, before: str) -> str:
    """Return the page with the sections that it had before it was rewritten."""
    for found in _SECTION.finditer(before):
        lines = found[0].splitlines()
        page = with_section(page, found[1], "\n".join(lines[1:-1]))
    return page
