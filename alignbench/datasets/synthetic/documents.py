"""Documents: a titled page with Introduction, Methods and Results, in one or two columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas, Rectangle, wrap
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.words import (
    BACKGROUNDS,
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

STYLES = ("banner", "underlined", "striped", "plain")
FIGURES = ("bars", "curve", "photo")
SIZES = ((368, 448), (400, 448), (448, 448))
SECTIONS = ("Introduction", "Methods", "Results")
BODY = 12.5
LINE = 16.5
HEADING = 28.0
FIGURE = 92.0
PHRASES = (
    "We study {topic} in {place} over {years} years.",
    "Data come from {sites} sites.",
    "Earlier work looked at {topic} in other places.",
    "Each site was visited {visits} times.",
    "The mean grew by {growth} percent.",
    "A simple model explains most of it.",
    "We compare the sites with each other.",
    "The trend holds in every season.",
    "Missing values were left out.",
    "Further work should look at the causes.",
)


@dataclass(frozen=True, slots=True)
class Document:
    """A page.

    Args:
        columns: 1 or 2.
        style: one of `STYLES`: how the accent colour is used around the headings.
        accent: the colour of headings and style.
        sections: their headings.
        figure: one of `FIGURES`, or None; `figure_colour` and `figure_place` ("top" or "bottom") go with it.
        sites, years, visits, growth: the numbers in the text.
        order: the order in which the phrases are used.
    """

    topic: str
    place: str
    size: tuple[int, int]
    background: str
    columns: int
    style: str
    accent: str
    sections: tuple[str, ...]
    figure: str | None
    figure_colour: str
    figure_place: str
    sites: int
    years: int
    visits: int
    growth: int
    order: tuple[int, ...]

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic} in {self.place}"

    @property
    def layout(self) -> str:
        """The kind of document."""
        return "one-column" if self.columns == 1 else "two-column"


def imagine_document(rng: random.Random) -> Document:
    """Return a random page."""
    topic, place = title_of(rng)
    sections = list(SECTIONS)
    if rng.random() < 0.4:
        sections.insert(0, "Abstract")
    if rng.random() < 0.4:
        sections.append("Discussion")
    accent = rng.choice(tuple(COLOURS))
    return Document(
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(PAGES),
        columns=rng.choice((1, 2)),
        style=rng.choice(STYLES),
        accent=accent,
        sections=tuple(sections),
        figure=rng.choice((*FIGURES, None)),
        figure_colour=rng.choice([c for c in COLOURS if c != accent]),
        figure_place=rng.choice(("top", "bottom")),
        sites=rng.randint(12, 98),
        years=rng.randint(2, 20),
        visits=rng.randint(2, 9),
        growth=rng.randint(3, 60),
        order=tuple(rng.sample(range(len(PHRASES)), len(PHRASES))),
    )


def paint_document(page: Document, canvas: Canvas) -> list[Box]:
    """Draw `page`; return the boxes of the accent (banner, line or stripe), the headings and the figure."""
    boxes = _paint_head(page, canvas)
    left, right, top, bottom = 34.0, canvas.width - 22.0, 82.0, canvas.height - 16.0
    if page.figure:
        edges = (
            (left, top, right, top + FIGURE)
            if page.figure_place == "top"
            else (left, bottom - FIGURE, right, bottom)
        )
        _paint_figure(page, canvas, edges)
        boxes.append(Box(f"figure of {page.figure}", page.figure_colour, *edges))
        top, bottom = (top + FIGURE + 8, bottom) if page.figure_place == "top" else (top, bottom - FIGURE - 8)
    half = -(-len(page.sections) // page.columns)
    width = (right - left - 18 * (page.columns - 1)) / page.columns
    for column in range(page.columns):
        x = left + column * (width + 18)
        flow = range(column * half, min((column + 1) * half, len(page.sections)))
        boxes += _paint_sections(page, canvas, flow, (x, top, x + width, bottom))
    return boxes


def _paint_head(page: Document, canvas: Canvas) -> list[Box]:
    colour, ink = COLOURS[page.accent], BACKGROUNDS[page.background].ink
    edges: Rectangle | None = {
        "banner": (0.0, 0.0, float(canvas.width), 70.0),
        "underlined": (34.0, 62.0, canvas.width - 22.0, 70.0),
        "striped": (0.0, 0.0, 20.0, float(canvas.height)),
    }.get(page.style)
    if edges:
        canvas.rectangle(edges, colour)
    canvas.text((34, 20), page.title, 31, ink_on(page.accent) if page.style == "banner" else ink, bold=True)
    return [Box(page.style, page.accent, *edges)] if edges else []


def _paint_sections(page: Document, canvas: Canvas, flow: range, area: Rectangle) -> list[Box]:
    left, top, right, bottom = area
    share = (bottom - top) / len(flow)
    boxes = []
    for place, index in enumerate(flow):
        y = top + place * share
        heading = (left, y, right, y + HEADING)
        canvas.text((left, y + 2), page.sections[index], 20, COLOURS[page.accent], bold=True)
        boxes.append(Box(page.sections[index], page.accent, *heading))
        room = int((share - HEADING - 4) / LINE)
        for i, line in enumerate(_body(page, index, right - left, room)):
            at = (left, y + HEADING + i * LINE)
            canvas.text(at, line, BODY, BACKGROUNDS[page.background].ink)
    return boxes


def _body(page: Document, section: int, width: float, room: int) -> list[str]:
    """Return whole sentences in at most `room` lines."""
    text, lines = "", []
    for step in range(len(PHRASES)):
        phrase = PHRASES[page.order[(section * 3 + step) % len(PHRASES)]]
        text = f"{text} {_filled(page, phrase)}"
        longer = wrap(text, BODY, width)
        if len(longer) > room:
            break
        lines = longer
    return lines or wrap(text, BODY, width)[:room]


def _filled(page: Document, phrase: str) -> str:
    return phrase.format(
        topic=page.topic.lower(),
        place=page.place,
        years=page.years,
        sites=page.sites,
        visits=page.visits,
        growth=page.growth,
    )


def _paint_figure(page: Document, canvas: Canvas, edges: Rectangle) -> None:
    left, top, right, bottom = edges
    colour, background = COLOURS[page.figure_colour], BACKGROUNDS[page.background]
    step = (right - left) / 8
    # any heights will do, as long as they are specific to this page
    heights = [0.25 + 0.7 * ((page.sites * (i + 3) * 7 + page.growth * i * i) % 31) / 31 for i in range(8)]
    if page.figure == "photo":
        canvas.rectangle(edges, colour)
        canvas.polygon(
            [
                (left, bottom),
                (left + 2.4 * step, top + 26),
                (left + 4.2 * step, bottom - 16),
                (left + 5.6 * step, top + 40),
                (right, bottom),
            ],
            (colour[0] // 2, colour[1] // 2, colour[2] // 2),
        )
        canvas.ellipse((right - 52, top + 10, right - 26, top + 36), (255, 255, 255))
        return
    canvas.rectangle(edges, None, background.ink, 1.5)
    if page.figure == "bars":
        for i, height in enumerate(heights):
            x = left + (i + 0.5) * step
            canvas.rectangle(
                (x - 0.33 * step, bottom - height * (bottom - top - 8), x + 0.33 * step, bottom), colour
            )
    else:
        points = [
            (left + (i + 0.5) * step, bottom - 8 - h * (bottom - top - 22)) for i, h in enumerate(heights)
        ]
        canvas.line(points, colour, 7)


def describe_document(page: Document) -> Description:
    """Describe `page` in four wordings."""
    colour = page.figure_colour
    figure = {
        "bars": f"a figure of {colour} bars",
        "curve": f"a figure of {a(colour)} curve",
        "photo": f"{a(colour)} photo of mountains",
        None: "no figure",
    }[page.figure]
    where = f" at the {page.figure_place}" if page.figure else ""
    style = {
        "banner": f"{a(page.accent)} banner behind the title",
        "underlined": f"{a(page.accent)} line below the title",
        "striped": f"{a(page.accent)} stripe along the left edge",
        "plain": f"{page.accent} headings and no decoration",
    }[page.style]
    sections, paper = count(len(page.sections), "section"), f"{page.background} paper"
    wordings = (
        f'A {page.layout} document titled "{page.title}" on {paper}, with {page.accent} headings '
        f"and {style}. It has {sections} and {figure}{where}.",
        f"On {paper}, a page in {count(page.columns, 'column')} about {page.topic.lower()} in {page.place}, "
        f"with {style}. "
        f"{sentence(figure)} is seen{where}, and {listing(page.sections)} are the headings.",
        f"{sentence(sections)} in a {page.layout} document: {listing(page.sections)}. "
        f'Its title is "{page.title}" and it has {style}. '
        f"The text speaks of {page.sites} sites and a growth of {page.growth} percent.",
        f'The document "{page.title}" is set in {count(page.columns, "column")} on {paper} '
        f"and shows {figure}{where}. Its headings are {page.accent}, "
        f"from {page.sections[0]} to {page.sections[-1]}.",
    )
    exchanges = (
        ("What type of image is this?", "A document."),
        ("What kind of document is it?", f"A {page.layout} document."),
        ("How many sections are there?", f"{len(page.sections)}."),
        ("What is it about?", f"{page.title}."),
        ("What colour are the headings?", f"{sentence(page.accent)}."),
    )
    return Description(page.layout, "What does this document show?", wordings, exchanges)
