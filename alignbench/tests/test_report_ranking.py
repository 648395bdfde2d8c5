"""Which encoder is best, which can't be told from it, and what is said where nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.findings.answer import answer
from alignbench.tests.ranking_fakes import rank
from alignbench.tests.report_fakes import make_score, make_scores, without_interval
from alignbench.types import Null, Score

NOISE = np.random.default_rng(0).normal(size=30)
NOISE = (NOISE - NOISE.mean()) / NOISE.std()


def with_deletions(
    metric: str, values: dict[str, float], spread: float, *, shared: bool, **fields: Any
) -> list[Score]:
    """Return scores whose deletions go up and down together (`shared`), or against each other."""
    scores = []
    for i, (encoder, value) in enumerate(values.items()):
        own = NOISE if shared else NOISE * (-1) ** i
        scores.append(make_score(metric, value, encoder, deletions=value + spread / 30**0.5 * own, **fields))
    return scores


def said(scores: list[Score]) -> str:
    [ranking] = rank(scores)
    return " ".join(answer(ranking, str))


def test_shared_deletions_tell_apart_what_overlapping_intervals_do_not() -> None:
    values = {"b": 0.40, "a": 0.42}
    [paired] = rank(with_deletions("calibrated_cka", values, 0.05, shared=True))
    [opposed] = rank(with_deletions("calibrated_cka", values, 0.05, shared=False))
    assert paired.tie_groups == (("a",), ("b",))
    assert opposed.tie_groups == (("a", "b"),)
    assert opposed.order == ("a", "b")
    assert opposed.places == {"a": 1, "b": 1}
    assert opposed.tied_with_best == ("b",)


def test_low_is_good_without_intervals_too() -> None:
    values = (("far", 0.9), ("near", 0.1))
    scores = [
        without_interval(make_score("ncoral", v, e, experiment="coral", higher_is_better=False))
        for e, v in values
    ]
    assert rank(scores)[0].order == ("near", "far")


def test_places_count_on_after_a_tie() -> None:
    scores = [
        make_score("calibrated_cka", 0.42, "a", deletions=tuple(0.42 + 0.01 * NOISE)),
        make_score("calibrated_cka", 0.41, "b", deletions=tuple(0.41 - 0.01 * NOISE)),
        make_score("calibrated_cka", 0.02, "c", deletions=tuple(0.02 + 0.001 * NOISE)),
    ]
    [ranking] = rank(scores)
    assert ranking.places == {"a": 1, "b": 1, "c": 3}


def test_low_is_good_for_ncoral() -> None:
    values = {"far": 0.9, "near": 0.1}
    [ranking] = rank(with_deletions("ncoral", values, 0.01, shared=True, higher_is_better=False))
    assert ranking.order == ("near", "far")
    assert ranking.higher_is_better is False


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (("ncoral", "linear_cka", "eas_adjusted", "debiased_cka", "calibrated_cka"), "calibrated_cka"),
        (("ncoral", "eas_adjusted", "debiased_cka"), "debiased_cka"),
        (("ncoral", "eas_adjusted"), "eas_adjusted"),
        (("linear_cka", "ncoral"), "ncoral"),
        (("linear_cka", "rsa"), None),
    ],
)
def test_metric_that_ranks_is_the_first_recorded(recorded: tuple[str, ...], expected: str | None) -> None:
    [ranking] = rank([make_score(metric, 0.5) for metric in recorded])
    assert ranking.metric == expected


def test_a_metric_without_a_value_gives_way_to_one_with() -> None:
    [ranking] = rank([make_score("calibrated_cka", None), make_score("debiased_cka", 0.3)])
    assert (ranking.metric, ranking.order) == ("debiased_cka", ("mini-clip",))


def test_each_llm_has_its_own_ranking() -> None:
    rankings = rank(make_scores(("a", "b"), ("one", "two")))
    assert [(r.llm, r.order) for r in rankings] == [("one", ("a", "b")), ("two", ("a", "b"))]


def test_comparisons_within_a_side_are_not_ranked() -> None:
    assert rank([make_score("ncoral", 0.1, "a", None, other="b", experiment="coral")]) == []
    assert rank([make_score("spread", 0.1, "a", None, experiment="coral")]) == []


def test_without_intervals_ties_are_unknown() -> None:
    scores = [without_interval(make_score("calibrated_cka", v, e)) for e, v in (("a", 0.4), ("b", 0.3))]
    [ranking] = rank(scores)
    assert ranking.tie_groups is None
    assert ranking.places == {"a": 1, "b": 2}
    assert "There is no interval, so ties are unknown" in said(scores)


def test_one_encoder_without_interval_makes_ties_unknown() -> None:
    scores = [
        make_score("calibrated_cka", 0.4, "a"),
        without_interval(make_score("calibrated_cka", 0.3, "b")),
    ]
    assert rank(scores)[0].tie_groups is None


def test_deletions_of_different_blocks_are_not_paired() -> None:
    scores = [
        make_score("calibrated_cka", 0.4, "a"),
        make_score("calibrated_cka", 0.1, "b", deletions=(0.1, 0.11, 0.09)),
    ]
    assert rank(scores)[0].tie_groups is None


def test_not_applicable_is_unranked_with_its_reason() -> None:
    scores = [make_score("calibrated_cka", 0.4, "a"), make_score("calibrated_cka", None, "b")]
    [ranking] = rank(scores)
    assert ranking.order == ("a",)
    assert ranking.unranked == {"b": "zero variance in x"}
    assert list(ranking.scores) == ["a", "b"]
    assert "Not ranked: b: zero variance in x." in said(scores)


def test_all_data_together_ranks_before_single_types() -> None:
    scores = [make_score("calibrated_cka", 0.4, data_type=t) for t in ("chart", "all", "table")]
    assert [r.data_type for r in rank(scores)] == ["all"]
    assert [r.data_type for r in rank([scores[0], scores[2]])] == ["chart", "table"]


def test_variant_for_fidelity_does_not_rank() -> None:
    scores = [
        make_score("ncoral", 0.9, "a", higher_is_better=False, flags=("fidelity",)),
        make_score("ncoral", 0.2, "a", higher_is_better=False, params={"align": "procrustes"}),
    ]
    [ranking] = rank(scores)
    assert ranking.scores["a"].value == 0.2


def test_headline_says_when_the_best_is_no_better_than_shuffled() -> None:
    null = Null("exact", 0.0, 0.02, 0.5, 0.31, 999)
    text = said([make_score("calibrated_cka", 0.01, null=null)])
    assert text.startswith("No encoder beats shuffled pairs here. Top score: mini-clip (calibrated_cka 0.010")
    assert "est:" not in text


def test_alignment_by_type_alone_is_said() -> None:
    null = Null("exact", 0.0, 0.02, 20, 0.001, 999, 0.39, 0.4)
    assert "No alignment beyond the data type is shown" in said(
        [make_score("calibrated_cka", 0.4, null=null)]
    )


def test_an_untrained_control_among_the_best_is_said() -> None:
    scores = with_deletions("calibrated_cka", {"random-vit": 0.40, "a": 0.41}, 0.05, shared=False)
    scores[0] = replace(scores[0], weights={"random-vit": "random"})
    assert "random-vit is an untrained control, so the choice is not settled." in said(scores)
    assert "untrained" not in said([replace(score, weights={}) for score in scores])


def test_a_metric_blind_to_pairing_is_named_as_such() -> None:
    assert "does not see which image belongs to which text" in said([make_score("ncoral", 0.1)])
    assert "does not see" not in said([make_score("calibrated_cka", 0.1)])


def test_best_tied_and_apart_are_said() -> None:
    apart = with_deletions("calibrated_cka", {"b": 0.1, "a": 0.42}, 0.01, shared=True)
    tied = with_deletions("calibrated_cka", {"b": 0.40, "a": 0.42}, 0.05, shared=False)
    assert said(apart).startswith("Best: a (calibrated_cka 0.420, n = 90, 95% interval ")
    assert "Every other encoder is worse by more than chance" in said(apart)
    assert said(tied).startswith("a or b (too close to call). Top score: a (calibrated_cka 0.420, ")
    assert "Best" not in said(tied)
