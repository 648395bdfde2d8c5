"""Whether a score predicts retrieval is said in words everywhere: r with its p, and the paradox."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.experiments.e2e.figures import metric_vs_e2e
from alignbench.findings import Findings
from alignbench.plots import FIGURES
from alignbench.show import summary_markdown, terminal_table, write_run
from alignbench.stats import correlations
from alignbench.stats.prediction import Prediction, paradox_of, predicts, worth
from alignbench.tests.html_fakes import Page
from alignbench.tests.report_fakes import make_inputs, make_run, make_scores, make_trained_scores
from alignbench.ui.results import _predicted
from alignbench.ui.tables import pair_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.types import Score

THREE = ("mini-clip", "mini-siglip", "mini-dinov2")
SIX = tuple(f"encoder-{i}" for i in range(6))


def recorded(encoders: tuple[str, ...]) -> list[Score]:
    return [*make_scores(encoders, ("mini-llama",)), *make_trained_scores(encoders, ("mini-llama",))]


def page_in(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def prediction(encoders: tuple[str, ...]) -> Prediction:
    found = predicts(recorded(encoders), make_run(encoders, ("mini-llama",)).models)
    assert found is not None
    return found


def plain(text: str) -> str:
    return " ".join(re.sub(r"\\|<[^>]*>|`", "", text).split())


@pytest.mark.slow
@pytest.mark.parametrize("encoders", [THREE, SIX])
def test_terminal_summary_page_and_tab_say_the_same(encoders: tuple[str, ...], tmp_path: Path) -> None:
    scores, run = recorded(encoders), make_run(encoders, ("mini-llama",))
    found = prediction(encoders)
    told = [
        found.statement,
        found.paradox,
        *(f"{c.metric} with {c.outcome}: {worth(c)}" for c in found.first),
    ]
    findings = Findings.of(scores, run)
    write_run(tmp_path, findings, figures=False)
    tab = "".join(_predicted(findings.prediction))
    for place in (
        " ".join(line.strip() for line in terminal_table(findings)),
        summary_markdown(findings),
        " ".join(page_in(tmp_path).words),
        tab,
    ):
        for sentence in told:
            assert sentence in plain(place)
    assert (len(encoders) < 5) == all("not estimable" in worth(one) for one in found.first)
    assert (len(encoders) >= 5) == all("p = " in worth(one) for one in found.first)


@pytest.mark.slow
def test_cka_is_what_the_paradox_is_about() -> None:
    assert prediction(THREE).paradox.startswith(
        "The three-encoder paradox: calibrated_cka with mrr image_to_text contrastive has r = "
    )
    figure = metric_vs_e2e(make_inputs(THREE, ("mini-llama",)))
    assert figure is not None
    assert "The three-encoder paradox" in figure.get_supxlabel()


def test_two_encoders_have_no_paradox() -> None:
    assert prediction(THREE[:2]).paradox == ""


def test_three_numbers_are_held_against_unrelated_ones() -> None:
    """By chance: 1 - 2/π·arcsin(r) of three unrelated pairs of numbers reach |r|."""
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.1]])
    [one] = correlations({"linear_cka": x}, {"mrr": y}, ["a", "b", "c"])
    said = paradox_of(one, x, y, ["a", "b", "c"])
    assert "over three lineages, which proves nothing" in said
    assert "29% reach |r| ≥ .9 and 9% reach |r| ≥ .99" in said
    assert "no p can be below 0.33" in said


def test_of_more_encoders_all_subsets_of_three_are_looked_at() -> None:
    """Four points: x against y = x, but for the last, which turns one subset round."""
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    y = np.array([[0.0], [1.0], [2.0], [-5.0]])
    [one] = correlations({"linear_cka": x}, {"mrr": y}, list("abcd"))
    said = paradox_of(one, x, y, list("abcd"))
    subsets = [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]
    r = np.array([np.corrcoef(x[s, 0], y[s, 0])[0, 1] for s in subsets])
    assert f"anything between {r.min():.2f} and {r.max():.2f}" in said
    assert f"|r| ≥ .9 in {np.mean(np.abs(r) >= 0.9):.0%} of cases" in said
    assert f"the opposite sign in {np.mean(np.sign(r) != np.sign(one.pearson)):.0%}" in said


def test_checkpoints_of_one_lineage_are_no_three_encoders() -> None:
    x = np.array([[0.0], [1.0], [2.0]])
    [one] = correlations({"linear_cka": x}, {"mrr": x}, ["a", "b", "c"])
    assert paradox_of(one, x, x, ["a", "a", "b"]) == ""


def test_the_terminal_says_what_was_found_and_what_a_guesser_finds() -> None:
    lines = " ".join(
        line.strip()
        for line in terminal_table(Findings.of(recorded(THREE), make_run(THREE, ("mini-llama",))))
    )
    found = {
        s.encoder: s.value
        for s in recorded(THREE)
        if s.metric == "mrr" and s.variant == "image_to_text contrastive" and s.llm == "mini-llama"
    }
    values = ", ".join(f"{encoder} {found[encoder]:.3f}" for encoder in THREE)
    assert f"(mrr image_to_text contrastive, 0.190 for a guesser): {values}." in lines


@pytest.mark.slow
def test_the_terminal_and_the_page_name_what_was_not_drawn(tmp_path: Path) -> None:
    run, scores = make_run(THREE, ("mini-llama",)), recorded(THREE)

    def told(figures: Sequence[str]) -> str:
        return " ".join(map(str.strip, terminal_table(Findings.of(scores, run), figures=figures)))

    few = {"elas_matrix", "intra_modal_similarity", "e2e_retrieval", "metric_vs_e2e"}
    lines = told([*set(FIGURES.names()) - few])
    assert "alignbench elas: elas_matrix;" in lines
    assert "intra_modal_similarity (takes two encoders or two LLMs)" in lines
    assert "alignbench e2e: e2e_retrieval, metric_vs_e2e" in lines
    assert f"{len(FIGURES.names()) - 1} figures were not drawn; summary" in told(["cka_comparison"])
    assert "not drawn" not in " ".join(terminal_table(Findings.of(scores, run)))
    summary = plain(summary_markdown(Findings.of(scores, run), ["cka_comparison.png"]))
    assert "- alignbench elas: elas_matrix" in summary
    assert "intra_modal_similarity (takes two encoders or two LLMs)" in summary
    write_run(tmp_path, Findings.of([s for s in scores if s.experiment == "elas"], run))
    page = " ".join(" ".join(page_in(tmp_path).words).split())
    assert "alignbench e2e : e2e_retrieval, metric_vs_e2e" in page
    assert "alignbench elas :" not in page


def test_the_tab_s_table_has_a_row_a_pair_by_cka_mse_and_cosine() -> None:
    scores = make_inputs(("a", "b"), ("l",)).scores
    table = pair_table(scores, lambda name: f"<b>{name}</b>", str)
    head = re.findall(r"<th[^>]*>([^<]*)</th>", table)
    assert head == ["encoder", "LLM", "CKA", "calibrated CKA", "MSE", "cosine"]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", table)]
    assert [row[:2] for row in rows] == [["<b>a</b>", "<b>l</b>"], ["<b>b</b>", "<b>l</b>"]]
    value = next(s.value for s in scores if s.metric == "linear_cka" and s.encoder == "a" and s.llm)
    assert rows[0][2].startswith(f"{value:.3f} <small>")


def test_without_a_projection_there_is_no_table() -> None:
    assert pair_table(make_scores(), str, str) == ""


def test_a_pair_without_a_value_says_why_in_the_table() -> None:
    scores = make_inputs(("a",), ("l",)).scores
    none = {"value": None, "status": "not_applicable", "reason": "too few", "interval": None}
    spoilt = [replace(s, **none) if s.metric == "projection_mse" else s for s in scores]  # type: ignore[arg-type]
    assert '<td data-label="MSE">n/a: too few</td>' in pair_table(spoilt, str, str)
