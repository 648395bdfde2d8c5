"""What charts show: bars, lines, slices or points with a title, labels and values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.words import (
    BACKGROUNDS,
    CATEGORIES,
    CATEGORY_WORDS,
    COLOURS,
    UNITS,
    title_of,
)
from alignbench.errors import InputError
from alignbench.registry import unknown

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LAYOUTS = {
    "bar": ("vertical", "horizontal"),
    "line": ("plain", "dotted"),
    "pie": ("full", "ring"),
    "scatter": ("round", "square"),
}
CHART_KINDS = tuple(LAYOUTS)
SIZES = ((448, 448), (448, 400), (448, 368), (416, 448))
TRENDS = ("rising", "falling", "peak", "valley", "mixed")
CLOUDS = ("rising", "falling", "scattered", "clustered")
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart.

    Args:
        colour: the colour's name.
        values: one value per category (bar, line), or a single value (a slice's per cent).
        points: x and y from 0 to 100 (scatter).
        trend: how the values run from left to right; "" for a slice, and if the values determine it.
    """

    colour: str
    values: tuple[int, ...] = ()
    points: Points = ()
    trend: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Args:
        layout: "vertical" or "horizontal" bars, "plain" or "dotted" lines, "full" or "ring" pies,
            "round" or "square" points.
        categories: the names on the x axis or of the slices.
        labels: the texts of the axes, x then y.
        highlight: the colour of the largest bar, if it has its own.
    """

    kind: str
    layout: str
    topic: str
    place: str
    size: tuple[int, int]
    background: str
    categories: tuple[str, ...]
    labels: tuple[str, str]
    series: tuple[Series, ...]
    highlight: str | None = None
    grid: bool = False

    @property
    def title(self) -> str:
        """The title as it is written."""
        return f"{self.topic} in {self.place}"

    def check(self) -> None:
        """Check that it can be drawn and described; colours are checked where they are used.

        Raises:
            InputError: the kind or layout does not exist, or series don't fit their categories or the axes.
        """
        if self.kind not in LAYOUTS:
            raise InputError(unknown("kind of chart", str(self.kind), LAYOUTS))
        if self.layout not in LAYOUTS[self.kind]:
            raise InputError(
                unknown(f"layout of a {self.kind} chart", str(self.layout), dict.fromkeys(LAYOUTS[self.kind]))
            )
        if not self.series or (self.kind == "bar" and len(self.series) > 1):
            raise InputError(f"series: expected one of a {self.kind} chart, got {len(self.series)}")
        if self.kind == "pie" and len(self.series) != len(self.categories):
            raise InputError(
                f"series: expected one for each of {len(self.categories)} slices, got {len(self.series)}"
            )
        for number, series in enumerate(self.series):
            self._check_series(number, series)

    def _check_series(self, number: int, series: Series) -> None:
        where = f"series {number}"
        if self.kind == "scatter":
            if not series.points or series.trend not in CLOUDS:
                raise InputError(f"{where}: expected points, and a trend of {', '.join(CLOUDS)}")
            values = [value for point in series.points for value in point]
        else:
            wanted = 1 if self.kind == "pie" else len(self.categories)
            if not series.values or len(series.values) != wanted:
                raise InputError(f"{where}: expected {wanted} values, got {len(series.values)}")
            if series.trend not in {"", "level", *TRENDS}:
                raise InputError(unknown("trend", str(series.trend), dict.fromkeys(TRENDS)))
            values = list(series.values)
        if wrong := [value for value in values if not 0 <= value <= 100]:
            raise InputError(
                f"{where}: {wrong[0]!r} does not fit the axis, which goes from 0 to 100; bar_chart() draws "
                "any numbers"
            )

    @property
    def items(self) -> int:
        """The number of bars, lines, slices or groups of points."""
        return len(self.categories) if self.kind == "bar" else len(self.series)


def imagine_chart(rng: random.Random) -> Chart:
    """Return a random chart; all four kinds are equally likely."""
    kind = rng.choice(CHART_KINDS)
    topic, place = title_of(rng)
    theme = rng.randrange(len(CATEGORIES))
    layout, names, series = _CONTENT[kind](rng, CATEGORIES[theme])
    highlight = None
    if kind == "bar" and rng.random() < 0.5:
        highlight = rng.choice([colour for colour in COLOURS if colour != series[0].colour])
    return Chart(
        kind=kind,
        layout=layout,
        topic=topic,
        place=place,
        size=rng.choice(SIZES),
        background=rng.choice(tuple(BACKGROUNDS)),
        categories=names,
        labels=(
            CATEGORY_WORDS[theme] if kind != "scatter" else rng.choice(("Age", "Price", "Size")),
            rng.choice(UNITS),
        ),
        series=series,
        highlight=highlight,
        grid=rng.random() < 0.5,
    )


def trending(rng: random.Random, n: int, trend: str) -> tuple[int, ...]:
    """Return `n` distinct values from 10 to 98 that strictly follow `trend`."""
    ordered = sorted(rng.sample(range(10, 99, 2), n))
    if trend == "rising":
        return tuple(ordered)
    if trend == "falling":
        return tuple(reversed(ordered))
    if trend == "peak":
        return tuple(ordered[0::2] + ordered[1::2][::-1])
    if trend == "valley":
        return tuple(ordered[0::2][::-1] + ordered[1::2])
    while turns(ordered) < 2:
        rng.shuffle(ordered)
    return tuple(ordered)


def trend_of(values: Sequence[float]) -> str:
    """Return how values run from left to right: one of `TRENDS`, or "level" if they are all the same."""
    steps = [after > before for before, after in pairwise(values) if after != before]
    if not steps:
        return "level"
    changes = sum(one != two for one, two in pairwise(steps))
    if changes > 1:
        return "mixed"
    return ("peak" if steps[0] else "valley") if changes else ("rising" if steps[0] else "falling")


def turns(values: list[int] | tuple[int, ...]) -> int:
    """Return how often the values change direction."""
    steps = [after > before for before, after in pairwise(values)]
    return sum(one != two for one, two in pairwise(steps))


def _bars(rng: random.Random, names: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[Series, ...]]:
    n = rng.randint(3, 8)
    trend = rng.choice(TRENDS if n > 3 else TRENDS[:4])
    series = Series(rng.choice(tuple(COLOURS)), trending(rng, n, trend), trend=trend)
    return rng.choice(("vertical", "vertical", "horizontal")), names[:n], (series,)


def _lines(rng: random.Random, names: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[Series, ...]]:
    n = rng.randint(5, 8)
    colours = rng.sample(tuple(COLOURS), rng.randint(1, 3))
    trends = [rng.choice(TRENDS) for _ in colours]
    series = tuple(Series(c, trending(rng, n, t), trend=t) for c, t in zip(colours, trends, strict=True))
    return rng.choice(("plain", "dotted")), names[:n], series


def _slices(rng: random.Random, names: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[Series, ...]]:
    n = rng.randint(3, 6)
    colours = rng.sample(tuple(COLOURS), n)
    cuts = [0, *sorted(rng.sample(range(1, 100 // 5), n - 1)), 100 // 5]
    shares = [5 * (right - left) for left, right in pairwise(cuts)]
    # one slice is certain to be the largest
    largest = shares.index(max(shares))
    donor = min((i for i in range(n) if i != largest), key=lambda i: -shares[i])
    shares[largest], shares[donor] = shares[largest] + 2, shares[donor] - 2
    series = tuple(Series(c, (share,)) for c, share in zip(colours, shares, strict=True))
    return rng.choice(("full", "ring")), names[:n], series


def _points(rng: random.Random, names: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[Series, ...]]:
    colours = rng.sample(tuple(COLOURS), rng.randint(1, 3))
    trend = rng.choice(CLOUDS)
    corners = rng.sample([(20, 20), (80, 80), (20, 80), (80, 20), (50, 50)], len(colours))
    series = []
    for colour, corner in zip(colours, corners, strict=True):
        n = rng.randint(8, 16)
        series.append(Series(colour, points=tuple(_point(rng, trend, corner) for _ in range(n)), trend=trend))
    return rng.choice(("round", "square")), (), tuple(series)


def _point(rng: random.Random, trend: str, corner: tuple[int, int]) -> tuple[float, float]:
    x = 100 * rng.random()
    if trend == "clustered":
        x, y = corner[0] + rng.gauss(0, 7), corner[1] + rng.gauss(0, 7)
    elif trend == "scattered":
        y = 100 * rng.random()
    else:
        y = (x if trend == "rising" else 100 - x) + rng.gauss(0, 7)
    return round(min(100, max(0, x)), 1), round(min(100, max(0, y)), 1)


_CONTENT = {"bar": _bars, "line": _lines, "pie": _slices, "scatter": _points}
