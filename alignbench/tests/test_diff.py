"""Two runs side by side: what belongs together, how sure a difference is, what is a regression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.errors import ConfigError, UnknownNameError
from alignbench.findings.diff import compare, match
from alignbench.findings.gate import Gate, parse_gates
from alignbench.stats import unpaired_difference
from alignbench.tests.diff_fakes import moved, recorded, trained
from alignbench.tests.report_fakes import ENCODERS, make_score, make_scores, without_interval
from alignbench.types import Interval, Score

UP = make_score("linear_cka", 0.30)
DOWN = make_score("ncoral", 0.30, higher_is_better=False, experiment="coral")


def gates(text: str) -> tuple[Gate, ...]:
    return parse_gates(text, "--fail")


def judged(before: Score, after: Score, text: str) -> bool:
    """Return whether the change is a regression."""
    return bool(compare(recorded([before]), recorded([after], "b"), gates(text)).regressions)


def test_a_run_is_no_different_from_itself() -> None:
    scores = make_scores()
    found = compare(recorded(scores), recorded(reversed(scores), "b"), gates("linear_cka:0,eas:0%"))
    assert len(found.differences) == len(scores)
    assert not [d for d in found.differences if d.changed]
    assert not found.regressions
    assert (found.only_before, found.only_after, found.unlike, found.notes) == ((), (), (), ())


def test_rounding_is_no_change() -> None:
    for value in (0.3, 6e-5, 1e6, 0.0):
        before = make_score("rsa", value)
        assert not judged(before, moved(before, -1e-12 * max(value, 1e-3)), "rsa:0")
        assert judged(before, moved(before, -1e-6 * max(value, 1e-3)), "rsa:0")


def test_what_is_in_one_run_only_is_kept() -> None:
    scores = make_scores(ENCODERS[:2])
    lost, new = make_score("rsa", 0.1, "gone"), make_score("rsa", 0.1, "new")
    found = compare(recorded([*scores, lost]), recorded([new, *scores], "b"))
    assert (found.only_before, found.only_after) == ((lost,), (new,))
    assert len(found.differences) == len(scores)


def test_scores_are_told_apart_by_all_that_they_are_of() -> None:
    fields: list[dict[str, Any]] = [
        {},
        {"data_type": "chart"},
        {"variant": "linear"},
        {"experiment": "compare"},
        {"other": "x"},
        {"params": {"at": {"batch_size": 4}}},
    ]
    scores = [make_score("rsa", 0.1 * i, **own) for i, own in enumerate(fields)]
    matched, *only = match(scores, scores[::-1])
    assert len(matched) == len(fields)
    assert all(a is b for a, b in matched)
    assert only == [(), ()]


def test_scores_that_tests_repeat_belong_to_their_test() -> None:
    first, second, third = (
        make_score("rsa", i / 10, nodeid=f"test_x.py::test_{name}") for i, name in enumerate("abc")
    )
    matched, only_before, only_after = match([first, second], [second, third])
    assert matched == [(second, second)]
    assert (only_before, only_after) == ((first,), (third,))
    renamed = replace(first, nodeid="elsewhere/test_x.py::test_a")
    assert match([first], [renamed])[0] == [(first, renamed)]


@pytest.mark.parametrize(
    ("score", "worse", "text", "fails"),
    [
        (UP, -0.03, "linear_cka:0.02", True),
        (UP, -0.01, "linear_cka:0.02", False),
        (UP, +0.50, "linear_cka:0.02", False),
        (DOWN, +0.03, "ncoral:0.02", True),
        (DOWN, +0.01, "ncoral:0.02", False),
        (DOWN, -0.20, "ncoral:0.02", False),
        (UP, -0.02, "linear_cka:0.02", False),
        (DOWN, +0.02, "ncoral:0.02", False),
        (UP, -0.016, "linear_cka:5%", True),
        (UP, -0.014, "linear_cka:5%", False),
        (DOWN, +0.016, "ncoral:5%", True),
        (DOWN, -0.016, "ncoral:5%", False),
        (UP, -0.03, "eas:0,linear_cka:0.02", True),
        (make_score("rsa", -0.30), -0.016, "rsa:5%", True),
        (make_score("rsa", -0.30), -0.014, "rsa:5%", False),
        (make_score("rsa", 0.0), -0.001, "rsa:5%", True),
        (make_score("rsa", 0.0), 0.0, "rsa:5%", False),
    ],
)
def test_a_regression_is_worse_by_more_than_the_tolerance(
    score: Score, worse: float, text: str, fails: bool
) -> None:
    others = [make_score("eas", 0.5)]
    sides = recorded([score, *others]), recorded([moved(score, worse), *others], "b")
    found = compare(*sides, gates(text))
    assert [d.after.metric for d in found.regressions] == [score.metric] * fails


def test_without_a_gate_nothing_is_a_regression() -> None:
    found = compare(recorded([UP]), recorded([moved(UP, -0.2)], "b"))
    assert not found.regressions
    assert [d.better for d in found.changes] == [False]


def test_a_value_that_is_gone_is_a_regression_where_it_is_judged() -> None:
    missing = make_score("linear_cka", None)
    assert judged(UP, missing, "linear_cka:0.5")
    assert not judged(missing, UP, "linear_cka:0")
    assert not judged(missing, missing, "linear_cka:0")
    [lost] = compare(recorded([UP]), recorded([missing], "b")).changes
    assert (lost.lost, lost.better, lost.value, lost.interval) == (True, False, None, None)
    [gained] = compare(recorded([missing]), recorded([UP], "b")).changes
    assert (gained.gained, gained.better) == (True, True)
    [none] = compare(recorded([missing]), recorded([missing], "b")).differences
    assert not none.changed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("linear_cka", "expected METRIC:TOLERANCE such as"),
        ("linear_cka:", "got 'linear_cka:'"),
        (":0.1", "got ':0.1'"),
        ("linear_cka:x", "got 'linear_cka:x'"),
        ("linear_cka:-0.1", "got 'linear_cka:-0.1'"),
        ("linear_cka:nan", "got 'linear_cka:nan'"),
        ("linear_cka:inf%", "got"),
        ("linear_cka:0.1,", "got ''"),
        ("", "got ''"),
        ("a:1,b:2,a:3", "'a' has two tolerances"),
    ],
)
def test_a_gate_that_can_not_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^--fail: .*{says}"):
        gates(text)


def test_gates_read_as_they_were_written() -> None:
    assert gates(" linear_cka:0.02 , eas:5%") == (Gate("linear_cka", 0.02), Gate("eas", 0.05, relative=True))
    assert list(map(str, gates("linear_cka:0.02,eas:5%,b:0.1%"))) == ["linear_cka:0.02", "eas:5%", "b:0.1%"]


def test_a_gate_on_what_the_runs_have_not_in_common_is_refused() -> None:
    sides = recorded([UP, DOWN]), recorded([UP], "b")
    with pytest.raises(UnknownNameError, match=r"'linear_cca'\. Did you mean 'linear_cka'"):
        compare(*sides, gates("linear_cca:0.1"))
    with pytest.raises(UnknownNameError, match="in both a and b: unknown metric 'ncoral'"):
        compare(*sides, gates("ncoral:0.1"))


def test_the_same_samples_make_paired_intervals() -> None:
    after = moved(UP, -0.01, noise=0.0001)
    [difference] = compare(recorded([UP]), recorded([after], "b")).changes
    own = UP.interval
    assert difference.paired
    assert difference.interval is not None
    assert own is not None
    assert difference.interval.high - difference.interval.low < 0.1 * (own.high - own.low)
    assert not difference.covers_zero
    shift = np.asarray(after.deletions) - np.asarray(UP.deletions)
    error = np.sqrt(29 / 30 * np.square(shift - shift.mean()).sum())
    assert difference.interval.high + 0.01 == pytest.approx(2.04523 * error, rel=1e-4)
    [noisy] = compare(recorded([UP]), recorded([moved(UP, -0.01, noise=0.02)], "b")).changes
    assert noisy.covers_zero


def test_trained_scores_are_paired_over_splits() -> None:
    before = trained(0.5)
    [difference] = compare(recorded([before]), recorded([moved(before, 0.1, noise=0.001)], "b")).changes
    assert difference.paired
    assert difference.interval is not None
    assert difference.interval.method == "paired, 5 parts"
    assert 0 < difference.interval.low < 0.1 < difference.interval.high


@pytest.mark.parametrize(
    "change",
    [
        {"deletions": UP.deletions[:-1]},
        {"deletions": ()},
        {"seed": 7},
        {"dataset": "sample_data@00000000"},
        {"n": 80},
    ],
    ids=["blocks", "none", "seed", "data", "n"],
)
def test_what_can_not_be_paired_is_unpaired_and_says_so(change: dict[str, Any]) -> None:
    after = replace(moved(UP, 0.05), **change)
    [difference] = compare(recorded([UP]), recorded([after], "b"), unlike=True).changes
    assert not difference.paired
    assert difference.interval is not None
    assert difference.interval.method == "unpaired"
    # Both intervals are the value ± 0.06.
    assert difference.interval.low == pytest.approx(0.05 - np.hypot(0.06, 0.06))
    assert difference.interval.high == pytest.approx(0.05 + np.hypot(0.06, 0.06))


def test_a_side_without_interval_leaves_none() -> None:
    few = without_interval(UP)
    [difference] = compare(recorded([few]), recorded([moved(few, 0.1)], "b")).changes
    assert difference.interval is None
    assert not difference.covers_zero


def test_unpaired_intervals_keep_the_sides_of_skewed_ones() -> None:
    found = unpaired_difference(0.1, Interval(0.05, 0.3, "x"), 0.9, Interval(0.6, 0.92, "y"))
    assert found.low == pytest.approx(0.8 - np.hypot(0.3, 0.2))
    assert found.high == pytest.approx(0.8 + np.hypot(0.02, 0.05))


def test_unpaired_intervals_cover_the_true_difference() -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(400):
        sides = [rng.normal(mean, sd, 40) for mean, sd in ((0.0, 1.0), (0.3, 2.0))]
        bounds = [(s.mean(), 2.02 * s.std(ddof=1) / np.sqrt(40)) for s in sides]
        around = [Interval(m - h, m + h, "t") for m, h in bounds]
        found = unpaired_difference(bounds[0][0], around[0], bounds[1][0], around[1])
        hits += found.low <= 0.3 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_the_most_important_come_first() -> None:
    before = [make_score(f"m{i}", 0.5) for i in range(6)]
    after = [
        moved(before[0], 0.0),
        moved(before[1], 0.01, noise=0.01),
        moved(before[2], 0.01, noise=0.0001),
        replace(before[3], value=None, status="not_applicable", reason="why", interval=None, deletions=()),
        moved(before[4], -0.001),
        replace(without_interval(moved(before[5], 0.4)), n=90),
    ]
    found = compare(recorded(before), recorded(after, "b"), gates("m4:0"))
    assert [d.after.metric for d in found.differences] == ["m4", "m3", "m2", "m1", "m5", "m0"]
    assert [d.after.metric for d in found.regressions] == ["m4"]
    assert [d.after.metric for d in found.changes] == ["m3", "m2", "m1", "m5"]


def test_timings_are_apart_unless_they_are_judged() -> None:
    before = make_score("latency_ms", 5.0, higher_is_better=False, experiment="speed", unit="ms")
    after = moved(before, 1.0)
    found = compare(recorded([before]), recorded([after], "b"))
    assert not found.changes
    assert len(found.timings) == 1
    found = compare(recorded([before]), recorded([after], "b"), gates("latency_ms:10%"))
    assert (len(found.regressions), len(found.timings)) == (1, 0)
