"""The second family of drawings: what is said is true, and nothing of it is of the first family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alignbench.datasets import load_dataset
from alignbench.datasets.synthetic import TYPES, Synthetic
from alignbench.datasets.synthetic import words as first
from alignbench.datasets.synthetic.files import write_sample_data
from alignbench.datasets.synthetic.lettering import font
from alignbench.datasets.synthetic.other import words
from alignbench.errors import UnknownNameError

SOURCE: Any = Synthetic(21, family="other")
SEEN = range(30)


@pytest.mark.parametrize("data_type", TYPES)
def test_boxes_lie_inside_the_image_and_hold_their_colour(data_type: str) -> None:
    for index in range(12):
        drawing = SOURCE.drawing(data_type, index)
        pixels = np.asarray(drawing.image, dtype=int)
        spec = SOURCE.spec(data_type, index)
        for box in drawing.boxes:
            assert -1 <= box.left < box.right <= drawing.image.width + 1
            assert -1 <= box.top < box.bottom <= drawing.image.height + 1
            if data_type == "table" and spec.layout != "tile":
                continue  # a ledger's rows have no colour of their own, a heat map's are shades
            inside = pixels[
                max(0, int(box.top)) : int(box.bottom) + 1, max(0, int(box.left)) : int(box.right) + 1
            ]
            colour = np.asarray(words.COLOURS[box.colour])
            shade = colour + 0.25 * (np.asarray(words.BACKGROUNDS[spec.background].fill) - colour)
            near = np.minimum(np.abs(inside - colour).max(-1), np.abs(inside - shade).max(-1)) < 14
            assert near.any(), (data_type, index, box)


@pytest.mark.parametrize("data_type", TYPES)
def test_the_same_number_gives_the_same_drawing_and_another_family_another(data_type: str) -> None:
    again, other = Synthetic(21, family="other"), Synthetic(21)
    for index in range(3):
        assert again.spec(data_type, index) == SOURCE.spec(data_type, index)
        assert other.spec(data_type, index) != SOURCE.spec(data_type, index)
    one, two = (source.drawing(data_type, 0).image for source in (again, SOURCE))
    assert one.tobytes() == two.tobytes()


def test_every_kind_occurs_with_several_true_wordings() -> None:
    kinds = {t: {SOURCE.description(t, i).kind for i in range(60)} for t in TYPES}
    assert kinds == {
        "chart": {"lollipop", "area", "stacked", "bubble"},
        "table": {"heat", "tile", "ledger"},
        "document": {"letter", "poster", "form"},
    }
    for data_type in TYPES:
        for index in SEEN:
            said, spec = SOURCE.description(data_type, index), SOURCE.spec(data_type, index)
            assert len(set(said.wordings)) == 4
            assert all(spec.topic.lower() in w.lower() and spec.place in w for w in said.wordings)
            questions = [question for question, _ in said.exchanges]
            assert questions[0] == "What type of image is this?"
            assert questions[2].startswith("How many")
            assert dict(said.exchanges)["What type of image is this?"] == f"A {data_type}."


def test_what_is_said_of_numbers_is_drawn() -> None:
    for index in range(60):
        chart: Any = SOURCE.spec("chart", index)
        tops = [sum(c) if chart.kind == "stacked" else max(c) for c in zip(*chart.values, strict=True)]
        said = SOURCE.description("chart", index).wordings[0]
        assert chart.categories[tops.index(max(tops))] in said
        assert max(tops) <= 100
        if chart.kind == "area" and len(chart.values) == 2:
            assert min(chart.values[0]) > max(chart.values[1])
        table: Any = SOURCE.spec("table", index)
        assert f"{max(table.first)}, for" in SOURCE.description("table", index).wordings[0]


def test_no_word_of_its_vocabulary_is_of_the_first_family() -> None:
    for name in ("COLOURS", "BACKGROUNDS", "TOPICS", "PLACES", "UNITS"):
        assert not set(getattr(words, name)) & set(getattr(first, name)), name
    assert not set(words.COLOURS.values()) & set(first.COLOURS.values())
    assert not {page.fill for page in words.BACKGROUNDS.values()} & {
        page.fill for page in first.BACKGROUNDS.values()
    }


def test_its_fonts_are_others() -> None:
    assert len({font(20, face).getname()[0] for face in ("", "serif", "mono")}) == 3


@pytest.mark.slow
def test_it_is_a_dataset_of_its_own_that_a_command_writes(tmp_path: Any) -> None:
    data = load_dataset("synthetic_other", n_per_type=2, seed=3)
    assert data.name == "synthetic-other-3"
    assert [sample.data_type for sample in data.samples] == [t for t in TYPES for _ in range(2)]
    assert all(sample.id.startswith("other-") for sample in data.samples)
    assert write_sample_data(tmp_path, 1, family="other") == 3
    assert len(load_dataset(tmp_path, n_per_type=None)) == 3


def test_an_unknown_family_is_answered_with_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match="family of drawings 'others'"):
        Synthetic(1, family="others")
    with pytest.raises(UnknownNameError, match="type of drawing"):
        Synthetic(1, types=("shapes",), family="other")
