"""A contact sheet: pictures with what is said about them."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from alignbench.files import replacing
from alignbench.plots.fonts import boxes_message, fallback_fonts, set_fallback_fonts
from alignbench.plots.style import DPI, INK, MUTED, new_figure, styled
from alignbench.text import clean, display_width, fit
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from PIL.Image import Image

COLUMNS = 4
_CELL = (2.6, 2.95)  # inches
_PICTURE = 1.75  # inches, its height
_GAP = 0.16
_HEAD, _FOOT = 0.5, 0.1
_BELOW = 0.06
_WIDTH = _CELL[0] - _GAP
_LINE = 0.155
_MOST_LINES = 5
_SIZE = 7.5
_TITLE_SIZE = 11
_WORD = re.compile(r"\S+\s*")
_MOST_PIXELS = 420
_MOST_LETTERS = 600
_GROUND = "#F4F4F4"


class Card(NamedTuple):
    """A picture on the sheet.

    Args:
        picture: the image, or why it can't be shown.
        name: its name.
        kind: its data type.
        text: the text that it is paired with.
        further: the number of its other texts.
    """

    picture: Image | str
    name: str
    kind: str
    text: str
    further: int = 0


class _Measure(Protocol):
    """Returns how wide a text is drawn, in inches."""

    def __call__(self, text: str, *, size: float = _SIZE, weight: str = "normal") -> float: ...


@styled
def contact_sheet(cards: Sequence[Card], title: str) -> Figure:
    """Draw cards in rows: the picture, its type and name, and as much of its text as has room."""
    columns = max(2, min(COLUMNS, len(cards)))  # the title needs the width of two
    rows = -(-len(cards) // columns)
    width, height = columns * _CELL[0] + _GAP, rows * _CELL[1] + _HEAD + _FOOT
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    measure = _measure_on(figure)
    look: Any = {"size": _TITLE_SIZE, "weight": "bold"}
    shown = _shortened(clean(title), width - 2 * _GAP, lambda text: measure(text, **look))
    figure.text(_GAP / width, 1 - _GAP / height, shown, va="top", color=INK, **look)
    for i, card in enumerate(cards):
        left = (i % columns) * _CELL[0] + _GAP
        top = height - _HEAD - (i // columns) * _CELL[1]
        _draw_picture(figure, card.picture, left, top, measure)
        _write(figure, card, left, top - _PICTURE - _BELOW, measure)
    return figure


@styled
def save_sheet(figure: Figure, path: Path) -> str:
    """Write a sheet as PNG in one step; return the sentence that says which letters are boxes, "" of none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    set_fallback_fonts(figure)
    with replacing(path) as temporary, temporary.open("wb") as file:
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return boxes_message(fallback_fonts(figure).missing)


def _draw_picture(figure: Figure, picture: Image | str, left: float, top: float, measure: _Measure) -> None:
    """Draw a picture on its ground, as large as it fits without a change of its shape."""
    width, height = figure.get_size_inches()
    ax = figure.add_axes((left / width, (top - _PICTURE) / height, _WIDTH / width, _PICTURE / height))
    ax.set(xticks=[], yticks=[], facecolor=_GROUND)
    ax.spines[:].set_visible(False)
    if isinstance(picture, str):
        why = "\n".join(_wrapped(clean(picture), _WIDTH - 2 * _GAP, 6, measure))
        ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", size=_SIZE, color=MUTED)
    else:
        small = picture.copy()
        small.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
        scale = min(_WIDTH / small.width, _PICTURE / small.height) / 2
        x, y = small.width * scale, small.height * scale
        ax.imshow(small, extent=(-x, x, -y, y), aspect="auto", interpolation="antialiased")
    ax.set(xlim=(-_WIDTH / 2, _WIDTH / 2), ylim=(-_PICTURE / 2, _PICTURE / 2))


def _write(figure: Figure, card: Card, left: float, top: float, measure: _Measure) -> None:
    """Write a card's type and name, and below them its text."""
    width, height = figure.get_size_inches()

    def put(line: int, text: str, x: float = left, **look: Any) -> None:
        figure.text(x / width, (top - line * _LINE) / height, text, va="top", size=_SIZE, **look)

    kind = _shortened(clean(card.kind), _WIDTH / 2, lambda text: measure(text, weight="bold"))
    put(0, kind, color=INK, weight="bold")
    room = _WIDTH - measure(kind, weight="bold") - _GAP
    put(0, _shortened(clean(card.name), room, measure), left + _WIDTH, color=MUTED, ha="right")
    further = f"and {plural(card.further, 'further text')}" if card.further else ""
    lines = _wrapped(clean(card.text)[:_MOST_LETTERS], _WIDTH, _MOST_LINES - bool(further), measure)
    for number, line in enumerate(lines, 1):
        put(number, line, color=INK)
    put(len(lines) + 1, further if lines else "no text", color=MUTED)


def _shortened(name: str, room: float, measure: Callable[[str], float]) -> str:
    """Return a name that fits in `room` inches, shortened in its middle."""
    if measure(name) <= room:
        return name
    whole = display_width(name)
    return next((short for n in range(whole, 1, -1) if measure(short := fit(name, n)) <= room), "")


def _wrapped(text: str, room: float, most: int, measure: _Measure) -> list[str]:
    """Return a text in at most `most` lines of `room` inches; an ellipsis says that there is more of it."""
    lines = [""]
    for unit in _units(text, room, measure):
        if lines[-1] and measure((lines[-1] + unit).rstrip()) > room:
            if len(lines) == most:
                last = lines[-1].rstrip()
                while last and measure(last + "…") > room:
                    last = last[:-1]
                return [*lines[:-1], last + "…"]
            lines.append("")
        lines[-1] += unit
    return [line.rstrip() for line in lines if line]


def _units(text: str, room: float, measure: _Measure) -> Iterator[str]:
    """Yield what no line ends within: words; letters of CJK writing, and of words longer than a line."""
    for word in _WORD.findall(text):
        if display_width(word) == len(word) and measure(word.rstrip()) <= room:
            yield word
            continue
        letter = ""
        for character in word:
            if letter and not (character.isspace() or unicodedata.category(character).startswith("M")):
                yield letter
                letter = ""
            letter += character
        yield letter


def _measure_on(figure: Figure) -> _Measure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    renderer = FigureCanvasAgg(figure).get_renderer()

    def measure(text: str, *, size: float = _SIZE, weight: str = "normal") -> float:
        font = FontProperties(size=size, weight=weight)
        return float(renderer.get_text_width_height_descent(text, font, False)[0]) / DPI

    return measure
