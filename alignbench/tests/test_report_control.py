"""Trained encoders beside the untrained control, and parts of composites that tell nothing apart."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.experiments.dead import flag_dead
from alignbench.findings import Findings
from alignbench.findings.control import against_control, control_sentences
from alignbench.session.result import Result
from alignbench.show import summary_markdown, terminal_table, write_run
from alignbench.stats import corrected_interval
from alignbench.tests.html_fakes import Page
from alignbench.tests.report_fakes import make_result, make_run
from alignbench.types import Score
from alignbench.ui.menu import Menu
from alignbench.ui.results import view_of

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = 40


def trained(encoder: str, gain: float, *, weights: str = "embedded", n: int = 90, **changes: object) -> Score:
    rng = np.random.default_rng(len(encoder))
    common = np.random.default_rng(0).normal(0.4, 0.1, SPLITS)
    repeats = tuple((common + gain + rng.normal(0, 0.02, SPLITS)).tolist())
    score = Score(
        experiment="e2e",
        metric="mrr",
        value=float(np.mean(repeats)),
        encoder=encoder,
        llm="llm",
        dataset="data@0",
        n=n,
        dims=(4, 4),
        variant="image_to_text ridge",
        repeats=repeats,
        params={"splits": SPLITS, "seeds": 1, "test_to_train": 0.25},
        weights={encoder: weights, "llm": "embedded"},
    )
    return replace(score, **changes)  # type: ignore[arg-type]


def run(*gains: float, **changes: object) -> list[Score]:
    names = ("a", "bb", "ccc")
    control = trained("untrained", 0.0, weights="random", **changes)  # type: ignore[arg-type]
    return [*(trained(name, gain, **changes) for name, gain in zip(names, gains, strict=False)), control]  # type: ignore[arg-type]


def test_the_difference_is_paired_with_its_corrected_interval() -> None:
    scores = run(0.1)
    [found] = against_control(scores)
    differences = np.subtract(scores[0].repeats, scores[1].repeats)
    expected = corrected_interval(differences, 0.25)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.difference == pytest.approx(differences.mean())
    assert found.above
    assert found.text.startswith("+0.1")


def test_encoders_are_told_from_the_control_or_not() -> None:
    assert control_sentences(against_control(run(0.1, 0.0)), str.upper) == [
        f"With LLM, A ({against_control(run(0.1))[0].text}) is above the untrained UNTRAINED "
        "in mrr image_to_text ridge; "
        f"BB ({against_control(run(0.1, 0.0))[1].text}) can't be told from it."
    ]


def test_where_no_encoder_is_above_the_untrained_one_it_does_as_well() -> None:
    for gains in ((0.0, 0.0), (-0.2, -0.1)):
        [said] = control_sentences(against_control(run(*gains)), str)
        assert said.startswith(
            "An untrained encoder does as well: with llm, mrr image_to_text ridge can't tell "
        )
        assert "from untrained" in said


def test_a_low_outcome_is_better_where_its_scores_say_so() -> None:
    [low] = against_control(run(-0.1, higher_is_better=False))
    assert low.above
    [high] = against_control(run(0.1, higher_is_better=False))
    assert not high.above


def test_outcomes_that_agree_are_one_sentence_without_numbers() -> None:
    both = [*run(0.1, 0.0), *run(0.1, 0.0, variant="text_to_image ridge")]
    [said] = control_sentences(against_control(both), str)
    assert (
        "With llm, a is above the untrained untrained in mrr image_to_text ridge and mrr text_to_image ridge"
        in said
    )
    assert "[" not in said
    apart = [*run(0.1, 0.0), *run(0.0, 0.0, variant="text_to_image ridge")]
    assert len(control_sentences(against_control(apart), str)) == 2


def test_without_a_control_or_an_interval_nothing_is_claimed() -> None:
    assert against_control(run(0.1)[:1]) == []
    assert against_control(run(0.1)[1:]) == []
    assert against_control(run(0.1, experiment="cka", metric="linear_cka")) == []
    [few] = against_control(run(0.1, n=15))
    assert few.interval is None
    assert not few.above
    assert few.text.endswith("no interval")


def test_the_web_page_says_what_the_terminal_says_of_the_control(tmp_path: Path) -> None:
    scores = [replace(score, metric="mrr", chance=0.1) for score in run(0.1, 0.0)]
    options = Menu({}).options({})
    result = Result(("e2e",), tuple(scores), {}, make_run())
    page = view_of(result, (), folder=tmp_path, name="e2e", options=options, command="alignbench e2e")
    text = " ".join(re.sub(r"<[^>]*>", "", page.answer).split())
    terminal = " ".join(line.strip() for line in terminal_table(Findings.of(scores, make_run())))
    [said] = control_sentences(against_control(scores), str)
    for place in (text, terminal):
        assert said in place
        assert "Retrieval for llm (mrr image_to_text ridge, 0.100 for a guesser): " in place
        assert "control: untrained; where it ranks high" in place.replace("R = ", "")
    assert [row[-1] for row in page.rows if row[1] == "untrained"] == ["control"]


def composite(name: str, **parts: float) -> Score:
    return replace(trained(name, 0.0), experiment="elas", metric="elas", variant="", params={"parts": parts})


@pytest.mark.parametrize(("end", "dead"), [(0.0, True), (1.0, True), (0.9995, True), (0.01, False)])
def test_a_part_at_one_end_for_all_is_dead(end: float, dead: bool) -> None:
    found = flag_dead([composite("a", mse=end, cka=0.3), composite("b", mse=end, cka=0.0)])
    for score in found:
        assert ("dead" in score.flags) is dead
        assert score.params.get("dead_parts") == (["mse"] if dead else None)


def test_the_parts_of_a_metric_of_pairs_are_no_terms_of_a_sum() -> None:
    found = flag_dead([replace(composite(name, tied=0.0), metric="lcs_knn") for name in "ab"])
    assert not any("dead" in score.flags for score in found)


def test_whoever_reads_that_a_part_is_dead_reads_which(tmp_path: Path) -> None:
    scores = [composite("a", mse=0.0, cka=0.3), composite("b", mse=0.0, cka=0.0)]
    found = flag_dead(scores)
    said = "tells no pairs apart: mse of elas"
    findings = Findings.of(found, make_run())
    write_run(tmp_path, findings, figures=False)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    options = Menu({}).options({})
    tab = view_of(
        make_result(found), (), folder=tmp_path, name="elas", options=options, command="alignbench elas"
    )
    for place in (
        " ".join(line.strip() for line in terminal_table(findings)),
        summary_markdown(findings),
        " ".join(page.words),
        tab.answer,
    ):
        assert said in place


def test_a_part_that_tells_one_apart_lives_and_one_pair_says_nothing() -> None:
    alive = [composite("a", mse=0.0), composite("b", mse=0.2)]
    opposite = [composite("a", mse=0.0), composite("b", mse=1.0)]
    other = [composite("a", mse=0.0), replace(composite("b", mse=0.0), data_type="chart")]
    for scores in (alive, opposite, other, [composite("a", mse=0.0)]):
        assert flag_dead(scores) == scores
