"""Who is best on each data type, in the terminal and in the summary."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from alignbench.findings import Findings
from alignbench.show import summary_markdown, terminal_table
from alignbench.tests.ranking_fakes import paired, rank, rank_by_type, typed
from alignbench.tests.report_fakes import make_model, make_run, make_score
from alignbench.text import display_width


def test_each_type_has_its_ranking() -> None:
    rankings = rank_by_type(typed())
    assert [(r.data_type, r.best, r.tied_with_best) for r in rankings] == [
        ("chart", "a", ()),
        ("document", "b", ("c",)),
        ("table", "a", ("b", "c")),
    ]
    assert {r.n for r in rankings} == {30}
    assert [r.data_type for r in rank(typed())] == ["all"]
    assert rank_by_type(paired({"a": 0.4})) == []


@pytest.mark.slow
def test_the_terminal_has_the_verdict_by_type_whole() -> None:
    lines = terminal_table(Findings.of(typed(), make_run(())))
    told = (
        "By type: chart: a; document: b or c (too close to call); "
        "table: no encoder beats shuffled pairs here."
    )
    assert told in " ".join(line.strip() for line in lines)
    many = [replace(s, data_type=f"{t}-{s.data_type}") for t in range(9) for s in typed()[3:]]
    lines = terminal_table(Findings.of([*typed()[:3], *many], make_run(())))
    assert " ".join(line.strip() for line in lines).count("b or c (too close to call);") == 9
    assert max(map(display_width, lines)) <= 80


def test_the_summary_has_a_table_by_type() -> None:
    text = summary_markdown(Findings.of(typed(), make_run(())))
    rows = [line for line in text.splitlines() if re.match(r"\| `mini-llama` \| (ch|doc|tab)", line)]
    assert "## By data type" in text
    assert [re.split(r" \| ", row)[1:5] for row in rows] == [
        ["chart", "`a`", "`a`", "&gt;.99"],
        ["document", "`b` or `c` (too close to call)", "`b`", "0.64"],
        ["table", "no encoder beats shuffled pairs here", "`a`", "0.73"],
    ]


def test_a_type_that_can_not_be_ranked_says_why() -> None:
    scores = [*paired({"a": 0.4}), make_score("calibrated_cka", None, "a", data_type="chart", reason="n = 2")]
    text = summary_markdown(Findings.of(scores, make_run()))
    assert "| `mini-llama` | chart | not ranked: n = 2 | - |" in text
    assert not [
        line for line in terminal_table(Findings.of(scores, make_run())) if line.startswith("By type")
    ]


def test_types_alone_are_not_said_twice() -> None:
    scores = [score for score in typed() if score.data_type != "all"]
    assert "## By data type" not in summary_markdown(Findings.of(scores, make_run()))
    assert not [
        line for line in terminal_table(Findings.of(scores, make_run())) if line.startswith("By type")
    ]


def test_stand_ins_are_named_in_full_where_types_are_listed() -> None:
    model = make_model("mini-clip", stand_in_for="clip")
    scores = [replace(s, encoder=model.label) for s in typed() if s.encoder == "a"]
    [line] = [
        x for x in terminal_table(Findings.of(scores, make_run(models=[model]))) if x.startswith("By type")
    ]
    assert "chart: mini-clip (stand-in for clip)" in line
