"""The vocabulary of the second family; it shares no colour, page, topic or place with the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.words import Background, NameTable

if TYPE_CHECKING:
    import random

    from alignbench.datasets.synthetic.words import RGB

COLOURS: NameTable[RGB] = NameTable(
    "colour",
    {
        "dark red": (132, 18, 34),
        "gold": (201, 152, 12),
        "lime": (146, 200, 44),
        "dark green": (10, 92, 52),
        "turquoise": (70, 205, 196),
        "light blue": (112, 172, 240),
        "navy": (20, 38, 118),
        "violet": (172, 62, 222),
        "grey": (124, 128, 134),
    },
)
BACKGROUNDS: NameTable[Background] = NameTable(
    "page colour",
    {
        "lavender": Background((231, 225, 249), faint=(196, 188, 222)),
        "mint": Background((212, 246, 235), faint=(170, 212, 198)),
        "sand": Background((239, 227, 198), faint=(208, 194, 158)),
        "rose": Background((252, 224, 231), faint=(222, 186, 196)),
        "black": Background((14, 14, 18), ink=(240, 240, 236), faint=(74, 74, 84)),
    },
)
PAGES = ("lavender", "mint", "sand", "rose")
TOPICS = (
    "Bread prices",
    "Train delays",
    "Bird counts",
    "Rents",
    "Wind power",
    "Film tickets",
    "Dairy",
    "School meals",
    "Noise",
    "Theatre",
    "Timber",
    "Ferry trips",
    "Ice cream",
    "Road works",
    "Honey",
    "Parks",
    "Fog",
    "Chess",
)
PLACES = (
    "Paris",
    "Kenya",
    "Boston",
    "Perth",
    "Prague",
    "Turin",
    "Bergen",
    "Quito",
    "Manila",
    "Dublin",
    "Athens",
    "Lagos",
)
CATEGORIES = (
    ("1 am", "4 am", "7 am", "10 am", "1 pm", "4 pm", "7 pm", "10 pm"),
    ("Oak", "Elm", "Ash", "Fir", "Yew", "Bay", "Fig", "Palm"),
    ("P", "Q", "R", "S", "T", "U", "V", "W"),
    ("1990", "1994", "1998", "2002", "2006", "2010", "2014", "2018"),
    ("Ivo", "Kai", "Lea", "Mia", "Noa", "Ola", "Pia", "Rex"),
)
CATEGORY_WORDS = ("Hour", "Tree", "Class", "Edition", "Player")
UNITS = ("euros", "litres", "visits", "minutes", "votes")
LIGHT = ("gold", "lime", "turquoise", "light blue")


def title_of(rng: random.Random) -> tuple[str, str]:
    """Return a topic and a place."""
    return rng.choice(TOPICS), rng.choice(PLACES)


def ink_on(colour: str) -> RGB:
    """Return white, or black if white would be unreadable on `colour`."""
    return (20, 20, 24) if colour in LIGHT else (255, 255, 255)


def mixed(colour: RGB, with_: RGB, share: float) -> RGB:
    """Return `colour` mixed with a share of another one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, with_, strict=True))
    return red, green, blue
