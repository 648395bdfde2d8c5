"""Where neighbours or debiased CKA name another best encoder than calibrated CKA, one sentence says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alignbench.findings import Findings
from alignbench.findings.answer import answer
from alignbench.show.summary import summary_markdown
from alignbench.tests.ranking_fakes import NOISE, rank
from alignbench.tests.report_fakes import make_run, make_score
from alignbench.types import Null, Score

START = "By nearest neighbours"
SAYS = f"{START} the best is another one: calibrated_mutual_knn names"


def scored(metric: str, error: float = 0.003, **values: float) -> list[Score]:
    """Return scores of encoders, each with its own noise of that size."""
    null = Null("shuffled", 0.1, 0.01, p=0.001)
    chance = 0.1 if metric == "mutual_knn" else None
    return [
        make_score(
            metric,
            value,
            encoder,
            deletions=tuple(value + error / np.sqrt(29) * NOISE[:, i]),
            null=null,
            chance=chance,
        )
        for i, (encoder, value) in enumerate(values.items())
    ]


def said(*scores: Score) -> list[str]:
    [ranking] = rank(list(scores))
    return [line for line in answer(ranking, str) if START in line]


CKA = scored("calibrated_cka", a=0.4, b=0.3, c=0.1)


@pytest.mark.parametrize(
    "local",
    [
        scored("mutual_knn", a=0.28, b=0.37, c=0.19),
        scored("calibrated_mutual_knn", a=0.2, b=0.3, c=0.1),
    ],
)
def test_the_other_answer_is_told_with_its_calibrated_values(local: list[Score]) -> None:
    expected = f"{SAYS} b (0.300); a (0.200) is behind by more than chance."
    assert said(*CKA, *local) == [expected]


def test_debiased_cka_is_a_witness_against_the_bias_of_the_calibrated_one() -> None:
    other = scored("debiased_cka", a=0.41, b=0.45, c=0.1)
    [ranking] = rank([*CKA, *other])
    start = "Without the bias against encoders of many directions the best is another one"
    expected = f"{start}: debiased_cka names b (0.450); a (0.410) is behind by more than chance."
    assert [line for line in answer(ranking, str) if "the best is another one" in line] == [expected]
    both = [*CKA, *other, *scored("mutual_knn", a=0.28, b=0.37, c=0.19)]
    [ranking] = rank(both)
    assert [other.metric for other in ranking.beside] == ["calibrated_mutual_knn", "debiased_cka"]


def test_a_tie_is_named_whole() -> None:
    cka = scored("calibrated_cka", a=0.4, d=0.3999, b=0.3, c=0.1)
    local = scored("mutual_knn", a=0.15, d=0.16, b=0.37, c=0.3701)
    assert said(*cka, *local) == [
        f"{SAYS} c (0.300) or b (0.300); a (0.056) and d (0.067) are behind by more than chance."
    ]


@pytest.mark.parametrize(
    "others",
    [
        scored("mutual_knn", a=0.37, b=0.28, c=0.19),  # the same order
        scored("mutual_knn", 0.2, a=0.28, b=0.37, c=0.19),  # within ties
        scored("rsa", a=0.28, b=0.37, c=0.19),  # no witness
        scored("debiased_cka", 0.2, a=0.41, b=0.45, c=0.1),  # within ties
        [],
    ],
)
def test_nothing_is_said_where_the_answers_agree(others: list[Score]) -> None:
    assert said(*CKA, *others) == []


def test_nothing_is_said_beside_another_ranking_or_a_tie_in_it() -> None:
    local = scored("mutual_knn", a=0.28, b=0.37, c=0.19)
    assert said(*scored("debiased_cka", a=0.4, b=0.3, c=0.1), *local) == []
    assert said(*scored("calibrated_cka", 0.2, a=0.4, b=0.39, c=0.1), *local) == []


def test_nothing_is_said_where_no_encoder_beats_shuffled_pairs_or_ties_are_unknown() -> None:
    chance: dict[str, Any] = {"null": Null("shuffled", 0.1, 0.01, p=0.4)}
    local = scored("mutual_knn", a=0.28, b=0.37, c=0.19)
    assert said(*CKA, *(score.__class__(**{**fields(score), **chance}) for score in local)) == []
    assert said(*CKA, *(score.__class__(**{**fields(score), "deletions": ()}) for score in local)) == []


def fields(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in score.__dataclass_fields__}


def test_the_summary_has_the_sentence_and_the_file_does_not() -> None:
    scores = [*CKA, *scored("mutual_knn", a=0.28, b=0.37, c=0.19)]
    findings = Findings.of(scores, make_run())
    assert START in summary_markdown(findings, [])
    assert START in findings.answer()
    assert "beside" not in findings.ranking().to_dict()
