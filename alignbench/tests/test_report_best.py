"""How sure the best is, what would decide a tie, rankings of trained scores."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from alignbench.findings import SCHEMA, Findings, Ranking
from alignbench.findings.answer import answer
from alignbench.findings.numbers import about, p_sentence, share
from alignbench.show import summary_markdown, terminal_table, write_run
from alignbench.stats import joint_of
from alignbench.tests.ranking_fakes import SEEDS, SPLITS, TABLES, paired, rank, trained, turned, typed
from alignbench.tests.report_fakes import HOSTILE, TYPES, make_run, make_score, without_interval
from alignbench.text import display_width
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from pathlib import Path


def said(scores: list[Score]) -> str:
    [ranking] = rank(scores)
    return " ".join(answer(ranking, str))


def test_probabilities_and_samples_needed_come_with_the_ranking() -> None:
    [ranking] = rank(paired({"a": 0.41, "b": 0.40, "c": 0.2}))
    assert ranking.probability_best is not None
    assert sum(ranking.probability_best.values()) == pytest.approx(1)
    assert ranking.probability_best["a"] == pytest.approx(0.76, abs=0.02)
    assert ranking.probability_best["c"] == 0
    assert ranking.samples_needed == {"b": pytest.approx(1500, rel=0.1)}


def test_the_tie_is_said_with_what_would_decide_it() -> None:
    text = said(paired({"mini-dinov2": 0.41, "mini-clip": 0.40}))
    assert (
        "mini-dinov2 and mini-clip tie at n = 90; about 1,500 pairs would tell them apart, if the true "
        "difference is what we measured." in text
    )


def test_the_summary_has_a_column_of_probabilities() -> None:
    lines = summary_markdown(Findings.of(paired({"a": 0.41, "b": 0.40, "c": 0.2}), make_run(()))).splitlines()
    at = lines.index(next(line for line in lines if line.startswith("| place")))
    assert lines[at].startswith("| place | encoder | P(best) | value | 95% interval | shuffled pairs | p |")
    assert lines[at + 1] == "| ---: | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"
    assert [line.split(" | ")[2] for line in lines[at + 2 : at + 5]] == ["0.76", "0.24", "&lt;.01"]
    assert any(line.startswith("P(best): the probability of being the best of these") for line in lines)


def test_each_of_several_ties_has_its_number() -> None:
    text = said(paired({"a": 0.41, "b": 0.40, "c": 0.405}))
    assert re.search(
        r"a ties at n = 90\. Pairs that would tell it apart, if the true differences are what we measured: "
        r"about [\d,]+ from c, about [\d,]+ from b\.",
        text,
    )


def test_what_is_the_same_has_no_number() -> None:
    one, two = paired({"a": 0.41, "b": 0.41})
    twins = [one, replace(two, deletions=one.deletions)]
    [ranking] = rank(twins)
    assert ranking.samples_needed == {"b": None}
    assert ranking.probability_best == {"a": 0.5, "b": 0.5}
    assert "a differs by practically nothing from b: even many more pairs may not tell them apart." in said(
        twins
    )


def test_nothing_is_promised_where_the_best_is_at_chance() -> None:
    null = Null("exact", 0.0, 0.02, 0.5, 0.31, 999)
    text = said(paired({"a": 0.41, "b": 0.40}, null=null))
    assert text.startswith("No encoder beats shuffled pairs here. Top score: a (calibrated_cka 0.410, ")
    assert "tell them apart" not in text


@pytest.mark.parametrize(
    "scores",
    [
        paired({"a": 0.41}),
        [without_interval(score) for score in paired({"a": 0.41, "b": 0.4})],
        [*paired({"a": 0.41}), without_interval(make_score("calibrated_cka", 0.4, "b"))],
        [*paired({"a": 0.41}), make_score("calibrated_cka", None, "b")],
        [*paired({"a": 0.41}), replace(paired({"b": 0.4})[0], n=30)],
        trained({"a": 0.5, "b": 0.3}, n=19),
    ],
    ids=[
        "one encoder",
        "too few groups",
        "deletions missing",
        "not applicable",
        "other groups",
        "few trained",
    ],
)
def test_where_nothing_can_be_compared_nothing_is_said(scores: list[Score]) -> None:
    [ranking] = rank(scores)
    assert ranking.probability_best is None
    assert ranking.samples_needed == {}
    assert "best" not in terminal_table(Findings.of(scores, make_run()))[1].split()
    assert "P(best)" not in summary_markdown(Findings.of(scores, make_run()))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "about 3"),
        (91, "about 100"),
        (110, "about 150"),
        (151, "about 200"),
        (409, "about 500"),
        (600, "about 600"),
        (1001, "about 1,500"),
        (99_999, "about 100,000"),
        (100_001, "more than 100,000"),
        (10**15, "more than 100,000"),
    ],
)
def test_a_rough_count_is_rounded_up_to_what_it_is_good_for(count: int, text: str) -> None:
    assert about(count) == text


def test_a_probability_is_never_certain() -> None:
    assert [share(p) for p in (0.0, 0.004, 0.71, 0.996, 1.0, None)] == [
        "<.01",
        "<.01",
        "0.71",
        ">.99",
        ">.99",
        "-",
    ]


def test_golden_table_of_a_tie() -> None:
    null = Null("exact", 0.0, 0.02, 20.0, 0.001, 999, 0.01, 0.02)
    scores = paired({"mini-dinov2": 0.41, "mini-clip": 0.40, "mini-siglip": 0.2}, null=null)
    for data_type in TYPES:
        scores += paired({"mini-dinov2": 0.30, "mini-clip": 0.38}, null=null, data_type=data_type, n=30)
    assert terminal_table(Findings.of(scores, make_run()))[:8] == [
        "LLM mini-llama: ranked by calibrated_cka (higher is better), n = 90",
        "   encoder      value    95% interval  best   null      p  in type",
        "1  mini-dinov2  0.410  [0.350, 0.470]  0.76  0.000  0.001    0.020",
        "1  mini-clip    0.400  [0.340, 0.460]  0.24  0.000  0.001    0.020",
        "3  mini-siglip  0.200  [0.140, 0.260]  <.01  0.000  0.001    0.020",
        "mini-dinov2 or mini-clip (too close to call). mini-dinov2 and mini-clip tie at n",
        "= 90; about 1,500 pairs would tell them apart, if the true difference is what we",
        "measured.",
    ]


def test_trained_scores_rank_where_nothing_else_was_recorded() -> None:
    [ranking] = rank(trained({"a": 0.5, "b": 0.3, "c": 0.298}))
    assert (ranking.metric, ranking.variant) == ("mrr", "image_to_text contrastive")
    assert ranking.tie_groups == (("a",), ("b", "c"))
    [elas] = rank(trained({"a": 0.5, "b": 0.3}, metric="elas", variant=""))
    assert (elas.metric, elas.variant, elas.order) == ("elas", "", ("a", "b"))
    both = [*trained({"a": 0.5}, metric="elas"), *trained({"a": 0.5}), *paired({"a": 0.4})]
    assert [rank(both)[0].metric, rank(both[:2])[0].metric] == ["calibrated_cka", "mrr"]


def test_trained_scores_are_told_apart_with_the_corrected_error() -> None:
    """A difference that an ordinary t-test over the splits calls real is a tie: they share their data."""
    from scipy.stats import ttest_rel

    scores = trained({"a": 0.50, "b": 0.4926})
    tables = [np.reshape(score.repeats, (SPLITS, SEEDS)).mean(axis=1) for score in scores]
    assert ttest_rel(*tables).pvalue < 0.05
    [ranking] = rank(scores)
    assert ranking.tie_groups == (("a", "b"),)
    assert ranking.samples_needed["b"] is not None
    assert ranking.samples_needed["b"] > 90
    assert ranking.probability_best is not None
    assert 0.8 < ranking.probability_best["a"] < 0.99


def test_a_difference_beyond_the_corrected_error_is_none_of_chance() -> None:
    one, two = trained({"a": 0.5, "b": 0.485})
    difference = np.reshape(np.subtract(one.repeats, two.repeats), (SPLITS, SEEDS)).mean(axis=1)
    t = 0.015 / (difference.std(ddof=1) * (1 / SPLITS + 0.25) ** 0.5)
    assert 3 < t < 7  # a jackknife of the splits would see an error 2.7 times as large
    assert rank([one, two])[0].tie_groups == (("a",), ("b",))


def test_where_low_is_good_the_lowest_is_probably_the_best() -> None:
    [ranking] = rank(
        [
            replace(score, metric="ncoral", higher_is_better=False)
            for score in paired({"far": 0.41, "near": 0.40})
        ]
    )
    assert ranking.order == ("near", "far")
    assert ranking.probability_best is not None
    assert ranking.probability_best["near"] > 0.7
    assert set(ranking.samples_needed) == {"far"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"params": {}},
        {"params": {"splits": 5, "seeds": 2, "test_to_train": 0.25}},
        {"params": {"splits": 5, "seeds": 3, "test_to_train": 0.5}},
        {"params": {"splits": "5", "seeds": 3, "test_to_train": 0.25}},
        {"repeats": ()},
    ],
)
def test_repeats_of_other_splits_are_not_paired(spoil: dict[str, Any]) -> None:
    one, two = trained({"a": 0.5, "b": 0.3})
    scores = [one, replace(two, **spoil)]
    assert rank(scores)[0].tie_groups is None
    assert "There is no interval, so ties are unknown" in said(scores)


def variants() -> list[Score]:
    scores = []
    for score, better in zip(trained({"a": 0.5, "b": 0.3}), (0.1, 0.9), strict=True):
        scores += [
            turned(score, "text_to_image", "contrastive", better),
            turned(score, "image_to_text", "mse", better),
            score,
            turned(score, "text_to_image", "mse", better),
        ]
    return scores


def test_all_encoders_are_ranked_by_one_direction_and_loss() -> None:
    for scores in (variants(), variants()[::-1]):
        [ranking] = rank(scores)
        assert (ranking.variant, ranking.order) == ("image_to_text contrastive", ("a", "b"))
        assert [score.value for score in ranking.scores.values()] == [0.5, 0.3]


def test_the_runs_first_loss_ranks() -> None:
    [ranking] = rank(variants(), ("mse", "contrastive"))
    assert (ranking.variant, ranking.order) == ("image_to_text mse", ("b", "a"))
    run = make_run()
    run = replace(run, options={**run.options, "losses": ["mse", "contrastive"]})
    assert terminal_table(Findings.of(variants(), run))[0] == (
        "LLM mini-llama: ranked by mrr, image_to_text mse (higher is better), n = 90"
    )
    text = summary_markdown(Findings.of(variants(), run))
    assert "Best: `b` (mrr 0.900, image_to_text mse, n = 90" in text
    assert "encoders by `mrr`, image_to_text mse (higher" in text


def test_the_direction_goes_before_the_loss() -> None:
    scores = [
        turned(score, *way, 0.4)
        for score in trained({"a": 0.5, "b": 0.3})
        for way in (("text_to_image", "contrastive"), ("image_to_text", "mse"))
    ]
    assert rank(scores, ("contrastive", "mse"))[0].variant == "image_to_text mse"


def test_of_two_like_scores_the_one_for_fidelity_does_not_rank() -> None:
    published, ours = paired({"a": 0.9}, flags=("fidelity",)) + paired({"a": 0.2})
    for scores in ([published, ours], [ours, published]):
        [ranking] = rank(scores)
        assert ranking.scores["a"].value == 0.2


def test_repeats_are_read_split_by_split() -> None:
    joint = joint_of({score.encoder or "": score for score in trained({"a": 0.5, "b": 0.3})})
    assert joint is not None
    assert joint.freedom == SPLITS - 1
    expected = 0.5 + 0.01 * (TABLES[0] - TABLES[0].mean()).mean(axis=1)
    assert joint.parts["a"] == pytest.approx(expected, abs=1e-12)


def test_a_variant_without_any_value_gives_way() -> None:
    scores = [
        turned(score, direction, "contrastive", 0.4 if direction == "text_to_image" else None)
        for score in trained({"a": 0.5, "b": 0.3})
        for direction in ("image_to_text", "text_to_image")
    ]
    assert rank(scores)[0].variant == "text_to_image contrastive"


def test_scores_json_with_ties_variants_and_types_is_valid(tmp_path: Path) -> None:
    one, two = paired({"a": 0.41, "b": 0.41}, llm="same")
    scores = [*typed(), one, replace(two, deletions=one.deletions)]
    scores += [replace(score, llm="trained") for score in variants()]
    write_run(tmp_path, Findings.of(scores, make_run()), figures=False)
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    by_llm = {ranking["llm"]: ranking for ranking in data["ranking"]}
    assert by_llm["same"]["samples_needed"] == {"b": None}
    assert by_llm["trained"]["variant"] == "image_to_text contrastive"
    assert [ranking["data_type"] for ranking in data["ranking_by_type"]] == ["chart", "document", "table"]
    assert set(schema["$defs"]["ranking"]["properties"]) == {field.name for field in fields(Ranking)} - {
        "scores",
        "beside",
    }


@pytest.mark.parametrize("width", [60, 80, 120])
def test_hostile_names_tie_within_the_terminal_and_stay_text(width: int) -> None:
    values = {name: 0.4 + 0.001 * i for i, name in enumerate(HOSTILE[:4])}
    scores = paired(values, variant=HOSTILE[0])
    for hostile in HOSTILE:
        scores += paired(values, data_type=hostile, variant=HOSTILE[0])
    lines = terminal_table(Findings.of(scores, make_run(())), width)
    assert max(map(display_width, lines)) <= width
    assert all(line.isprintable() for line in lines)
    text = summary_markdown(Findings.of(scores, make_run(())))
    assert "<" not in re.sub(r"</?(code|details|summary)>|<!-- -->", "", text)
    assert "practically" in text or "pairs" in text


@pytest.mark.parametrize(("p", "text"), [(1e-6, "p < .001"), (0.001, "p = 0.001"), (0.148, "p = 0.148")])
def test_a_p_in_a_sentence_has_one_sign(p: float, text: str) -> None:
    assert p_sentence(p) == text
