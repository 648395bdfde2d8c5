"""The panels that figures share: every score in its row, one scale a column, and what is said of a gap."""

from __future__ import annotations

from typing import Any

import pytest

from alignbench.plots.marks import left_out, span_text
from alignbench.plots.panels import Block, Column, grid_figure, rows_of, score_table, table_height
from alignbench.plots.scatter import Point, draw_points, name_points
from alignbench.plots.style import new_figure
from alignbench.tests.report_fakes import make_score

BLOCKS = [Block("first", {"a": "Anna", "b": "Berta"}), Block("second", {"c": "Carl"})]


def table(**shared: Any) -> Any:
    scores = {name: make_score("rsa", value) for name, value in {"a": 0.2, "b": 0.9, "c": 0.5}.items()}
    columns = [
        Column("whole", [{"a": scores["a"], "b": scores["b"]}, {"c": scores["c"]}], "far"),
        Column("part", [{"b": make_score("rsa", 0.1)}, {}], "near", 0.3),
    ]
    figure = new_figure(6, 2 + table_height(BLOCKS))
    return score_table(figure, BLOCKS, columns, lambda _: "#123456", **shared)


def bars_of(ax: Any) -> dict[int, float]:
    """Return row -> the length of its bar."""
    bars = [bar for bar in ax.patches if bar.get_height() < 0.7]  # a null's band is higher
    return {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in bars}


def test_a_score_is_in_the_row_and_column_of_its_key() -> None:
    axes = table()
    assert bars_of(axes[0, 0]) == pytest.approx({0: 0.2, 1: 0.9})
    assert bars_of(axes[1, 0]) == pytest.approx({0: 0.5})
    assert bars_of(axes[0, 1]) == pytest.approx({1: 0.1})
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == ["Anna", "Berta"]


def test_titles_are_above_and_labels_below_and_an_empty_panel_says_that_it_is() -> None:
    axes = table()
    assert [[ax.get_title(loc="left") or ax.get_title() for ax in row] for row in axes] == [
        ["whole", "part"],
        ["", ""],
    ]
    assert [[ax.get_xlabel() for ax in row] for row in axes] == [["", ""], ["far", "near"]]
    assert "not recorded" in [text.get_text() for text in axes[1, 1].texts]
    assert "not recorded" not in [text.get_text() for text in axes[0, 1].texts]


def test_columns_have_one_scale_only_where_they_share_it() -> None:
    alone, shared = table(), table(sharex="all")
    assert alone[0, 0].get_xlim() == alone[1, 0].get_xlim() != alone[0, 1].get_xlim()
    assert alone[0, 1].get_xlim()[1] > 0.3
    assert len({ax.get_xlim() for ax in shared.ravel()}) == 1
    assert shared[0, 1].get_xlim()[1] > 0.9


@pytest.mark.parametrize(
    ("count", "most", "rows", "blank"), [(1, 4, 1, 0), (4, 4, 1, 0), (5, 4, 2, 3), (0, 4, 0, 0)]
)
def test_a_grid_has_a_panel_for_each_and_blank_places(count: int, most: int, rows: int, blank: int) -> None:
    assert rows_of(count, most) == rows
    if count:
        figure, axes = grid_figure(count, most, 2.0, 1.0, margins=(1.0, 0.5), least=3.0)
        assert len(axes) == count
        assert sum(not ax.axison for ax in figure.axes) == blank
        assert figure.get_size_inches() == pytest.approx((max(3.0, 1 + 2 * min(most, count)), 0.5 + rows))


def test_of_many_points_each_name_is_written_once() -> None:
    figure, (few, many) = grid_figure(2, 2, 3.0, 3.0)
    points = [Point(f"e{i // 2}", float(i), float(i % 3), "#123456", "o", hollow=i == 0) for i in range(12)]
    draw_points(few, points[:4])
    draw_points(many, points)
    name_points(figure, [(few, points[:4]), (many, points)])
    assert sorted(text.get_text() for text in few.texts if text.get_text()) == ["e0", "e0", "e1", "e1"]
    assert sorted(text.get_text() for text in many.texts if text.get_text()) == [f"e{i}" for i in range(6)]
    assert few.lines[0].get_markerfacecolor() == "white"
    assert few.lines[1].get_markerfacecolor() == "#123456"


def test_spans_and_what_is_left_out_in_words() -> None:
    assert (span_text([7]), span_text([9, 3, 5]), span_text([4, 4])) == ("7", "3 to 9", "4")
    assert left_out(3, 8, "pairs") == ["The first 3 of 8 pairs."]
    assert left_out(8, 8, "pairs") == []
