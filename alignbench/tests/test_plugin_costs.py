"""How long a run is said to take before it begins."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import pytest

from alignbench import paths
from alignbench.plugin import costs
from alignbench.plugin.costs import seconds_of_tests
from alignbench.tests.toys import copy_benchmarks, run
from alignbench.units import duration_text

TRAINING = "benchmarks/test_compare.py::test_projection[mlp-a-l]"
SOLVED = "benchmarks/test_elas.py::test_elas[a-l]"
TIMING = "benchmarks/test_speed.py::test_encode[a-1]"


def options(**given: Any) -> Any:
    usual = {
        "epochs": 300,
        "splits": 5,
        "seeds": 5,
        "solved_splits": 40,
        "vlm_epochs": 8,
        "vlm_splits": 3,
        "vlm_seeds": 1,
        "figures": False,
    }
    return SimpleNamespace(**{**usual, **given})


def test_every_cost_is_of_a_test_that_there_is() -> None:
    files = paths.benchmarks().glob("test_*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    there = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {*costs._SECONDS, *costs._TIMING_SECONDS, *costs._TRAINED} <= there


def test_a_training_takes_longer_than_a_score() -> None:
    score = "benchmarks/test_coral.py::test_cross_modal[ncoral-a-l]"
    assert seconds_of_tests([TRAINING] * 30, options()) > 2 * seconds_of_tests([score] * 30, options())


def test_the_name_in_the_brackets_is_of_no_test() -> None:
    named = seconds_of_tests(["t.py::test_x[test_vlm]", "t.py::test_x[::test_vlm]"], options())
    assert named == seconds_of_tests(["t.py::test_x[a]"] * 2, options())


@pytest.mark.parametrize(
    ("test", "less"), [(TRAINING, "epochs"), (TRAINING, "splits"), (SOLVED, "solved_splits")]
)
def test_less_training_takes_less_time(test: str, less: str) -> None:
    all_of_it, rest = (seconds_of_tests(tests, options()) for tests in ([test], []))
    shorter = seconds_of_tests([test], options(**{less: 1})) - rest
    assert shorter == pytest.approx((all_of_it - rest) / getattr(options(), less))


def test_workers_share_the_tests_and_time_nothing() -> None:
    def alone(tests: list[str], workers: int) -> float:
        some, none = (
            seconds_of_tests(which, options(), workers, timed=workers == 1) for which in (tests, [])
        )
        return some - none

    assert alone([TRAINING] * 20, 2) == pytest.approx(alone([TRAINING] * 20, 1) / 2)
    assert alone([TIMING], 1) > 0
    assert alone([TIMING], 2) == 0


def test_a_run_that_was_asked_for_speed_times_longer() -> None:
    timing = ["benchmarks/test_speed.py::test_metric[rsa-5000]"]
    asked, among_others = (seconds_of_tests(timing, options(), speed_asked=asked) for asked in (True, False))
    assert asked > among_others + 1


def test_figures_are_in_the_estimate_if_they_are_drawn() -> None:
    assert seconds_of_tests([TRAINING], options(figures=True)) > seconds_of_tests([TRAINING], options())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s"), (12, "10 s"), (33, "30 s"), (66, "70 s"), (112, "110 s"), (125, "2 min"), (9000, "2.5 h")],
)
def test_durations_are_round(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_plan_of_many_samples_promises_only_a_bound(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_e2e.py")
    few = run(project, "benchmarks", "--align-epochs=1", "--align-splits=2")
    few.stdout.fnmatch_lines(["plan *; about * s"])
    many = run(
        project,
        "benchmarks",
        "--align-epochs=1",
        "--align-splits=2",
        "--n-samples=70",
        "--align-dataset=synthetic",
    )
    many.stdout.fnmatch_lines(["plan *; at least * s"])
