"""Documents of the second family: letters, posters and forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas, text_width, wrap
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.other.words import (
    BACKGROUNDS,
    CATEGORIES,
    COLOURS,
    PAGES,
    ink_on,
    title_of,
)
from alignbench.datasets.synthetic.words import a, count, listing, sentence

if TYPE_CHECKING:
    import random

STYLES = ("letter", "poster", "form")
SIZES = ((384, 448), (448, 448), (352, 448))
PEOPLE = CATEGORIES[-1]
FIELDS = ("Name", "Address", "Date", "Number", "Phone", "Reason", "Remarks")
LINES = (
    "Thank you for your note on {topic} in {place}.",
    "We counted {many} cases this week.",
    "Please come on day {day} and bring your papers.",
    "The office stays closed until then.",
    "There will be tea and time for questions.",
    "Nothing else has changed since last year.",
)


@dataclass(frozen=True, slots=True)
class OtherDocument:
    """A page.

    Args:
        style: one of `STYLES`.
        colour: the colour of the letterhead, the poster's block, or the form's boxes.
        items: the number of paragraphs, points or fields.
        person: the person who signs, speaks or is asked.
        many, day: the numbers in the text.
        order: the order of the fields.
    """

    style: str
    topic: str
    place: str
    size: tuple[int, int]
    background: str
    colour: str
    items: int
    person: str
    many: int
    day: int
    order: tuple[int, ...]

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic}, {self.place}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a form."""
        return tuple(FIELDS[i] for i in self.order[: self.items])

    def line(self, i: int) -> str:
        """The i-th sentence, filled in."""
        phrase = LINES[(self.day + i) % len(LINES)]
        return phrase.format(topic=self.topic.lower(), place=self.place, many=self.many, day=self.day)


def imagine_document(rng: random.Random) -> OtherDocument:
    """Return a random page."""
    topic, place = title_of(rng)
    return OtherDocument(
        style=rng.choice(STYLES),
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(PAGES),
        colour=rng.choice(tuple(COLOURS)),
        items=rng.randint(2, 5),
        person=rng.choice(PEOPLE),
        many=rng.randint(12, 98),
        day=rng.randint(2, 30),
        order=tuple(rng.sample(range(len(FIELDS)), len(FIELDS))),
    )


def paint_document(page: OtherDocument, canvas: Canvas) -> list[Box]:
    """Draw `page`; return the boxes of everything in the page's colour."""
    canvas.face = "mono" if page.style == "form" else "serif"
    return {"letter": _letter, "poster": _poster, "form": _form}[page.style](page, canvas)


def _letter(page: OtherDocument, canvas: Canvas) -> list[Box]:
    ink, colour = BACKGROUNDS[page.background].ink, COLOURS[page.colour]
    head = (canvas.width - 92.0, 26.0, canvas.width - 30.0, 88.0)
    canvas.ellipse(head, colour)
    canvas.text((34, 40), page.place, 15, ink)
    canvas.text((34, 62), f"Day {page.day}", 15, ink)
    canvas.text((34, 118), page.title, 22, ink, bold=True)
    y = 158.0
    for i in range(page.items):
        for line in wrap(page.line(i), 12, canvas.width - 68, "serif"):
            canvas.text((34, y), line, 12, ink)
            y += 16
        y += 10
    canvas.text((canvas.width - 34, canvas.height - 26), page.person, 20, colour, "rs", bold=True)
    return [Box("seal", page.colour, *head)]


def _poster(page: OtherDocument, canvas: Canvas) -> list[Box]:
    block = (0.0, 0.0, float(canvas.width), 0.52 * canvas.height)
    canvas.rectangle(block, COLOURS[page.colour])
    on, ink = ink_on(page.colour), BACKGROUNDS[page.background].ink
    canvas.text((canvas.width / 2, 0.2 * canvas.height), page.topic, 44, on, "mm", bold=True)
    canvas.text((canvas.width / 2, 0.36 * canvas.height), page.place, 34, on, "mm")
    step = 0.42 * canvas.height / page.items
    for i in range(page.items):
        y = 0.56 * canvas.height + (i + 0.5) * step
        canvas.rectangle((28, y - 6, 40, y + 6), COLOURS[page.colour])
        line, room = page.line(i), canvas.width - 70
        canvas.text((54, y), line, min(14, room / text_width(line, 1, "serif")), ink, "lm")
    return [Box("block", page.colour, *block)]


def _form(page: OtherDocument, canvas: Canvas) -> list[Box]:
    ink, colour = BACKGROUNDS[page.background].ink, COLOURS[page.colour]
    canvas.text((26, canvas.height - 20), page.title, 20, ink, "ls")
    step = (canvas.height - 70) / page.items
    boxes = []
    for i, name in enumerate(page.fields):
        y = 16 + i * step
        edges = (26.0, y + 22, canvas.width - 26.0, y + min(step - 6, 58))
        canvas.text((26, y), name, 16, ink)
        canvas.rectangle(edges, None, colour, 4)
        boxes.append(Box(f"field {name}", page.colour, *edges))
    left, top, right, bottom = boxes[0].left, boxes[0].top, boxes[0].right, boxes[0].bottom
    canvas.text(((left + right) / 2, (top + bottom) / 2), page.person, 15, ink, "mm")
    return boxes


def describe_document(page: OtherDocument) -> Description:
    """Describe `page` in four wordings."""
    about = f"{page.topic.lower()} in {page.place}"
    noun = {"letter": "paragraph", "poster": "point", "form": "field"}[page.style]
    parts = count(page.items, noun)
    detail = {
        "letter": f"{a(page.colour)} seal at the top right and the name {page.person} at the end",
        "poster": f"{a(page.colour)} block behind its title",
        "form": f"{page.colour} boxes for {listing([name.lower() for name in page.fields])}",
    }[page.style]
    wordings = (
        f"{sentence(a(page.style))} about {about} on {a(page.background)} page, with {parts} and {detail}.",
        f'{sentence(parts)} and {detail}: {a(page.style)} with the title "{page.title}".',
        f"On {a(page.background)} page, {a(page.style)} on {about} has {detail}.",
        f"The {page.style} on {about} has {parts}; its colour is {page.colour}, its page {page.background}.",
    )
    exchanges = (
        ("What type of image is this?", "A document."),
        ("What kind of document is it?", f"{sentence(a(page.style))}."),
        (f"How many {noun}s are there?", f"{page.items}."),
        ("What is it about?", f"{page.title}."),
        ("What colour is it?", f"{sentence(page.colour)}."),
    )
    return Description(page.style, "What does this document show?", wordings, exchanges)
