"""What is drawn, where, and what is said of it: the three must agree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from alignbench.datasets.synthetic import KINDS, SHAPES, TYPES, Synthetic
from alignbench.datasets.synthetic.canvas import wrap
from alignbench.datasets.synthetic.charts import TRENDS, trending, turns
from alignbench.datasets.synthetic.words import BACKGROUNDS, COLOURS, a, count, in_words, listing

SOURCE = Synthetic(21, types=tuple(KINDS))
SEEN = range(40)


def spec_of(data_type: str, index: int) -> Any:
    return SOURCE.spec(data_type, index)


def charts(kind):
    found = [spec for i in range(160) if (spec := spec_of("chart", i)).kind == kind]
    assert len(found) > 20
    return found


def answer(description, question):
    return next(reply for asked, reply in description.exchanges if asked.startswith(question))


@pytest.mark.parametrize("data_type", KINDS)
def test_boxes_lie_inside_the_image_and_hold_their_colour(data_type):
    for index in range(15):
        drawing = SOURCE.drawing(data_type, index)
        pixels = np.asarray(drawing.image, dtype=int)
        for box in drawing.boxes:
            assert -1 <= box.left < box.right <= drawing.image.width + 1
            assert -1 <= box.top < box.bottom <= drawing.image.height + 1
            inside = pixels[
                max(0, int(box.top)) : int(box.bottom) + 1, max(0, int(box.left)) : int(box.right) + 1
            ]
            near = np.abs(inside - COLOURS[box.colour]).max(-1) < 12
            assert near.any(), (data_type, index, box)


@pytest.mark.parametrize("data_type", SHAPES)
def test_a_shape_fills_its_box_and_nothing_outside_has_its_colour(data_type):
    for index in range(5):
        drawing = SOURCE.drawing(data_type, index)
        (box,) = drawing.boxes
        near = np.abs(np.asarray(drawing.image, dtype=int) - COLOURS[box.colour]).max(-1) < 12
        rows, columns = np.nonzero(near)
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert edges == pytest.approx((box.left, box.top, box.right, box.bottom), abs=4)


@pytest.mark.parametrize("data_type", TYPES)
def test_every_type_says_title_type_kind_and_count_in_at_least_three_wordings(data_type):
    for index in SEEN:
        spec, said = spec_of(data_type, index), SOURCE.description(data_type, index)
        assert len(set(said.wordings)) == len(said.wordings) >= 3
        assert all(
            spec.topic.lower() in wording.lower() and spec.place in wording for wording in said.wordings
        )
        assert any(spec.background in wording for wording in said.wordings)
        assert answer(said, "What type") == f"A {data_type}."
        assert said.kind in answer(said, "What kind")
        assert answer(said, "How many").rstrip(".").isdigit()
        assert answer(said, "What is it about") == f"{spec.title}."


@pytest.mark.parametrize("data_type", KINDS)
def test_texts_are_clean_sentences(data_type):
    for index in SEEN:
        said = SOURCE.description(data_type, index)
        for text in (*said.wordings, *(part for pair in said.exchanges for part in pair), said.question):
            assert text == " ".join(text.split())
            assert text[-1] in ".?"
            assert text[0].isupper() or text[0].isdigit()
            assert not {"{", "}", "None"} & set(text.replace("{", " { ").replace("}", " } ").split())


def test_bars_are_counted_coloured_and_ranked_truly():
    for spec in charts("bar"):
        said = KINDS["chart"].describe(spec)
        values = spec.series[0].values
        largest = spec.categories[values.index(max(values))]
        assert 3 <= len(values) == spec.items <= 8
        assert f"{in_words(len(values))} {spec.series[0].colour} bar" in said.wordings[0].lower()
        smallest = spec.categories[values.index(min(values))]
        ends = f"is {largest} with {max(values)} and the smallest is {smallest} with {min(values)}"
        assert ends in said.wordings[0]
        assert answer(said, "How many bars") == f"{len(values)}."


def test_a_highlight_is_the_largest_bar_alone():
    for index in range(160):
        spec = spec_of("chart", index)
        if spec.kind == "bar" and spec.highlight:
            colours = [box.colour for box in SOURCE.drawing("chart", index).boxes]
            values = spec.series[0].values
            assert [i for i, colour in enumerate(colours) if colour == spec.highlight] == [
                values.index(max(values))
            ]


def test_every_bar_is_as_long_as_its_value():
    for index in range(60):
        spec = spec_of("chart", index)
        if spec.kind == "bar":
            boxes = SOURCE.drawing("chart", index).boxes
            sides = [b.right - b.left if spec.layout == "horizontal" else b.bottom - b.top for b in boxes]
            ratios = np.asarray(sides) / spec.series[0].values
            assert ratios == pytest.approx(ratios[0], rel=1e-9)


def test_slices_make_a_whole_and_the_largest_is_named():
    for spec in charts("pie"):
        shares = [series.values[0] for series in spec.series]
        assert sum(shares) == 100
        assert min(shares) > 0
        assert sorted(shares)[-1] > sorted(shares)[-2]
        top = spec.series[shares.index(max(shares))]
        assert f"largest slice is {top.colour}" in KINDS["chart"].describe(spec).wordings[0]


def test_lines_and_points_name_all_their_colours():
    for spec in (*charts("line"), *charts("scatter")):
        wording = KINDS["chart"].describe(spec).wordings[0]
        assert all(series.colour in wording for series in spec.series)


def test_lines_say_their_lowest_and_highest():
    for spec in charts("line"):
        values = spec.series[0].values
        low, high = (f"{f(values)} in {spec.categories[values.index(f(values))]}" for f in (min, max))
        assert f"with a low of {low} and a high of {high}" in KINDS["chart"].describe(spec).wordings[1]


def test_points_correlate_as_their_trend_says():
    signs = {"rising": 1, "falling": -1}
    for spec in charts("scatter"):
        sign = signs.get(spec.series[0].trend)
        if sign:
            x, y = np.asarray([point for series in spec.series for point in series.points]).T
            assert sign * np.corrcoef(x, y)[0, 1] > 0.7


@pytest.mark.parametrize("trend", TRENDS)
@pytest.mark.parametrize("n", [4, 5, 8])
def test_values_run_as_their_trend_says(trend, n):
    import random

    for seed in range(20):
        values = trending(random.Random(seed), n, trend)
        steps = [after - before for before, after in pairwise(values)]
        assert len(set(values)) == n
        assert all(10 <= value <= 98 for value in values)
        expected = {"rising": 0, "falling": 0, "peak": 1, "valley": 1}
        assert turns(values) == expected[trend] if trend in expected else turns(values) >= 2
        if trend != "mixed":
            assert (steps[0] > 0) == (trend in ("rising", "peak"))


@pytest.mark.slow
def test_tables_have_three_to_seven_rows_and_mark_the_largest():
    for index in SEEN:
        spec, said = spec_of("table", index), SOURCE.description("table", index)
        assert 3 <= len(spec.values) <= 7
        assert max(row[0] for row in spec.values) == spec.values[spec.largest][0]
        boxes = SOURCE.drawing("table", index).boxes
        assert [box.colour for box in boxes] == [spec.header, *([spec.highlight] if spec.highlight else [])]
        if spec.highlight:
            assert boxes[1].name == f"row {spec.names[spec.largest + 1]}"
            assert f"marked in {spec.highlight}" in said.wordings[0]
        assert answer(said, "How many rows") == f"{len(spec.values)}."


@pytest.mark.slow
def test_documents_have_their_sections_in_order_and_say_their_layout():
    for index in SEEN:
        spec, said = spec_of("document", index), SOURCE.description("document", index)
        sections = [box.name for box in SOURCE.drawing("document", index).boxes if box.name in spec.sections]
        assert tuple(sections) == spec.sections
        places = [spec.sections.index(name) for name in ("Introduction", "Methods", "Results")]
        assert places == sorted(places)
        assert f"{spec.layout} document" in said.wordings[0]
        assert (spec.figure is None) == ("no figure" in said.wordings[0])


@pytest.mark.slow
def test_figure_box_is_where_the_text_says():
    for index in SEEN:
        spec = spec_of("document", index)
        if spec.figure:
            drawing = SOURCE.drawing("document", index)
            box = next(box for box in drawing.boxes if box.name.startswith("figure"))
            middle = (box.top + box.bottom) / 2
            assert (middle < drawing.image.height / 2) == (spec.figure_place == "top")


def test_backgrounds_fill_the_corner():
    for index in SEEN:
        spec = spec_of("chart", index)
        assert SOURCE.drawing("chart", index).image.getpixel((1, 1)) == BACKGROUNDS[spec.background].fill


def test_scenes_name_place_colour_and_shape_of_everything():
    for index in SEEN:
        spec, said = spec_of("shapes", index), SOURCE.description("shapes", index)
        assert answer(said, "How many") == f"{len(spec.shapes)}."
        for shape in spec.shapes:
            phrase = f"{shape.size_word} {shape.colour} {shape.name}"
            assert all(phrase in wording.lower() for wording in said.wordings)
        assert len({shape.place for shape in spec.shapes}) == len(spec.shapes)


def test_shapes_of_a_scene_do_not_overlap():
    for index in SEEN:
        boxes = SOURCE.drawing("shapes", index).boxes
        for i, one in enumerate(boxes):
            for two in boxes[i + 1 :]:
                apart = one.right <= two.left or two.right <= one.left
                assert apart or one.bottom <= two.top or two.bottom <= one.top


def test_english_helpers():
    assert [a("orange bar"), a("red bar")] == ["an orange bar", "a red bar"]
    assert [count(1, "bar"), count(3, "cross"), in_words(40)] == ["one bar", "three crosses", "40"]
    assert [listing(["x"]), listing(["x", "y", "z"])] == ["x", "x, y and z"]


def test_wrapped_lines_keep_all_words_and_fit():
    text = "the quick brown fox jumps over the lazy dog again and again"
    lines = wrap(text, 12, 90)
    assert " ".join(lines) == text
    assert len(lines) > 2
