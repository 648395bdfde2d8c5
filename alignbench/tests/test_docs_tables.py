"""Every row of a table of README and docs has as many cells as its header: GitHub drops those beyond it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from alignbench.tests.docs_blocks import PAGES, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def tables(page: str, text: str) -> Iterator[list[tuple[int, int]]]:
    """Yield the tables of a page: the number of each row's line, and how many cells the row has.

    A bar within backticks ends a cell, too, unless a backslash is before it.
    """
    lines = text.splitlines()
    code = {block.line + i for block in blocks_of(page, text) for i in range(block.text.count("\n") + 2)}
    rows = ((i, line if i not in code else "") for i, line in enumerate(lines, 1))
    for is_table, table in groupby(rows, key=lambda row: row[1].startswith("|")):
        if is_table:
            yield [(i, line.replace(r"\|", "").strip().count("|") - 1) for i, line in table]


def torn(page: str, text: str) -> list[str]:
    """Return the rows whose number of cells is not that of their table's header."""
    return [
        f"{page}:{line}: {cells} cells, and the header has {table[0][1]}"
        for table in tables(page, text)
        for line, cells in table
        if cells != table[0][1]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_rows_have_the_cells_of_their_header(name: str) -> None:
    assert torn(name, PAGES[name].read_text(encoding="utf-8")) == []


def test_a_row_of_another_table_is_found() -> None:
    shown, escaped = "```text\n| x |\n```\n", "| c |\n|---|\n| `x \\| y` |\n"
    text = f"{shown}\n| a | b |\n|---|---:|\n| 1 | 2 |\n| `1|2` | 3 |\n\n{escaped}"
    assert torn("a.md", text) == ["a.md:8: 3 cells, and the header has 2"]
