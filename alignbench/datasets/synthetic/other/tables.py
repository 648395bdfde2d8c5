"""Tables of the second family: heat maps, tiles, and ledgers with a total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.other.words import (
    BACKGROUNDS,
    CATEGORIES,
    CATEGORY_WORDS,
    COLOURS,
    PAGES,
    ink_on,
    mixed,
    title_of,
)
from alignbench.datasets.synthetic.words import a, count, sentence

if TYPE_CHECKING:
    import random

TABLE_KINDS = ("heat", "tile", "ledger")
SIZES = ((448, 384), (448, 448), (400, 448))
COLUMNS = ("Loans", "Tips", "Fees", "Goals", "Wins", "Calls", "Beds", "Seats")


@dataclass(frozen=True, slots=True)
class OtherTable:
    """A table.

    Args:
        layout: one of `TABLE_KINDS`.
        theme: what the rows are about.
        names: the names of the rows or tiles.
        columns: the headers of the numbers.
        values: one row per name.
        colour: the colour of the cells' shades, the tiles, or the ledger's lines.
    """

    layout: str
    topic: str
    place: str
    size: tuple[int, int]
    background: str
    theme: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    colour: str

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic}, {self.place}"

    @property
    def first(self) -> list[int]:
        """The first column of numbers."""
        return [row[0] for row in self.values]


def imagine_table(rng: random.Random) -> OtherTable:
    """Return a random table."""
    topic, place = title_of(rng)
    theme = rng.randrange(len(CATEGORIES))
    layout = rng.choice(TABLE_KINDS)
    n, m = rng.randint(3, 8), 1 if layout == "tile" else rng.randint(2, 4)
    columns = [rng.sample(range(10, 100), n) for _ in range(m)]
    return OtherTable(
        layout=layout,
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(PAGES),
        theme=CATEGORY_WORDS[theme],
        names=CATEGORIES[theme][:n],
        columns=tuple(rng.sample(COLUMNS, m)),
        values=tuple(zip(*columns, strict=True)),
        colour=rng.choice(tuple(COLOURS)),
    )


def paint_table(table: OtherTable, canvas: Canvas) -> list[Box]:
    """Draw `table`; return the boxes of its rows or tiles."""
    canvas.face = "mono"
    ink = BACKGROUNDS[table.background].ink
    canvas.text((canvas.width - 20, canvas.height - 18), table.title, 22, ink, "rs")
    area = (20.0, 20.0, canvas.width - 20.0, canvas.height - 56.0)
    return {"heat": _heat, "tile": _tiles, "ledger": _ledger}[table.layout](table, canvas, area)


def _heat(table: OtherTable, canvas: Canvas, area: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = area
    page, colour = BACKGROUNDS[table.background], COLOURS[table.colour]
    height, width = (bottom - top) / (len(table.names) + 1), (right - left - 64) / len(table.columns)
    for j, name in enumerate(table.columns):
        canvas.text((left + 64 + (j + 0.5) * width, top + height / 2), name, 15, page.ink, "mm")
    boxes = []
    for i, (name, row) in enumerate(zip(table.names, table.values, strict=True)):
        y = top + (i + 1) * height
        canvas.text((left + 56, y + height / 2), name, 14, page.ink, "rm")
        for j, value in enumerate(row):
            x = left + 64 + j * width
            shade = mixed(page.fill, colour, value / 100)
            canvas.rectangle((x + 1, y + 1, x + width - 1, y + height - 1), shade)
            ink = ink_on(table.colour) if value > 55 else page.ink
            canvas.text((x + width / 2, y + height / 2), str(value), 15, ink, "mm")
        boxes.append(Box(f"row {name}", table.colour, left + 64, y, right, y + height))
    return boxes


def _tiles(table: OtherTable, canvas: Canvas, area: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = area
    columns = 2 if len(table.names) <= 4 else 3
    width, height = (right - left) / columns, (bottom - top) / -(-len(table.names) // columns)
    boxes = []
    for i, (name, value) in enumerate(zip(table.names, table.first, strict=True)):
        x, y = left + (i % columns) * width, top + (i // columns) * height
        edges = (x + 5, y + 5, x + width - 5, y + height - 5)
        canvas.rectangle(edges, COLOURS[table.colour])
        ink = ink_on(table.colour)
        canvas.text((x + width / 2, y + height * 0.42), str(value), 34, ink, "mm")
        canvas.text((x + width / 2, y + height * 0.76), name, 15, ink, "mm")
        boxes.append(Box(f"tile {name}", table.colour, *edges))
    return boxes


def _ledger(table: OtherTable, canvas: Canvas, area: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = area
    ink, colour = BACKGROUNDS[table.background].ink, COLOURS[table.colour]
    height, width = (bottom - top) / (len(table.names) + 2), (right - left) / (len(table.columns) + 1)
    totals = tuple(sum(column) for column in zip(*table.values, strict=True))
    rows = [(table.theme, table.columns), *zip(table.names, table.values, strict=True), ("Total", totals)]
    boxes = []
    for i, (name, cells) in enumerate(rows):
        y = top + (i + 0.5) * height
        for j, cell in enumerate(cells):
            canvas.text((left + 4 + j * width, y), str(cell), 15, ink, "lm")
        canvas.text((right - 4, y), name, 15, ink, "rm")
        boxes.append(Box(f"row {name}", table.colour, left, top + i * height, right, top + (i + 1) * height))
    for y in (top + height, bottom - height):
        canvas.rectangle((left, y - 3, right, y + 3), colour)
    return boxes


def describe_table(table: OtherTable) -> Description:
    """Describe `table` in four wordings."""
    kind = {"heat": "heat table", "tile": "table of tiles", "ledger": "ledger"}[table.layout]
    noun = "tile" if table.layout == "tile" else "row"
    rows, about = count(len(table.names), noun), f"{table.topic.lower()} in {table.place}"
    largest = max(table.first)
    best = table.names[table.first.index(largest)]
    extra = " and a total below" if table.layout == "ledger" else ""
    wordings = (
        f"{sentence(a(kind))} about {about} on {a(table.background)} page, with {rows} in {table.colour}"
        f"{extra}. The largest {table.columns[0].lower()} is {largest}, for {best}.",
        f'{sentence(rows)}{extra} in {a(table.colour)} {kind}; the title "{table.title}" stands below it.',
        f"On {a(table.background)} page, {a(table.colour)} {kind} lists {about} by {table.theme.lower()}, "
        f"from {table.names[0]} to {table.names[-1]}.",
        f"The {kind} of {about} has {rows}{extra}; {best} has {largest}. Its colour is {table.colour}.",
    )
    exchanges = (
        ("What type of image is this?", "A table."),
        ("What kind of table is it?", f"{sentence(a(kind))}."),
        (f"How many {noun}s are there?", f"{len(table.names)}."),
        ("What is it about?", f"{table.title}."),
        ("What colour is it?", f"{sentence(table.colour)}."),
    )
    return Description(table.layout, "What does this table show?", wordings, exchanges)
