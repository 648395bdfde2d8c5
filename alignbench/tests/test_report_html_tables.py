"""Tables and counts of report.html: no column that has nothing, no name twice."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alignbench.show.html.bars import Scale, axis
from alignbench.tests.html_fakes import page_of
from alignbench.tests.report_fakes import LLMS, make_run, make_score, make_scores

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.tests.html_fakes import Page


def labels_of_tables(found: Page) -> list[str]:
    named = [a["aria-label"] for a in found.all("div") if a.get("class") == "scroll"]
    return [label for label in named if "by metric" in label]


def test_llms_with_the_same_metrics_share_a_table(tmp_path: Path) -> None:
    scores = [make_score(metric, 0.4, llm=llm) for metric in ("linear_cka", "rsa") for llm in LLMS]
    found = page_of(tmp_path, scores)
    assert labels_of_tables(found) == ["Table: Encoders by metric"]
    assert "The same encoders by every metric" in found.text


def test_an_llm_with_few_metrics_has_a_table_of_these(tmp_path: Path) -> None:
    scores = [make_score(metric, 0.4) for metric in ("linear_cka", "rsa", "cknna")]
    found = page_of(tmp_path, [*scores, make_score("rsa", 0.3, llm="mini-qwen")])
    assert labels_of_tables(found) == [
        "Table: Encoders by metric, for mini-llama",
        "Table: Encoders by metric, for mini-qwen",
    ]
    assert not [a for a in found.all("td") if a.get("data-v") == "" and "class" in a]
    assert "for mini-llama, by the 3 metrics computed for it" in found.text
    assert "for mini-qwen, by the 1 metric computed for it" in found.text


def test_a_model_is_named_once_however_often_it_was_loaded(tmp_path: Path) -> None:
    loads = (
        {"model": "mini-clip", "seconds": 0.4, "purpose": "timing"},
        {"model": "mini-llama", "seconds": 0.2, "purpose": "timing"},
        {"model": "mini-clip", "seconds": 0.3, "purpose": "embedding"},
        {"model": "mini-qwen", "seconds": 0.1},
        {"model": "mini-qwen", "seconds": 0.0},
    )
    text = page_of(tmp_path, make_scores(), replace(make_run(), loads=loads)).text
    told = "mini-clip in 0.7 s (2 times, 1 to be timed), mini-llama in 0.2 s to be timed, "
    assert told + "mini-qwen in 0.1 s (2 times)" in text


@pytest.mark.parametrize(
    ("more", "told"), [(1, "2 or encoder-3 (too close"), (2, "2 or 2 others (too close")]
)
def test_many_that_tie_are_counted(tmp_path: Path, more: int, told: str) -> None:
    encoders = [f"encoder-{i}" for i in range(3 + more)]
    scores = [make_score("calibrated_cka", 0.4, encoder) for encoder in encoders]
    assert told in page_of(tmp_path, scores, make_run(encoders)).text


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [(0.0, 0.3, ["0", "0.1", "0.2", "0.3"]), (-0.04, 0.31, ["0", "0.15", "0.3"]), (0.0, 0.0, ["0"])],
)
def test_the_numbers_of_an_axis_stand_where_the_scores_are_drawn(
    low: float, high: float, numbers: list[str]
) -> None:
    scale = Scale(low, high)
    drawn = re.findall(r'<text x="([\d.]+)%" y="11">([^<]*)</text>', axis(scale))
    assert [text for _, text in drawn] == numbers
    assert [float(x) for x, _ in drawn] == [scale.at(float(text)) for text in numbers]
