"""Runs that are no measurements of the same: refused with a line for each reason, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import UnlikeError
from alignbench.findings import Findings
from alignbench.findings.diff import compare
from alignbench.findings.gate import parse_gates
from alignbench.tests.diff_fakes import moved, recorded
from alignbench.tests.report_fakes import make_run, make_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.types import Score

CLIP = {"pooling": "cls", "l2": True, "dtype": "float32"}
SCORE = make_score(
    "linear_cka", 0.3, params={"preprocessing": {"mini-clip": CLIP, "mini-llama": {"pooling": "mean"}}}
)
DATA: dict[str, Any] = dict(make_run().dataset)


def prepared(**changes: Any) -> Score:
    how = {"mini-clip": {**CLIP, **changes}, "mini-llama": {"pooling": "mean"}}
    return replace(SCORE, params={"preprocessing": how})


def with_model(name: str, **changes: Any) -> list[Mapping[str, Any]]:
    """Return the models of a run, one of them changed."""
    models: list[dict[str, Any]] = make_run().to_dict()["models"]
    return [{**model, **changes} if model["name"] == name else model for model in models]


CASES = {
    "data": (
        recorded([replace(SCORE, dataset="sample_data@ffffffff")], "b", dataset={**DATA, "digest": "f" * 64}),
        "data: sample_data 1a2b3c4d1a2b of 90 samples in A, sample_data ffffffffffff of 90",
    ),
    "groups": (recorded([SCORE], "b", dataset={**DATA, "groups": 30}), "90 samples in 30 groups in B"),
    "weights": (
        recorded([SCORE], "b", models=with_model("mini-clip", revision="sha256:ffffffffffffffff")),
        "weights of mini-clip: 0123456789abcdef in A, sha256:ffffffffffff in B",
    ),
    "source": (
        recorded([SCORE], "b", models=with_model("mini-llama", source="mine", revision=None)),
        "weights of mini-llama: sample_data/models/mini-llama (built-in toy model 0123456789abcdef) in A, "
        "mine (built-in toy model of no revision) in B",
    ),
    "kind": (
        recorded([SCORE], "b", models=with_model("mini-clip", weights="random")),
        "weights of mini-clip: sample_data/models/mini-clip (built-in toy model 0123456789abcdef) in A",
    ),
    "preprocessing": (
        recorded([prepared(pooling="mean")], "b"),
        "preprocessing of mini-clip: pooling cls in A, mean in B",
    ),
    "dtype": (
        recorded([prepared(dtype="bfloat16")], "b"),
        "preprocessing of mini-clip: dtype float32 in A, bfloat16 in B",
    ),
    "said by one": (
        recorded([prepared(layer=3)], "b"),
        "preprocessing of mini-clip: layer None in A, 3 in B",
    ),
    "seed": (recorded([replace(SCORE, seed=7)], "b"), "seed: 42 in A, 7 in B"),
    "unfinished": (
        Findings.of((SCORE,), {}, "b"),
        "weights: those of B are unknown, because its run did not finish",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_runs_unlike_is_named_and_refused(case: str) -> None:
    other, says = CASES[case]
    with pytest.raises(UnlikeError) as caught:
        compare(recorded([SCORE]), other)
    head, *reasons = str(caught.value).splitlines()
    assert head == "A (a) and B (b) are not alike; --unlike compares them all the same:"
    assert len(reasons) == 1
    assert says in reasons[0]
    found = compare(recorded([SCORE]), other, unlike=True)
    assert len(found.differences) == 1
    assert [reason in reasons[0] for reason in found.unlike] == [True]


def test_all_reasons_are_named_at_once_each_in_a_line() -> None:
    score = replace(prepared(pooling="mean", l2=False), seed=7, dataset="x@1")
    other = recorded(
        [score], "b", dataset={**DATA, "digest": "0" * 64}, models=with_model("mini-clip", revision="2")
    )
    with pytest.raises(UnlikeError) as caught:
        compare(recorded([SCORE]), other)
    kinds = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert kinds == [
        "data",
        "weights of mini-clip",
        "preprocessing of mini-clip",
        "preprocessing of mini-clip",
        "seed",
    ]


def test_models_that_only_one_run_has_make_no_runs_unlike() -> None:
    run = make_run(encoders=("mini-clip", "new"))
    other = recorded([SCORE, make_score("linear_cka", 0.1, "new")], "b", run)
    assert compare(recorded([SCORE]), other).unlike == ()


def test_a_model_that_no_common_score_is_of_does_not_matter() -> None:
    other = recorded([SCORE], "b", models=with_model("random-vit", revision="2"))
    assert compare(recorded([SCORE]), other).unlike == ()


def test_a_setting_that_the_other_version_does_not_know_is_none() -> None:
    assert compare(recorded([SCORE]), recorded([prepared(layer=None)], "b")).unlike == ()


def test_settings_of_experiments_and_code_are_noted_and_not_refused() -> None:
    before = replace(SCORE, params={"k": 18, "epochs": 300, "min": 1.0})
    after = replace(SCORE, params={"k": 17, "epochs": 300, "min": 2.0})
    other = recorded([after], "b", git_commit="fff", versions={"alignbench": "0.2.0", "numpy": "2.4.6"})
    found = compare(recorded([before]), other)
    assert found.notes == (
        "k 18 in A, 17 in B, for 1 score",
        "commit 0123456789abcdef0123456789abcdef01234567 in A, fff in B; alignbench 0.1.0 in A, 0.2.0 in B",
    )


def test_timings_of_another_machine_are_noted_and_refused_where_they_are_judged() -> None:
    timing = make_score("latency_ms", 5.0, higher_is_better=False, experiment="speed")
    sides = (
        recorded([SCORE, timing]),
        recorded([SCORE, moved(timing, 9.0)], "b", machine={"cpu": "arm", "cores": 2, "device": "cpu"}),
    )
    says = "machine of the timings: cpu x86_64 in A, arm in B"
    assert compare(*sides).notes == (says,)
    assert compare(*sides, parse_gates("linear_cka:0.1", "--fail")).notes == (says,)
    with pytest.raises(UnlikeError, match=says):
        compare(*sides, parse_gates("latency_ms:10%", "--fail"))
    told = compare(*sides, parse_gates("latency_ms:10%", "--fail"), unlike=True)
    assert (told.unlike, told.notes, len(told.regressions)) == ((says,), (), 1)


def test_runs_without_a_score_in_common_are_listed_and_not_refused() -> None:
    other = recorded([make_score("rsa", 0.1, seed=7)], "b", dataset={**DATA, "digest": "0" * 64})
    found = compare(recorded([SCORE]), other)
    assert (found.differences, len(found.only_before), len(found.only_after)) == ((), 1, 1)


def test_killed_runs_are_paired_by_what_their_scores_say() -> None:
    sides = Findings.of((SCORE,), {}, "a"), Findings.of((moved(SCORE, 0.1, noise=0.001),), {}, "b")
    [difference] = compare(*sides, unlike=True).changes
    assert difference.paired
    other = Findings.of((replace(moved(SCORE, 0.1), dataset="x@2"),), {}, "b")
    with pytest.raises(UnlikeError, match="data: sample_data@1a2b3c4d in A, x@2 in B"):
        compare(sides[0], other)


def test_nothing_in_a_reason_acts_on_the_terminal() -> None:
    evil = "\x1b[2Jnew\u202e"
    other = recorded([replace(SCORE, dataset=evil)], "b", dataset={**DATA, "digest": evil, "name": evil})
    with pytest.raises(UnlikeError) as caught:
        compare(recorded([SCORE]), other)
    assert not set("\x1b\u202e") & set(str(caught.value))
