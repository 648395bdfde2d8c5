"""The vocabulary of the drawings: colours, backgrounds, topics, and helpers for English phrases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

from alignbench.errors import UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

RGB = tuple[int, int, int]
Value = TypeVar("Value")


class NameTable(dict[str, Value]):
    """Values by name; the error for an unknown name lists the known ones.

    Args:
        what: what the names stand for.
        entries: name -> value.
    """

    def __init__(self, what: str, entries: Mapping[str, Value]) -> None:
        super().__init__(entries)
        self.what = what

    def __missing__(self, name: object) -> NoReturn:
        raise UnknownNameError(unknown(self.what, str(name), self))


COLOURS: NameTable[RGB] = NameTable(
    "colour",
    {
        "red": (214, 39, 40),
        "orange": (245, 130, 32),
        "yellow": (238, 198, 36),
        "green": (44, 160, 60),
        "teal": (20, 170, 170),
        "blue": (40, 100, 220),
        "purple": (130, 70, 190),
        "pink": (235, 110, 180),
        "brown": (140, 90, 60),
    },
)


@dataclass(frozen=True, slots=True)
class Background:
    """A page colour with the colours of the writing on it."""

    fill: RGB
    ink: RGB = (30, 33, 38)
    faint: RGB = (196, 200, 206)


BACKGROUNDS: NameTable[Background] = NameTable(
    "page colour",
    {
        "white": Background((255, 255, 255)),
        "cream": Background((255, 246, 220)),
        "pale grey": Background((228, 231, 235), faint=(180, 184, 190)),
        "pale blue": Background((221, 236, 252), faint=(178, 194, 214)),
        "pale green": Background((224, 244, 226), faint=(178, 204, 182)),
        "dark": Background((36, 42, 51), ink=(238, 240, 243), faint=(86, 94, 106)),
    },
)
PAGES = ("white", "cream", "pale grey", "pale blue", "pale green")

TOPICS = (
    "Rainfall",
    "Exports",
    "Tourism",
    "Traffic",
    "Energy",
    "Wages",
    "Housing",
    "Coffee",
    "Fishing",
    "Solar power",
    "Book sales",
    "Bike trips",
    "Visitors",
    "Recycling",
    "Harvest",
    "Air quality",
    "Museums",
    "Snowfall",
    "Football",
    "Water use",
)
PLACES = (
    "Oslo",
    "Lima",
    "Kyoto",
    "Cairo",
    "Texas",
    "Wales",
    "Seoul",
    "Chile",
    "Delhi",
    "Ghana",
    "Milan",
    "Quebec",
)
UNITS = ("units", "tonnes", "points", "thousands", "index", "share")
CATEGORIES = (
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"),
    ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Hol"),
    ("A", "B", "C", "D", "E", "F", "G", "H"),
    ("2015", "2016", "2017", "2018", "2019", "2020", "2021", "2022"),
    ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana"),
    ("East", "West", "North", "South", "Coast", "Hills", "Lakes", "City"),
)
CATEGORY_WORDS = ("Month", "Day", "Group", "Year", "Person", "Area")
COUNTS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def ink_on(colour: str) -> RGB:
    """Return white, or black if white would be unreadable on `colour`."""
    return (30, 33, 38) if colour in ("yellow", "orange") else (255, 255, 255)


def title_of(rng: random.Random) -> tuple[str, str]:
    """Return a topic and a place."""
    return rng.choice(TOPICS), rng.choice(PLACES)


def count(n: int, noun: str) -> str:
    """Return `n` in words with its noun: `one bar`, `three bars`."""
    return f"{in_words(n)} {plural(noun) if n != 1 else noun}"


def in_words(n: int) -> str:
    """Return `n` as a word up to twelve, and as digits above."""
    return COUNTS[n] if n < len(COUNTS) else str(n)


def plural(noun: str) -> str:
    """Return the plural of a regular noun."""
    return noun + ("es" if noun.endswith(("s", "x", "ch")) else "s")


def listing(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def a(phrase: str) -> str:
    """Return `phrase` with its indefinite article."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning."""
    return text[0].upper() + text[1:]
