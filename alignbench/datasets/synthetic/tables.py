"""Tables: a header and 3 to 7 rows of numbers under a title."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.words import (
    BACKGROUNDS,
    CATEGORIES,
    CATEGORY_WORDS,
    COLOURS,
    PAGES,
    a,
    count,
    ink_on,
    listing,
    sentence,
    title_of,
)

if TYPE_CHECKING:
    import random

TABLE_KINDS = ("striped", "ruled", "boxed")
SIZES = ((448, 448), (448, 400), (448, 352))
COLUMNS = ("Price", "Stock", "Sales", "Cost", "Score", "Hours", "Size", "Rate")


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        layout: one of `TABLE_KINDS`.
        names: the first column, including its header.
        columns: the headers of the columns of numbers.
        values: one row of numbers per name.
        header: the colour of the header row.
        highlight: the colour of the row with the largest value in the first column of numbers, if it is
            marked.
    """

    layout: str
    topic: str
    place: str
    size: tuple[int, int]
    background: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    header: str
    highlight: str | None

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic} in {self.place}"

    @property
    def largest(self) -> int:
        """The row with the largest value of the first column of numbers."""
        first = [row[0] for row in self.values]
        return first.index(max(first))


def imagine_table(rng: random.Random) -> Table:
    """Return a random table."""
    topic, place = title_of(rng)
    theme = rng.randrange(len(CATEGORIES))
    n_rows, n_columns = rng.randint(3, 7), rng.randint(1, 4)
    by_column = [rng.sample(range(10, 1000), n_rows) for _ in range(n_columns)]
    header = rng.choice(tuple(COLOURS))
    return Table(
        layout=rng.choice(TABLE_KINDS),
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(PAGES),
        names=(CATEGORY_WORDS[theme], *CATEGORIES[theme][:n_rows]),
        columns=tuple(rng.sample(COLUMNS, n_columns)),
        values=tuple(zip(*by_column, strict=True)),
        header=header,
        highlight=rng.choice([c for c in COLOURS if c != header]) if rng.random() < 0.5 else None,
    )


def paint_table(table: Table, canvas: Canvas) -> list[Box]:
    """Draw `table`; return the boxes of the header and of the marked row."""
    background = BACKGROUNDS[table.background]
    canvas.text((canvas.width / 2, 14), table.title, 33, background.ink, "ma", bold=True)
    left, right, top = 24.0, canvas.width - 24.0, 74.0
    height = min(52.0, (canvas.height - top - 24) / len(table.names))
    width = (right - left) / (1 + len(table.columns))
    bottom = top + height * len(table.names)
    boxes = []
    for i, cells in enumerate([(table.names[0], *table.columns), *_rows(table)]):
        edges = (left, top + i * height, right, top + (i + 1) * height)
        colour = table.header if i == 0 else table.highlight if i == table.largest + 1 else None
        if colour:
            canvas.rectangle(edges, COLOURS[colour])
            boxes.append(Box("header" if i == 0 else f"row {cells[0]}", colour, *edges))
        elif table.layout == "striped" and i % 2 == 0:
            canvas.rectangle(edges, background.faint)
        elif table.layout == "ruled":
            canvas.line([(left, edges[3]), (right, edges[3])], background.ink, 1.5)
        ink = ink_on(colour) if colour else background.ink
        for j, cell in enumerate(cells):
            x, anchor = (left + 10, "lm") if j == 0 else (left + (j + 1) * width - 12, "rm")
            canvas.text((x, edges[1] + height / 2), cell, 18, ink, anchor, bold=i == 0)
    if table.layout == "boxed":
        for j in range(len(table.columns) + 2):
            canvas.line([(left + j * width, top), (left + j * width, bottom)], background.ink, 1.5)
        for i in range(len(table.names) + 1):
            canvas.line([(left, top + i * height), (right, top + i * height)], background.ink, 1.5)
    return boxes


def _rows(table: Table) -> list[tuple[str, ...]]:
    return [(name, *map(str, row)) for name, row in zip(table.names[1:], table.values, strict=True)]


def describe_table(table: Table) -> Description:
    """Describe `table` in four wordings."""
    rows, columns = count(len(table.values), "row"), count(len(table.columns) + 1, "column")
    best, first = table.names[table.largest + 1], table.columns[0]
    top, page = table.values[table.largest][0], f"{table.background} page"
    marked = f"the row of {best} is marked in {table.highlight}" if table.highlight else "no row is marked"
    largest = f"the largest {first.lower()} is {top}, for {best}"
    listed = listing([column.lower() for column in table.columns])
    wordings = (
        f'{sentence(a(table.layout))} table titled "{table.title}", with a {table.header} header, {rows} '
        f"and {columns} on a {page}. {sentence(marked)}; {largest}.",
        f"On a {page}, a table about {table.topic.lower()} in {table.place} with {rows} "
        f"below {a(table.header)} header. It lists {listed} by {table.names[0].lower()}, and {marked}.",
        f'{sentence(rows)} and {columns} in {a(table.layout)} table. Its title is "{table.title}", '
        f"its header is {table.header}, its background {table.background}. {sentence(largest)}.",
        f'The table "{table.title}" has {a(table.header)} header row '
        f"with {listing((table.names[0], *table.columns))}, then {rows} "
        f"from {table.names[1]} to {table.names[-1]}. {sentence(marked)}.",
    )
    exchanges = (
        ("What type of image is this?", "A table."),
        ("What kind of table is it?", f"{sentence(a(table.layout))} table."),
        ("How many rows are there below the header?", f"{len(table.values)}."),
        ("What is it about?", f"{table.title}."),
        ("What colour is the header?", f"{sentence(table.header)}."),
    )
    return Description(table.layout, "What does this table show?", wordings, exchanges)
