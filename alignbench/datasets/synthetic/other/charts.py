"""Charts of the second family: lollipops, areas, stacked bars, bubbles; the title is below."""

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
    UNITS,
    mixed,
    title_of,
)
from alignbench.datasets.synthetic.words import a, count, listing, sentence

if TYPE_CHECKING:
    import random

CHART_KINDS = ("lollipop", "area", "stacked", "bubble")
SIZES = ((448, 384), (448, 448), (384, 448))
NOUNS = {"lollipop": "stem", "area": "area", "stacked": "stack", "bubble": "bubble"}


@dataclass(frozen=True, slots=True)
class OtherChart:
    """A chart.

    Args:
        categories: the names along the axis or of the bubbles.
        unit: the unit of the values.
        colours: the colours of the stems (one), the areas, the parts of a stack, or the bubbles (one).
        values: numbers from 5 to 100; one row per colour, one column per category.
    """

    kind: str
    topic: str
    place: str
    size: tuple[int, int]
    background: str
    theme: str
    categories: tuple[str, ...]
    unit: str
    colours: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic}, {self.place}"

    @property
    def items(self) -> int:
        """The number of stems, areas, stacks or bubbles."""
        return len(self.colours) if self.kind == "area" else len(self.categories)

    @property
    def tops(self) -> list[int]:
        """The height that each category reaches: parts of a stack add up, an area hides what is behind it."""
        return [
            sum(column) if self.kind == "stacked" else max(column)
            for column in zip(*self.values, strict=True)
        ]


def imagine_chart(rng: random.Random) -> OtherChart:
    """Return a random chart; all four kinds are equally likely."""
    kind = rng.choice(CHART_KINDS)
    topic, place = title_of(rng)
    theme = rng.randrange(len(CATEGORIES))
    n = rng.randint(5, 8) if kind == "area" else rng.randint(3, 7)
    rows = {"lollipop": 1, "bubble": 1, "area": rng.randint(1, 2), "stacked": rng.randint(2, 3)}[kind]
    # parts of a stack share the height; a second area is wholly in front of the first
    spans = {"stacked": [(8, 100 // rows)] * rows, "area": [(50, 100), (8, 46)]}.get(kind, [(8, 100)])
    return OtherChart(
        kind=kind,
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(tuple(BACKGROUNDS)),
        theme=CATEGORY_WORDS[theme],
        categories=CATEGORIES[theme][:n],
        unit=rng.choice(UNITS),
        colours=tuple(rng.sample(tuple(COLOURS), rows)),
        values=tuple(tuple(rng.sample(range(*span), n)) for span in spans[:rows]),
    )


def paint_chart(chart: OtherChart, canvas: Canvas) -> list[Box]:
    """Draw `chart`; return the boxes of the stems, areas, stacks or bubbles."""
    canvas.face = "serif"
    ink, faint = BACKGROUNDS[chart.background].ink, BACKGROUNDS[chart.background].faint
    canvas.text((24, canvas.height - 22), chart.title, 27, ink, "ls")
    canvas.rectangle(
        (24, canvas.height - 14, canvas.width - 24, canvas.height - 10), COLOURS[chart.colours[0]]
    )
    left, top, right, bottom = 30.0, 34.0, canvas.width - 46.0, canvas.height - 84.0
    if chart.kind == "bubble":
        return _bubbles(chart, canvas, (left, top, right + 20, bottom))
    sideways = chart.kind == "lollipop"
    if not sideways:
        for tick in (20, 40, 60, 80, 100):
            y = bottom - (bottom - top) * tick / 100
            canvas.line([(left, y), (right, y)], faint)
            canvas.text((right + 6, y), str(tick), 13, ink, "lm")
        canvas.text((left, 20), chart.unit, 13, ink, "ls")
    box = (left, top, right, bottom)
    return {"lollipop": _stems, "area": _areas, "stacked": _stacks}[chart.kind](chart, canvas, box)


def _stems(chart: OtherChart, canvas: Canvas, box: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = box
    ink, colour = BACKGROUNDS[chart.background].ink, COLOURS[chart.colours[0]]
    step, start = (bottom - top + 20) / len(chart.categories), left + 50
    boxes = []
    for i, (name, value) in enumerate(zip(chart.categories, chart.values[0], strict=True)):
        y, end = top + (i + 0.5) * step - 6, start + (right - start) * value / 100
        canvas.line([(start, y), (end, y)], ink, 2.5)
        canvas.ellipse((end - 11, y - 11, end + 11, y + 11), colour)
        canvas.text((start - 8, y), name, 15, ink, "rm")
        canvas.text((end + 15, y), str(value), 14, ink, "lm")
        boxes.append(Box(f"stem {name}", chart.colours[0], start, y - 11, end + 11, y + 11))
    return boxes


def _areas(chart: OtherChart, canvas: Canvas, box: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = box
    fill = BACKGROUNDS[chart.background].fill
    step = (right - left) / (len(chart.categories) - 1)
    boxes = []
    for name, values in zip(chart.colours, chart.values, strict=True):
        points = [(left + i * step, bottom - (bottom - top) * value / 100) for i, value in enumerate(values)]
        canvas.polygon([(left, bottom), *points, (right, bottom)], mixed(COLOURS[name], fill, 0.25))
        canvas.line(points, COLOURS[name], 3)
        boxes.append(Box(f"{name} area", name, left, min(y for _, y in points), right, bottom))
    _names(chart, canvas, [left + i * step for i in range(len(chart.categories))], bottom)
    return boxes


def _stacks(chart: OtherChart, canvas: Canvas, box: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = box
    step = (right - left) / len(chart.categories)
    boxes = []
    for i, name in enumerate(chart.categories):
        x, low = left + (i + 0.5) * step, bottom
        for colour, values in zip(chart.colours, chart.values, strict=True):
            high = low - (bottom - top) * values[i] / 100
            canvas.rectangle((x - 0.28 * step, high, x + 0.28 * step, low), COLOURS[colour])
            low = high
        boxes.append(Box(f"stack {name}", chart.colours[0], x - 0.28 * step, low, x + 0.28 * step, bottom))
    _names(chart, canvas, [left + (i + 0.5) * step for i in range(len(chart.categories))], bottom)
    return boxes


def _bubbles(chart: OtherChart, canvas: Canvas, box: tuple[float, float, float, float]) -> list[Box]:
    left, top, right, bottom = box
    ink, colour = BACKGROUNDS[chart.background].ink, COLOURS[chart.colours[0]]
    n = len(chart.categories)
    columns = 2 if n <= 4 else 3
    rows = -(-n // columns)
    width, height = (right - left) / columns, (bottom - top + 14) / rows
    boxes = []
    for i, (name, value) in enumerate(zip(chart.categories, chart.values[0], strict=True)):
        x, y = left + (i % columns + 0.5) * width, top + (i // columns + 0.5) * height - 14
        radius = (0.16 + 0.3 * (value / 100) ** 0.5) * min(width, height)
        edges = (x - radius, y - radius, x + radius, y + radius)
        canvas.ellipse(edges, colour, ink, 2)
        canvas.text((x, y + radius + 4), f"{name} {value}", 14, ink, "ma")
        boxes.append(Box(f"bubble {name}", chart.colours[0], *edges))
    return boxes


def _names(chart: OtherChart, canvas: Canvas, places: list[float], bottom: float) -> None:
    for x, name in zip(places, chart.categories, strict=True):
        canvas.text((x, bottom + 6), name, 12, BACKGROUNDS[chart.background].ink, "ma")


def describe_chart(chart: OtherChart) -> Description:
    """Describe `chart` in four wordings."""
    kind = f"{chart.kind} chart"
    tops = chart.tops
    high, low = chart.categories[tops.index(max(tops))], chart.categories[tops.index(min(tops))]
    noun = NOUNS[chart.kind]
    what = f"{count(chart.items, noun)} in {listing(chart.colours)}"
    extremes = (
        f"{high} has the largest value, {max(tops)}, and {low} the smallest, {min(tops)}"
        if chart.kind in ("lollipop", "bubble")
        else f"the highest is {high} and the lowest is {low}"
    )
    about = f"{chart.topic.lower()} in {chart.place}"
    wordings = (
        f"{sentence(a(kind))} about {about} on {a(chart.background)} background, with {what}. "
        f"{sentence(extremes)}.",
        f'Below {a(kind)} stands the title "{chart.title}". It shows {what}; {extremes}.',
        f"{sentence(what)} on {a(chart.background)} page: {a(kind)} of {about} by {chart.theme.lower()}.",
        f"The {kind} on {about} goes from {chart.categories[0]} to {chart.categories[-1]} with {what}. "
        f"Its background is {chart.background}.",
    )
    exchanges = (
        ("What type of image is this?", "A chart."),
        ("What kind of chart is it?", f"{sentence(a(kind))}."),
        (f"How many {noun}s are there?", f"{chart.items}."),
        ("What is it about?", f"{chart.title}."),
        ("What colour is the background?", f"{sentence(chart.background)}."),
    )
    return Description(chart.kind, "What does this chart show?", wordings, exchanges)
