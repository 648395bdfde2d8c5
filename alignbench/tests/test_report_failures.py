"""What reports and figures say of tests that failed: how many, why, and what is missing because of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alignbench.failures import gaps, missing
from alignbench.findings import SCHEMA, Findings, read_run
from alignbench.findings.answer import answer
from alignbench.plots import FIGURES
from alignbench.plots.drawing import Drawing
from alignbench.plots.gaps import note_missing
from alignbench.plots.style import new_figure
from alignbench.show import failure_lines, summary_markdown, terminal_table, write_run
from alignbench.show.html.page import report_html
from alignbench.tests.ranking_fakes import rank, rank_by_type
from alignbench.tests.report_fakes import HOSTILE, make_inputs, make_run, make_score, make_scores
from alignbench.types import Failure

if TYPE_CHECKING:
    from pathlib import Path

NO_SIZE = "effnet: its config names no size; write one"


def failed(
    encoder: str | None = "effnet",
    llm: str | None = "mini-llama",
    *,
    reason: str = NO_SIZE,
    experiment: str = "cka",
    metric: str = "calibrated_cka",
    test: str = "test_cka",
    phase: str = "setup",
) -> Failure:
    return Failure(
        nodeid=f"benchmarks/test_{experiment}.py::{test}[{metric}-{encoder}-{llm}]",
        phase=phase,
        experiment=experiment,
        reason=reason,
        encoders=(encoder,) if encoder else (),
        llms=(llm,) if llm else (),
        metric=metric,
    )


def test_one_reason_is_said_once_with_the_number_of_its_tests() -> None:
    many = [failed(metric=f"metric_{i}") for i in range(40)]
    lines = failure_lines([*many, failed("other", reason="another reason")])
    text = " ".join(" ".join(lines).split())
    assert lines[0] == "41 tests failed; what they would have scored is missing:"
    assert text.count(NO_SIZE) == 1
    assert "40 tests of cka with effnet, mini-llama: effnet: its config" in text
    assert "and 37 other tests" in text
    assert len(lines) < 12


def test_a_test_that_fails_in_two_phases_is_one() -> None:
    both = [failed(phase="call"), failed(phase="teardown", reason="and its model could not be freed")]
    assert failure_lines(both)[0].startswith("1 test failed")


def test_a_path_in_a_reason_is_whole_however_narrow_the_terminal_is() -> None:
    path = "/data/" + "a-long-name/" * 12 + "image.png"
    assert f"{path}:" in " ".join(failure_lines([failed(reason=f"{path}: is damaged")], 40)).split()


def test_an_encoder_without_a_score_is_not_ranked_and_its_reason_is_given() -> None:
    scores = make_scores()
    [ranking] = [r for r in rank(scores, failures=[failed()]) if r.llm == "mini-llama"]
    assert ranking.unranked["effnet"] == f"its test failed: {NO_SIZE}"
    assert ranking.order == next(r.order for r in rank(scores) if r.llm == "mini-llama")
    said = " ".join(answer(ranking, str))
    assert f"Not ranked: effnet: its test failed: {NO_SIZE}" in said


def test_the_failed_test_of_the_metric_itself_gives_the_reason() -> None:
    scores = [s for s in make_scores() if not (s.metric == "calibrated_cka" and s.encoder == "mini-clip")]
    failures = [
        failed("mini-clip", metric="rsa", reason="of rsa"),
        failed("mini-clip", metric="calibrated_cka", reason="of calibrated CKA"),
        failed("mini-clip", "mini-qwen", reason="of another LLM"),
    ]
    [ranking] = [r for r in rank(scores, failures=failures) if r.llm == "mini-llama"]
    assert ranking.unranked["mini-clip"] == "its test failed: of calibrated CKA"


def test_a_failure_elsewhere_takes_no_rank_away() -> None:
    scores = make_scores()
    failures = [
        failed("mini-clip", experiment="vlm", metric=""),
        failed("mini-clip", None, experiment="speed"),
    ]
    assert [r.to_dict() for r in rank(scores, failures=failures)] == [r.to_dict() for r in rank(scores)]
    assert [r.order for r in rank_by_type(scores, failures=failures)] == [
        r.order for r in rank_by_type(scores)
    ]


def test_an_llm_of_which_every_test_failed_is_in_the_answer() -> None:
    [*_, ranking] = rank(make_scores(), failures=[failed("mini-clip", "lost-llm", reason="no weights")])
    assert ranking.llm == "lost-llm"
    assert ranking.order == ()
    assert answer(ranking, str) == ["No encoder could be ranked: mini-clip: its test failed: no weights."]


@pytest.mark.slow
def test_every_place_names_the_missing_model_and_the_reason(tmp_path: Path) -> None:
    run = replace(make_run(), failures=(failed(), failed(experiment="coral", metric="ncoral")))
    scores = make_scores()
    write_run(tmp_path, Findings.of(scores, run), figures=False)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    table = terminal_table(Findings.of(scores, run))
    for text in (summary, (tmp_path / "report.html").read_text(encoding="utf-8"), " ".join(table)):
        assert "2 tests failed; what they would have scored is missing" in text
        assert "its config names no size" in " ".join(text.split())
    lacks = "effnet, of which there is no score here (effnet: its config names no size; write one)"
    assert summary.count(lacks) == 2
    assert report_html(tmp_path).count(lacks) == 2


@pytest.mark.slow
def test_a_run_with_failures_is_valid_and_read_as_it_was_written(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    run = replace(make_run(), failures=(failed(), failed(None, None, metric="", phase="")))
    write_run(tmp_path, Findings.of(make_scores(), run), figures=False)
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    jsonschema.validate(data, json.loads(SCHEMA.read_text(encoding="utf-8")))
    plain, scores = read_run(tmp_path)
    assert tuple(map(Failure.from_dict, plain["failures"])) == run.failures
    assert summary_markdown(Findings.of(scores, plain)) == (tmp_path / "summary.md").read_text(
        encoding="utf-8"
    )


def test_an_experiment_of_which_nothing_is_left_has_its_section(tmp_path: Path) -> None:
    run = replace(make_run(), failures=(failed(experiment="vlm", metric=""),))
    write_run(tmp_path, Findings.of(make_scores(), run), figures=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Trained VLM" in page
    assert page.count("effnet, mini-llama, of which there is no score here") == 1


def test_some_scores_are_told_from_none() -> None:
    scores = [make_score("rsa", 0.3, "effnet", "mini-llama", experiment="cka")]
    assert gaps(["cka"], [failed()], scores) == [f"some scores of effnet, mini-llama ({NO_SIZE})"]
    assert gaps(["cka"], [failed(None, None, reason="lost")], scores) == [
        "what 1 test would have scored (lost)"
    ]
    assert gaps(["coral"], [failed()], scores) == []
    assert missing(["coral"], [failed()], scores) == ""


def test_every_figure_says_what_it_is_drawn_from() -> None:
    assert all(FIGURES.get(name).shows for name in FIGURES)


@pytest.mark.slow
def test_a_figure_says_what_it_lacks(tmp_path: Path) -> None:
    inputs = replace(make_inputs(), failures=(failed(experiment="coral"), failed(experiment="cka")))
    figure = FIGURES.get("coral_dashboard")(inputs)
    assert figure is not None
    height, before = figure.get_figheight(), figure.get_supxlabel()
    note_missing(figure, "coral_dashboard", inputs.failures, inputs.scores)
    assert figure.get_supxlabel().startswith(before)
    assert "Missing: effnet, of which there is no score here (effnet: its config" in figure.get_supxlabel()
    assert figure.get_figheight() > height
    plain = Drawing(make_inputs(), tmp_path / "plain")
    noted = Drawing(inputs, tmp_path / "noted")
    for drawing in (plain, noted):
        drawing.place.mkdir()
        assert not drawing.draw("coral_comparison").problem
    svg = "coral_comparison.svg"
    assert (noted.place / svg).read_bytes() != (plain.place / svg).read_bytes()


def test_a_figure_that_lacks_nothing_and_one_of_many_gaps() -> None:
    figure = new_figure(6, 3)
    note_missing(figure, "coral_dashboard", [failed(experiment="cka")], [])
    assert (figure.get_supxlabel(), figure.get_figheight()) == ("", 3)
    many = [failed(name, experiment="coral", reason=f"{i} {'x' * 300}") for i, name in enumerate(HOSTILE)]
    note_missing(figure, "coral_dashboard", many, [])
    lines = figure.get_supxlabel().splitlines()
    assert len(lines) == 4
    assert lines[-1] == "and 3 other gaps: see the report"
    assert max(map(len, lines)) <= 96


@pytest.mark.slow
def test_hostile_names_and_reasons_act_nowhere(tmp_path: Path) -> None:
    failures = tuple(failed(name, reason=f"{name}: damaged") for name in HOSTILE)
    write_run(tmp_path, Findings.of(make_scores(), replace(make_run(), failures=failures)), figures=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    for text in (page, (tmp_path / "summary.md").read_text("utf-8"), "".join(failure_lines(failures))):
        assert "\x1b" not in text
        assert "\u202e" not in text
