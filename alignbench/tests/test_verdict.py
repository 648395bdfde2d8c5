"""One answer in one wording: whoever shows which encoder is the best says it in the same words."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alignbench.experiments.compare.figures.data_types import cka_by_data_type
from alignbench.experiments.multi_llm.figures import multi_llm_matrix
from alignbench.findings import Findings
from alignbench.findings.diff import compare
from alignbench.show import summary_markdown, terminal_table
from alignbench.show.diff_markdown import markdown_diff
from alignbench.show.diff_terminal import terminal_diff
from alignbench.stats import Standings, standings
from alignbench.stats.verdict import NONE_BEATS, headline, sentence, verdict
from alignbench.tests.diff_fakes import recorded
from alignbench.tests.html_fakes import page_of
from alignbench.tests.ranking_fakes import paired, rank
from alignbench.tests.report_fakes import make_run, without_interval
from alignbench.types import Null

if TYPE_CHECKING:
    from alignbench.types import Score

ABOVE = Null("exact", 0.0, 0.02, 20.0, 0.001, 999)
AT_CHANCE = replace(ABOVE, p=0.4)
TIE, ALONE = {"a": 0.41, "b": 0.40, "c": 0.1}, {"a": 0.41, "b": 0.2, "c": 0.1}
CASES = {
    "tie": (paired(TIE, null=ABOVE), "a or b (too close to call)"),
    "alone": (paired(ALONE, null=ABOVE), "a"),
    "at chance": (paired(TIE, null=AT_CHANCE), NONE_BEATS),
    "alone at chance": (paired(ALONE, null=AT_CHANCE), NONE_BEATS),
    "unknown": ([without_interval(s) for s in paired(ALONE, null=ABOVE)], "a (ties unknown)"),
}
cases = pytest.mark.parametrize(("scores", "told"), CASES.values(), ids=CASES)


def capital(told: str) -> str:
    return told.replace("no encoder", "No encoder")


def without_markup(text: str) -> str:
    """Return text as a reader sees it, in one line."""
    return " ".join(re.sub(r"</?(?:code|b)>|[`\\]", "", text).split())


def shows(text: str, told: str) -> bool:
    """Return whether the text has the verdict, and calls nobody the best whom it doesn't."""
    return capital(told) in text and ("Best:" in text) == (told == "a")


@cases
def test_terminal_summary_and_web_page_say_the_verdict_first(scores: list[Score], told: str) -> None:
    first = f"Best: {told}" if told == "a" else f"{capital(told)}."
    assert sentence(rank(scores)[0]).startswith(first)
    terminal = " ".join(line.strip() for line in terminal_table(Findings.of(scores, make_run(()))))
    assert first in terminal
    assert shows(terminal, told)
    summary = without_markup(summary_markdown(Findings.of(scores, make_run(()))))
    assert f"**For mini-llama:** {first}" in summary
    assert shows(summary, told)


@cases
def test_the_web_page_says_it(scores: list[Score], told: str) -> None:
    results = pytest.importorskip("alignbench.ui.results", reason="the extra `ui` is not installed")
    text = without_markup(results._answer(Findings.of(scores), "alignbench", []))
    first = sentence(rank(scores)[0]).removesuffix(".")
    assert text.startswith(f'<div class="ab-answer"><p class="ab-headline">{first}')
    assert shows(text, told)


@cases
def test_the_report_page_says_it(scores: list[Score], told: str, tmp_path: Path) -> None:
    text = page_of(tmp_path, scores).text
    assert f"For mini-llama {capital(told)} " in text
    assert "Best:" not in text


@cases
def test_types_are_judged_in_the_same_words(scores: list[Score], told: str) -> None:
    both = [*paired(ALONE, null=ABOVE), *(replace(s, data_type="chart") for s in scores)]
    terminal = " ".join(line.strip() for line in terminal_table(Findings.of(both, make_run(()))))
    assert f"By type: chart: {told}." in terminal
    summary = without_markup(summary_markdown(Findings.of(both, make_run(()))))
    assert f"| mini-llama | chart | {told} | a |" in summary


@cases
def test_the_figure_by_type_says_it(scores: list[Score], told: str) -> None:
    typed = [replace(s, data_type="chart", experiment="compare") for s in scores]
    figure = cka_by_data_type(Findings.of(typed).figure_inputs())
    assert figure is not None
    written = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert capital(told) in written
    assert ("best" in written) == (told == "a")


@cases
def test_the_matrix_names_one_best_or_none(scores: list[Score], told: str) -> None:
    figure = multi_llm_matrix(
        Findings.of([replace(s, experiment="multi_llm") for s in scores]).figure_inputs()
    )
    assert figure is not None
    frames = [str(patch.get_gid()) for patch in figure.axes[0].patches if patch.get_gid()]
    expected = {"a": ["best"], "a or b (too close to call)": ["tied", "tied"]}
    assert frames == expected.get(told, [])
    assert f"too close to call (paired differences, studentised range). No box: {NONE_BEATS}" in (
        figure.get_supxlabel().replace("\n", " ")
    )


@cases
def test_a_comparison_says_it_of_both_runs(scores: list[Score], told: str) -> None:
    alone = paired(ALONE, null=ABOVE)
    comparison = compare(recorded(alone), recorded(scores))
    expected = "For mini-llama: a, in both runs" if told == "a" else f"For mini-llama: a in A; {told} in B"
    assert expected in " ".join(line.strip() for line in terminal_diff(comparison))
    assert f"- {expected}" in without_markup(markdown_diff(comparison))


def test_the_examples_of_the_pages_are_in_these_words() -> None:
    root = Path(__file__).parents[2]
    readme, reading = (
        (root / name).read_text(encoding="utf-8") for name in ("README.md", "alignbench/docs/reading.md")
    )
    for text in (readme, reading):
        assert "\nmini-dinov2 or mini-clip (too close to call). mini-dinov2 and mini-clip tie at" in text
        assert "Best: mini-dinov2" not in text
    assert f"document: {NONE_BEATS}" in reading


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("ab", "a or b (too close to call)"),
        ("abc", "a, b or c (too close to call)"),
        ("abcd", "a, b, c or d (too close to call)"),
        ("abcde", "a, b, c or 2 others (too close to call)"),
    ],
)
def test_of_many_that_tie_three_are_named(names: str, told: str) -> None:
    standing = Standings(tuple(names), (tuple(names),), tuple(names))
    assert verdict(standing) == told
    assert sentence(standing) == f"{told}."


def test_all_that_tie_are_listed_beside_a_verdict_that_counts_some() -> None:
    scores = paired(dict.fromkeys("abcd", 0.4), null=ABOVE)
    scores.append(replace(scores[0], encoder="e"))
    text = " ".join(terminal_table(Findings.of(scores, make_run(()))))
    assert "a, b, c or 2 others (too close to call). Those too close to call: a, b, c, d, e." in text


@pytest.mark.parametrize(
    ("top", "told"),
    [
        (("a",), "undecided: a has the top score but does not beat shuffled pairs"),
        (("a", "b"), "undecided: a and b have the top scores but do not beat shuffled pairs"),
    ],
)
def test_a_leader_at_chance_is_not_the_best_though_another_beats_shuffled_pairs(
    top: tuple[str, ...], told: str
) -> None:
    standing = Standings((*top, "z"), (top, ("z",)), ("z",))
    assert verdict(standing) == told
    assert headline(standing) == told.replace("undecided", "Undecided")
    assert standing.answer == ()


def test_an_encoder_at_chance_that_ties_with_one_that_is_not_keeps_the_choice_open() -> None:
    one, two = paired({"a": 0.41, "b": 0.40}, null=ABOVE)
    standing = standings({"a": one, "b": replace(two, null=AT_CHANCE)})
    assert standing.answer == ("a", "b")
    assert standing.beats_shuffled == ("a",)


def test_nobody_is_ranked_without_a_value() -> None:
    assert verdict(standings({})) == "not ranked"
    assert sentence(standings({})) == "Not ranked."
