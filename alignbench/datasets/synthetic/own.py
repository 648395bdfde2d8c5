"""Drawings of your own content: charts, tables, documents and shapes with any text and any numbers.

Pages grow with their content, and text is drawn in whichever font of this machine has its characters.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from alignbench.datasets.synthetic.canvas import Canvas, text_width
from alignbench.datasets.synthetic.flow import lines_of
from alignbench.datasets.synthetic.own_input import (
    cell_text,
    check_list,
    check_number,
    check_text,
    is_missing,
    is_number,
    number_text,
    sections_of,
    table_of,
)
from alignbench.datasets.synthetic.shapes import SHAPES, SIDE, Shape, ShapeScene, paint_scene
from alignbench.datasets.synthetic.source import SIDES, Synthetic
from alignbench.datasets.synthetic.words import BACKGROUNDS, COLOURS, ink_on
from alignbench.errors import InputError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image

    from alignbench.datasets.dataset import Dataset
    from alignbench.datasets.synthetic.words import Background

LONGEST = SIDES.stop - 1  # the longest side of a page, in its units
WIDTH = 448.0
MARGIN = 24.0
TITLE, TITLE_LINE = 28.0, 36.0
LABEL = 15.0
PLOT = 280.0  # the height of a chart's axes
CELL, CELL_LINE, WIDEST_CELL = 17.0, 23.0, 300.0
HEADING, HEADING_LINE = 20.0, 28.0
BODY, BODY_LINE = 13.0, 18.0
_SMOOTH = 2


def bar_chart(
    categories: Sequence[object],
    values: Sequence[float],
    title: str,
    *,
    labels: tuple[str, str] = ("", ""),
    colour: str = "blue",
    background: str = "white",
    size: int | None = None,
) -> Image:
    """Return a chart of vertical bars for any finite numbers, with their values written next to them.

    Args:
        categories: the name of each bar.
        values: the value of each bar; a negative one goes down.
        title: the text above it; a long one takes several lines.
        labels: the texts of the axes, x then y.
        colour: the colour of the bars, from `words.COLOURS`.
        background: the page colour, from `words.BACKGROUNDS`.
        size: the longer side in pixels; by default, as large as the content needs.

    Raises:
        InputError: categories and values don't match, numbers are not finite, texts can't be drawn, or there
            is more than fits on a page.
        UnknownNameError: an unknown colour.
    """
    names = [check_text(name, f"category {i}") for i, name in enumerate(check_list(categories, "categories"))]
    numbers = [check_number(value, f"value {i}") for i, value in enumerate(check_list(values, "values"))]
    if len(names) != len(numbers):
        raise InputError(
            f"categories and values: expected one value a category, got {len(names)} and {len(numbers)}"
        )
    along, upward = (check_text(label, "labels", empty=True) for label in labels)
    fill = _known(COLOURS, colour)
    ticks = _ticks(min(0.0, *numbers), max(0.0, *numbers))
    written = [number_text(value) for value in numbers]
    widest = max(text_width(text, LABEL) for text in (*names, *written))
    left = MARGIN + max(text_width(number_text(t), LABEL) for t in ticks) + 8 + (24 if upward else 0)
    step = max(34.0, widest + 12)
    width = max(WIDTH, left + step * len(names) + MARGIN)
    step = (width - left - MARGIN) / len(names)
    below = 20.0 if min(numbers) < 0 else 0.0  # space for the values of bars that go down
    lines = _title_lines(title, width)
    top = MARGIN + TITLE_LINE * len(lines) + 24
    bottom = top + PLOT
    height = bottom + below + 30 + (26 if along else 0) + 6
    page = _Sheet(width, height, background, size, f"{len(names)} bars")
    page.title(lines)

    def level(value: float) -> float:
        # Halves first: the difference of two numbers may overflow.
        span = ticks[-1] / 2 - ticks[0] / 2
        return bottom - (value / 2 - ticks[0] / 2) / span * PLOT

    right = width - MARGIN
    for tick in ticks:
        page.line((left, level(tick)), (right, level(tick)), page.colours.faint)
        page.text((left - 8, level(tick)), number_text(tick), LABEL, "rm")
    for i, (name, value, text) in enumerate(zip(names, numbers, written, strict=True)):
        x = left + (i + 0.5) * step
        start, end = sorted((level(0.0), level(value)))
        page.canvas.rectangle((x - 0.36 * step, start, x + 0.36 * step, end), fill)
        page.text((x, start - 5 if value >= 0 else end + 18), text, LABEL, "ms")
        page.text((x, bottom + below + 8), name, LABEL, "ma")
    page.line((left, top), (left, bottom), page.colours.ink, 2)
    page.line((left, level(0.0)), (right, level(0.0)), page.colours.ink, 2)
    if along:
        page.text(((left + right) / 2, height - 12), along, 17, "ms")
    if upward:
        page.canvas.upward_text((MARGIN / 2 + 6, (top + bottom) / 2), upward, 17, page.colours.ink)
    return page.image()


def table_image(
    data: object,
    title: str,
    *,
    header: str = "blue",
    background: str = "white",
    size: int | None = None,
) -> Image:
    """Return a table; columns of numbers are right-aligned, long cells take several lines.

    Args:
        data: a pandas DataFrame (without its index), a mapping of columns by name, or rows with the header
            first. A number is written with up to ten digits, a missing value as a dash.
        title: the text above it.
        header: the colour of the header row, from `words.COLOURS`.
        background: the page colour, from `words.BACKGROUNDS`.
        size: the longer side in pixels; by default, as large as the content needs.

    Raises:
        InputError: columns or rows differ in length, texts can't be drawn, or there is more than fits on a
            page.
        UnknownNameError: an unknown colour.
    """
    head, body = table_of(data)
    fill, ink = _known(COLOURS, header), ink_on(header)
    rows = [[cell_text(cell, f"row {i}, {head[j]!r}") for j, cell in enumerate(row)]
            for i, row in enumerate(body, start=1)]  # fmt: skip
    numeric = [
        bool(body) and all(is_number(row[j]) or is_missing(row[j]) for row in body) for j in range(len(head))
    ]
    natural = [max(text_width(row[j], CELL) for row in (head, *rows)) for j in range(len(head))]
    widths = [max(40.0, min(WIDEST_CELL, each) + 22) for each in natural]
    spare = WIDTH - 2 * MARGIN - sum(widths)
    widths = [each + max(0.0, spare) / len(widths) for each in widths]
    cells = [
        [lines_of(text, CELL, width - 20) for text, width in zip(row, widths, strict=True)]
        for row in (head, *rows)
    ]
    heights = [12 + CELL_LINE * max(1, *map(len, row)) for row in cells]
    width = sum(widths) + 2 * MARGIN
    lines = _title_lines(title, width)
    y = MARGIN + TITLE_LINE * len(lines) + 10
    height = y + sum(heights) + MARGIN
    page = _Sheet(width, height, background, size, f"{len(rows)} rows of {len(head)} columns")
    page.title(lines)
    for number, (row, tall) in enumerate(zip(cells, heights, strict=True)):
        if number == 0:
            page.canvas.rectangle((MARGIN, y, width - MARGIN, y + tall), fill)
        elif number % 2 == 0:
            page.canvas.rectangle((MARGIN, y, width - MARGIN, y + tall), page.colours.faint)
        x = MARGIN
        for j, own in enumerate(row):
            at, anchor = (x + widths[j] - 10, "rm") if numeric[j] else (x + 10, "lm")
            first = y + tall / 2 - CELL_LINE * (len(own) - 1) / 2
            for k, line in enumerate(own):
                colour = ink if number == 0 else None
                page.text((at, first + k * CELL_LINE), line, CELL, anchor, colour, bold=number == 0)
            x += widths[j]
        y += tall
    page.line((MARGIN, y), (width - MARGIN, y), page.colours.ink, 1.5)
    return page.image()


def document_image(
    title: str,
    sections: Mapping[str, str] | Sequence[tuple[str, str]],
    *,
    accent: str = "blue",
    background: str = "white",
    size: int | None = None,
) -> Image:
    """Return a page with a title and sections of running text, in one column.

    Args:
        title: of the document.
        sections: heading -> text, or pairs of both; a line break in a text begins a new paragraph.
        accent: the colour of line and headings, from `words.COLOURS`.
        background: the page colour, from `words.BACKGROUNDS`.
        size: the longer side in pixels; by default, as large as the content needs.

    Raises:
        InputError: there are no sections, texts can't be drawn, or there is more than fits on a page.
        UnknownNameError: an unknown colour.
    """
    found, colour = sections_of(sections), _known(COLOURS, accent)
    left, room = MARGIN + 10, WIDTH - 2 * (MARGIN + 10)
    placed: list[tuple[float, str, float, bool]] = []  # y, text, size, whether it is a heading
    lines = _title_lines(title, WIDTH)
    y = MARGIN + TITLE_LINE * len(lines) + 26
    for heading, text in found:
        for line in lines_of(heading, HEADING, room):
            placed.append((y, line, HEADING, True))
            y += HEADING_LINE
        for paragraph in text.splitlines():
            for line in lines_of(paragraph, BODY, room):
                placed.append((y, line, BODY, False))
                y += BODY_LINE
            y += 4
        y += 12
    page = _Sheet(WIDTH, max(WIDTH, y + 12), background, size, f"{len(found)} sections of this length")
    page.title(lines)
    under = MARGIN + TITLE_LINE * len(lines) + 6
    page.line((left, under), (WIDTH - left, under), colour, 5)
    for at, line, points, is_heading in placed:
        page.text((left, at), line, points, "la", colour if is_heading else None, bold=is_heading)
    return page.image()


def shapes_image(shapes: Sequence[tuple[str, str]], *, background: str = "white", size: int = SIDE) -> Image:
    """Return a picture of shapes, each in its own cell, row by row.

    Args:
        shapes: name and colour of each: ("circle", "red"); names of `SHAPES`, colours of `words.COLOURS`.
        background: the page colour, from `words.BACKGROUNDS`.
        size: the side in pixels.

    Raises:
        InputError: there are no shapes, or one is not a pair of a name and a colour.
        UnknownNameError: an unknown shape or colour.
    """
    wanted = check_list(shapes, "shapes")
    columns = math.ceil(math.sqrt(len(wanted)))
    cell = SIDE / columns
    drawn = []
    for number, pair in enumerate(wanted):
        if isinstance(pair, str) or not isinstance(pair, Collection) or len(pair) != 2:
            raise InputError(f"shape {number}: expected a name and a colour, got {pair!r}")
        name, colour = map(str, pair)
        if name not in SHAPES:
            raise UnknownNameError(unknown("shape", name, dict.fromkeys(SHAPES)))
        _known(COLOURS, colour)
        x, y = cell * (number % columns + 0.5), cell * (number // columns + 0.5)
        drawn.append(Shape(name, colour, number, x, y, 0.42 * cell))
    page = _Sheet(SIDE, SIDE, background, size, f"{len(wanted)} shapes")
    paint_scene(ShapeScene(tuple(drawn), background), page.canvas)
    return page.image()


def simple_shapes(n: int, *, seed: int = 0) -> Dataset:
    """Return `n` drawings of one to four shapes each, with texts; `Synthetic` has more options."""
    return Synthetic(seed, types="shapes").dataset(n)


def categorized_shapes(n_per_category: int, categories: Sequence[str] = SHAPES, *, seed: int = 0) -> Dataset:
    """Return `n_per_category` drawings of a single shape for each category, which is the data type.

    Args:
        n_per_category: the number of drawings of each category.
        categories: names of `SHAPES`.
        seed: selects the stream of drawings.

    Raises:
        UnknownNameError: a category is not a shape.
    """
    for name in check_list(categories, "categories"):
        if name not in SHAPES:
            raise UnknownNameError(unknown("shape", str(name), dict.fromkeys(SHAPES)))
    return Synthetic(seed, types=categories).dataset(n_per_category)


class _Sheet:
    """A page as large as its content, with its colours."""

    def __init__(self, width: float, height: float, background: str, size: int | None, what: str) -> None:
        longer = max(width, height)
        if longer > LONGEST:
            raise InputError(
                f"{what} need a page of {width:,.0f} by {height:,.0f}, and the longest side there is has "
                f"{LONGEST:,}: draw fewer, or shorter texts"
            )
        if size is not None and (isinstance(size, bool) or size not in SIDES):
            raise InputError(
                f"size: expected a whole number, {SIDES.start} to {SIDES.stop - 1}, got {size!r}"
            )
        self.colours: Background = _known(BACKGROUNDS, background)
        scale = 1.0 if size is None else size / longer
        self.canvas = Canvas((math.ceil(width), math.ceil(height)), self.colours.fill, scale * _SMOOTH)

    def title(self, lines: Sequence[str]) -> None:
        for i, line in enumerate(lines):
            at = (self.canvas.width / 2, MARGIN - 6 + i * TITLE_LINE)
            self.text(at, line, TITLE, "ma", bold=True)

    def text(
        self,
        at: tuple[float, float],
        text: str,
        points: float,
        anchor: str,
        colour: tuple[int, int, int] | None = None,
        *,
        bold: bool = False,
    ) -> None:
        self.canvas.text(at, text, points, colour or self.colours.ink, anchor, bold=bold)

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: tuple[int, int, int],
        width: float = 1,
    ) -> None:
        self.canvas.line([start, end], colour, width)

    def image(self) -> Image:
        return self.canvas.smoothed(_SMOOTH)


def _known(table: Any, name: object) -> Any:
    return table[name if isinstance(name, str) else repr(name)]


def _title_lines(title: object, width: float) -> list[str]:
    return lines_of(check_text(title, "title"), TITLE, width - 2 * MARGIN)


def _ticks(low: float, high: float) -> list[float]:
    """Return four to seven round numbers from `low` or less to `high` or more."""
    raw = (high / 4 - low / 4) or 0.25
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]
