"""Drawings of one's own content: it is all there, in any script, and what can't be drawn is said."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ImageFont

from alignbench.datasets.synthetic import (
    SHAPES,
    bar_chart,
    canvas,
    categorized_shapes,
    describe,
    document_image,
    draw,
    lettering,
    own,
    shapes_image,
    simple_shapes,
    table_image,
)
from alignbench.datasets.synthetic.charts import Chart, Series, trend_of
from alignbench.datasets.synthetic.words import COLOURS
from alignbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL.Image import Image

KOREAN = "한글"


class Frame:
    """What is asked of a pandas DataFrame."""

    columns = ("name", "n")

    def itertuples(self, *, index: bool, name: str | None) -> Iterator[tuple[object, ...]]:
        assert (index, name) == (False, None)
        yield from (("a", np.int64(3)), ("b", float("nan")))


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Take the machine's fonts away; a call gives others in their place."""

    def use(*paths: str) -> None:
        monkeypatch.setattr(lettering, "system_fonts", lambda: paths)
        for cached in (lettering.pieces, lettering._face_of, canvas.text_width):
            cached.cache_clear()

    use()
    yield use
    monkeypatch.undo()
    use_again = (lettering.pieces, lettering._face_of, canvas.text_width)
    for cached in use_again:
        cached.cache_clear()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are written."""
    found: list[str] = []
    text = canvas.Canvas.text

    def note(self: Any, at: Any, line: str, *more: Any, **named: Any) -> None:
        found.append(line)
        text(self, at, line, *more, **named)

    monkeypatch.setattr(canvas.Canvas, "text", note)
    return found


def pixels(image: Image, colour: str) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = (np.asarray(image) == COLOURS[colour]).all(axis=2)
    return found


def heights(image: Image, colour: str) -> list[int]:
    """Return how tall each bar is, from left to right."""
    mask = pixels(image, colour)
    inside = mask.any(axis=0).astype(int)
    starts, ends = (np.flatnonzero(np.diff(inside, prepend=0, append=0) == way) for way in (1, -1))
    return [int(mask[:, (a + b) // 2].sum()) for a, b in zip(starts, ends, strict=True)]


@pytest.mark.parametrize(
    "values",
    [[1, 2, 4], [0.5, -0.25, 1], [-3, -1, -2], [1e300, -1e300, 5e299], [2e-300, 1e-300, 4e-300],
     [Fraction(1, 2), np.float32(1), np.int8(2)], [7, 7, 7]],
    ids=str,
)  # fmt: skip
def test_bars_are_as_long_as_their_values(values: list[float], written: list[str]) -> None:
    tall = heights(bar_chart(["a", "b", "c"], values, "T"), "blue")
    longest = max(abs(float(v)) for v in values)
    assert len(tall) == 3
    for height, value in zip(tall, values, strict=True):
        assert height / max(tall) == pytest.approx(abs(float(value)) / longest, abs=0.03)
    assert {"a", "b", "c", "T", *(f"{float(v):,.10g}" for v in values)} <= set(written)


def test_bars_of_nothing_have_an_axis() -> None:
    assert heights(bar_chart(["a"], [0], "T"), "blue") == []
    assert heights(bar_chart(["a", "b"], [0, -0.0], "T"), "blue") == []


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 0), (-5, 3), (0, 97), (-1e300, 1e300), (0, 1e-300), (-0.3, 0)]
)
def test_ticks_are_round_and_hold_all_values(low: float, high: float) -> None:
    ticks = own._ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 7
    assert all(
        len(f"{tick:.10g}".strip("-0.").replace(".", "").split("e")[0].rstrip("0")) <= 3 for tick in ticks
    )


def test_pages_grow_with_their_content_and_nothing_is_left_out(written: list[str]) -> None:
    small = bar_chart(["a"], [1], "T")
    names = [f"a category called {i}" for i in range(20)]
    large = bar_chart(
        names, range(20), "A title that is far longer than one line of the page has room for " * 3
    )
    assert large.width > 3 * small.width
    assert set(names) <= set(written)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    image = document_image("T", [("H", "\n".join([" ".join(words)] * 40))])
    assert image.height > 2 * image.width
    assert sum(line.split().count("seven") for line in written) == 40
    assert max(bar_chart(names, range(20), "T", size=512).size) == 512


def test_tables_take_rows_columns_and_frames(written: list[str]) -> None:
    images = [
        table_image(data, "T")
        for data in (
            [["name", "n"], ["a", 3], ["b", None]],
            {"name": ["a", "b"], "n": [3, math.nan]},
            Frame(),
        )
    ]
    assert all((np.asarray(images[0]) == np.asarray(image)).all() for image in images[1:])
    assert written[:7] == ["T", "name", "n", "a", "3", "b", "–"]


def test_a_long_cell_takes_several_lines_and_a_longer_word_is_broken(written: list[str]) -> None:
    word = "x" * 200
    table_image({"a": [f"some words before {word}"]}, "T")
    joined = "".join(written).replace(" ", "")
    assert word in joined
    assert len(written) > 4
    assert all(canvas.text_width(line, own.CELL) <= own.WIDTH - 2 * own.MARGIN for line in written)


def test_every_text_is_drawn_in_a_font_that_has_it(
    no_system_fonts: Callable[..., None], tmp_path: Path
) -> None:
    assert lettering.pieces("Rain, 95%") == (("", "Rain, 95%"),)
    assert lettering.pieces("a Ω b") == (("", "a "), ("sans", "Ω "), ("", "b"))
    assert len({face for face, _ in lettering.pieces("שלום abc")}) == 1  # put in order as a whole
    with pytest.raises(
        InputError, match=r"no font of this machine has '한' \(U\+D55C, HANGUL.*fonts-noto-cjk"
    ):
        document_image(KOREAN, [("a", "b")])
    with pytest.raises(InputError, match=r"U\+13000, EGYPTIAN.*package fonts-noto$"):
        document_image("\U00013000", [("a", "b")])
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    no_system_fonts(str(tmp_path / "broken.ttf"), _font_of(KOREAN, tmp_path / "korean.ttf"))
    assert [piece for _, piece in lettering.pieces(f"a{KOREAN}b")] == ["a", KOREAN, "b"]
    image = bar_chart([KOREAN], [1], f"Rain, {KOREAN}")
    ink = (np.asarray(image.convert("L"))[: int(own.MARGIN + own.TITLE_LINE)] < 128).sum()
    assert ink > 2 * (np.asarray(bar_chart(["a"], [1], "Rain,").convert("L"))[:60] < 128).sum()


def _font_of(characters: str, path: Path) -> str:
    """Write a font that has a full square for each of the characters, and a narrow one for all others."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def square(side: int) -> Any:
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((0, side), (side, side), (side, 0)):
            pen.lineTo(corner)
        pen.closePath()
        return pen.glyph()

    names = [f"u{ord(character):04X}" for character in characters]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap(dict(zip(map(ord, characters), names, strict=True)))
    builder.setupGlyf({".notdef": square(200), **{name: square(900) for name in names}})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    assert ImageFont.truetype(str(path), 20).getlength(characters) == 20 * len(characters)
    return str(path)


def test_text_without_spaces_is_broken_between_characters(
    no_system_fonts: Callable[..., None], tmp_path: Path, written: list[str]
) -> None:
    no_system_fonts(_font_of("漢字", tmp_path / "han.ttf"))
    document_image("T", [("漢字", "漢字" * 60)])
    body = [line for line in written if line != "T"][1:]
    assert "".join(body) == "漢字" * 60
    assert len(body) > 3


DRAWN: dict[str, Callable[..., Image]] = {
    "bar": lambda text: bar_chart([text], [1], "T"),
    "chart title": lambda text: bar_chart(["a"], [1], text),
    "label": lambda text: bar_chart(["a"], [1], "T", labels=(text, "")),
    "cell": lambda text: table_image({"a": [text]}, "T"),
    "header": lambda text: table_image({text: ["a"]}, "T"),
    "heading": lambda text: document_image("T", {text: "a"}),
    "body": lambda text: document_image("T", {"a": text}),
}


@pytest.mark.parametrize("where", DRAWN)
@pytest.mark.parametrize("character", ["\0", "\x1b", "\ud800", "\u202e", "\ufffe"], ids=ascii)
def test_characters_that_can_t_be_drawn_are_named(where: str, character: str) -> None:
    with pytest.raises(InputError, match=rf"U\+{ord(character):04X} at place 1 is .*can't be drawn"):
        DRAWN[where](f"a{character}b")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: bar_chart([], [], "T"), "categories: expected at least one"),
        (lambda: bar_chart("ab", [1, 2], "T"), "categories: expected a list, got str"),
        (lambda: bar_chart(["a", "b"], [1], "T"), "expected one value a category, got 2 and 1"),
        (lambda: bar_chart(["a"], ["1"], "T"), "value 0: expected a number, got '1'"),  # type: ignore[list-item]
        (lambda: bar_chart(["a"], [True], "T"), "value 0: expected a number, got True"),
        (lambda: bar_chart(["a"], [math.nan], "T"), "value 0: expected 0 or a size"),
        (lambda: bar_chart(["a"], [10**400], "T"), "value 0: expected 0 or a size"),
        (lambda: bar_chart(["a"], [5e-324], "T"), "value 0: expected 0 or a size"),
        (lambda: bar_chart(["a"], [1], " "), "title: expected a text"),
        (lambda: bar_chart(["a"], [1], "T\nU"), r"title: U\+000A at place 1 is a control character"),
        (lambda: bar_chart(range(200), range(200), "T"), "200 bars need a page of .* draw fewer"),
        (lambda: bar_chart(["a"], [1], "T", size=8), "size: expected a whole number, 16 to 4096, got 8"),
        (lambda: bar_chart(["a"], [1], "T", colour="crimson"), "unknown colour 'crimson'"),
        (lambda: bar_chart(["a"], [1], "T", colour=[1]), "unknown colour"),  # type: ignore[arg-type]
        (lambda: bar_chart(["a"], [1], "T", background="whit"), "Did you mean 'white'"),
        (lambda: table_image([["a", "b"], [1]], "T"), "row 1 has 1 cells, and the header 2"),
        (lambda: table_image({"a": [1], "b": []}, "T"), "column 'b': expected at least one"),
        (lambda: table_image({"a": [1], "b": [1, 2]}, "T"), "column 'b' has 2 values, and 'a' has 1"),
        (lambda: table_image({}, "T"), "at least one column"),
        (lambda: table_image(3, "T"), "data: expected a list, got int"),
        (lambda: table_image([["a"], *[[i] for i in range(500)]], "T"), "500 rows of 1 columns need a page"),
        (lambda: table_image({"a": [math.inf]}, "T"), "row 1, 'a': expected 0 or a size"),
        (lambda: document_image("T", []), "sections: expected at least one"),
        (lambda: document_image("T", {}), "sections: expected at least one"),
        (lambda: document_image("T", "text"), "sections: expected a list, got str"),  # type: ignore[arg-type]
        (lambda: document_image("T", ["ab"]), "section 0: expected a heading and its text"),  # type: ignore[list-item]
        (lambda: document_image("T", {"a": "word " * 30_000}), "1 sections of this length need a page"),
        (lambda: shapes_image([]), "shapes: expected at least one"),
        (lambda: shapes_image(["ab"]), "shape 0: expected a name and a colour, got 'ab'"),  # type: ignore[list-item]
        (lambda: shapes_image([("cirle", "red")]), "Did you mean 'circle'"),
        (lambda: categorized_shapes(1, ["hexagon"]), "unknown shape 'hexagon'"),
    ],
)  # fmt: skip
def test_what_can_t_be_drawn_is_one_clear_line(make: Callable[[], object], says: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_shapes_are_those_asked_for() -> None:
    image = shapes_image([("circle", "red"), ("star", "blue"), ("square", "red")], size=448)
    left, right = pixels(image, "red")[:224, :224], pixels(image, "blue")[:224, 224:]
    assert left.sum() == pytest.approx(math.pi * (0.42 * 224) ** 2, rel=0.02)
    assert 0 < right.sum() < left.sum() / 1.5
    assert shapes_image([("cross", "teal")] * 26).size == (448, 448)


@pytest.mark.slow
def test_simple_and_categorized_shapes_are_datasets() -> None:
    assert {sample.data_type for sample in simple_shapes(3).samples} == {"shapes"}
    found = categorized_shapes(2, SHAPES[:3], seed=5)
    assert [sample.data_type for sample in found.samples] == [name for name in SHAPES[:3] for _ in range(2)]
    assert {sample.data_type for sample in categorized_shapes(1).samples} == set(SHAPES)


def test_a_drawing_of_one_s_own_specification_is_described_truly() -> None:
    made = {"topic": "Rain", "place": "Bonn", "size": (448, 448), "background": "white", "labels": ("a", "b")}
    bars = Chart("bar", "vertical", categories=("x", "y"), series=(Series("red", (10, 90)),), **made)  # type: ignore[arg-type]
    assert draw("chart", bars).image.size == (448, 448)
    assert "rises from left to right" in " ".join(describe("chart", bars).wordings)
    for wrong, says in (
        (Chart("bars", "vertical", categories=("x",), series=(), **made), "unknown kind of chart 'bars'"),  # type: ignore[arg-type]
        (Chart("bar", "plain", categories=("x",), series=(), **made), "unknown layout of a bar chart"),  # type: ignore[arg-type]
        (Chart("bar", "vertical", categories=("x",), series=(), **made), "series: expected one"),  # type: ignore[arg-type]
        (Chart("bar", "vertical", categories=("x",), series=(Series("red", (1, 2)),), **made),  # type: ignore[arg-type]
         "series 0: expected 1 values, got 2"),
        (Chart("bar", "vertical", categories=("x",), series=(Series("red", (900,)),), **made),  # type: ignore[arg-type]
         "900 does not fit the axis, .* bar_chart"),
        (Chart("bar", "vertical", categories=("x",), series=(Series("crimson", (9,)),), **made),  # type: ignore[arg-type]
         "unknown colour 'crimson'"),
        (Chart("line", "plain", categories=("x",), series=(Series("red", (9,), trend="up"),), **made),  # type: ignore[arg-type]
         "unknown trend 'up'"),
        (Chart("pie", "full", categories=("x",), series=(), **made), "series: expected one"),  # type: ignore[arg-type]
        (Chart("scatter", "round", categories=(), series=(Series("red", points=((1, 1),)),), **made),  # type: ignore[arg-type]
         "expected points, and a trend of rising"),
    ):  # fmt: skip
        with pytest.raises((InputError, UnknownNameError), match=says):
            draw("chart", wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'chart'"):
        draw("charts", bars)


@pytest.mark.parametrize(
    ("values", "trend"),
    [((1, 2, 2, 3), "rising"), ((3, 1), "falling"), ((1, 3, 2), "peak"), ((3, 1, 1, 2), "valley"),
     ((1, 2, 1, 2), "mixed"), ((4, 4), "level"), ((4,), "level")],
)  # fmt: skip
def test_a_trend_is_told_by_the_values(values: tuple[int, ...], trend: str) -> None:
    assert trend_of(values) == trend
