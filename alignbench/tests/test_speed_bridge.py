"""Timings compared with saved ones as a user meets it: a slowdown caught, unchanged code passed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from alignbench.experiments.speed.rounds import Timing
from alignbench.plugin.bridge import Bridge
from alignbench.tests.speed_projects import ENCODE, ONE, TIMED, saved, takes, text
from alignbench.tests.toys import CONFTEST, run

COMPARE = ("--benchmark-compare", "--benchmark-compare-fail=median:10%")


def test_compare_with_nothing_saved_says_so_and_passes(speed: pytest.Pytester) -> None:
    result = run(speed, *ENCODE, *COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["speed *nothing saved yet to compare with*"])
    assert len(saved(speed)) == 1
    assert "Traceback" not in text(result)
    assert "Warning" not in text(result)


def test_unchanged_code_passes_and_a_planted_slowdown_fails_however_often(speed: pytest.Pytester) -> None:
    assert run(speed, *ONE).ret == 0
    again = run(speed, *ONE, *COMPARE)
    assert again.ret == 0
    again.stdout.fnmatch_lines(["speed  1 of 1 timing compared: 0 slower by more than 10%*"])
    takes(speed, 0.09)
    slow = run(speed, *ONE, *COMPARE)
    assert slow.ret == pytest.ExitCode.TESTS_FAILED
    slow.stdout.fnmatch_lines(
        ["speed  1 of 1 timing compared: 1 slower by more than 10%*", "*times as long: test_encode*"]
    )
    assert "Traceback" not in text(slow)
    slow.assert_outcomes(passed=1)
    # The slower run is kept, but is not what the next one is compared with.
    assert [path.name.partition("_")[0] for path in saved(speed)] == ["0001", "0002", "slower"]
    assert run(speed, *ONE, *COMPARE).ret == 1


def test_timings_that_were_not_saved_are_counted(speed: pytest.Pytester) -> None:
    assert run(speed, *ONE).ret == 0
    result = run(speed, *ENCODE, *COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["speed  1 of 2 timings compared*", "*nothing saved to compare with: 1"])


def test_a_machine_or_settings_other_than_the_saved_are_named(
    speed: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(speed, *ENCODE).ret == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    result = run(speed, *ENCODE, *COMPARE)
    result.stdout.fnmatch_lines(["*not the same as then: threads 2, saved 1*"])
    assert "Warning" not in text(result)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--benchmark-compare=0042",), "no saved run '0042' under reports/speed/cpu; saved: 0001"),
        (("--benchmark-compare", "benchmarks"), "give the path of the tests before the option"),
        ((*COMPARE, "-n", "2"), "not together with -n"),
        (("--benchmark-compare-fail=median:10%", "-n", "2"), "not together with -n"),
    ],
    ids=["unknown", "path", "workers", "workers-fail"],
)
def test_a_comparison_that_can_not_be_is_one_clean_line(
    speed: pytest.Pytester, args: tuple[str, ...], says: str
) -> None:
    folder = speed.path / "reports" / "speed" / "cpu" / _machine()
    folder.mkdir(parents=True)
    (folder / "0001_something.json").write_text("{}", encoding="utf-8")
    result = run(speed, "-k", "test_encode", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert "Traceback" not in text(result)


def _machine() -> str:
    from pytest_benchmark.utils import get_machine_id

    return str(get_machine_id())


def bridge(*, saved_median: float, fails: str | None) -> Bridge:
    """Return a bridge that compares `test_x` with one saved median, in seconds."""
    from pytest_benchmark.utils import parse_compare_fail

    session = SimpleNamespace(compared_mapping={"0001": {"test_x": {"stats": {"median": saved_median}}}})
    option = SimpleNamespace(benchmark_compare_fail=[parse_compare_fail(fails)] if fails else None)
    plugins = SimpleNamespace(get_plugin=lambda name: session)
    config: Any = SimpleNamespace(option=option, pluginmanager=plugins)
    nothing: Any = None
    return Bridge(config, nothing, None, None)


def timed(median: float, *, busy: bool, **reference: float) -> Timing:
    return Timing((median,), others=1.0 if busy else 0.0, reference=reference)


@pytest.mark.parametrize(
    ("median", "busy", "fails", "judged"),
    [
        (1.05, True, "median:10%", True),
        (1.2, False, "median:10%", True),
        (1.2, True, "median:10%", False),
        (1.2, True, "median:30%", True),
        (1.2, True, None, True),
        (1.85, True, "median:10%", False),
        (2.0, True, "median:10%", True),
    ],
    ids=["not-slow", "quiet", "busy", "allowed", "no-gate", "load", "too-slow-for-load"],
)
def test_slow_while_others_used_the_machine_is_not_judged(
    median: float, busy: bool, fails: str | None, judged: bool
) -> None:
    subject = bridge(saved_median=1.0, fails=fails)
    assert subject.judges("test_x", timed(median, busy=busy)) == judged
    assert subject.unjudged == ([] if judged else ["test_x"])


def test_load_by_others_is_not_taken_for_a_machine_that_became_slower() -> None:
    subject = bridge(saved_median=1.0, fails="median:10%")
    subject.baseline.compared[0]["test_x"]["extra_info"] = {"reference": {"memory": 1.0}}
    del subject.baseline
    assert subject.too_slow_by("test_x", timed(1.3, busy=False, memory=1.25)) < 0
    assert subject.too_slow_by("test_x", timed(1.3, busy=True, memory=1.25)) > 0
    assert not subject.judges("test_x", timed(1.3, busy=True, memory=1.25))
    assert subject.judges("test_x", timed(2.0, busy=True, memory=1.25))
    assert subject.baseline.ratios == {"test_x": 2.0}


def test_without_anything_saved_everything_is_judged() -> None:
    assert bridge(saved_median=1.0, fails="median:10%").judges("test_y", timed(99.0, busy=True))


SLOWED = """
from alignbench.experiments.speed.rounds import Timing

Timing.busy = False  # whatever other tests do meanwhile
reading["memory"] = {factor}
"""


def test_a_machine_that_has_become_slower_is_allowed_for_and_code_that_has_is_not(
    speed: pytest.Pytester,
) -> None:
    assert run(speed, *ONE).ret == 0
    speed.makeconftest(CONFTEST + TIMED.format(seconds=0.036) + SLOWED.format(factor=1.25))
    allowed = run(speed, *ONE, *COMPARE)
    assert allowed.ret == 0
    allowed.stdout.fnmatch_lines(["*the machine itself is 1.25 times as slow as then, which is allowed for"])
    speed.makeconftest(CONFTEST + TIMED.format(seconds=0.06) + SLOWED.format(factor=9))
    slow = run(speed, *ONE, "--benchmark-compare=0001", COMPARE[1])
    assert slow.ret == 1
    slow.stdout.fnmatch_lines(["speed  1 of 1 timing compared: 1 slower by more than 10%*"])


def test_one_lucky_run_is_not_what_others_are_measured_by(speed: pytest.Pytester) -> None:
    for _ in range(3):
        assert run(speed, *ONE).ret == 0
    takes(speed, 0.01)
    assert run(speed, *ONE).ret == 0  # saved last, and faster than ever
    takes(speed, 0.03)
    # Runs of another machine and broken files are no measure.
    first, second, *_ = saved(speed)
    good = first.read_text(encoding="utf-8")
    first.write_text("{}", encoding="utf-8")
    second.write_text(good.replace('"threads": 1', '"threads": 2'), encoding="utf-8")
    assert run(speed, *ONE, *COMPARE).ret == 1
    first.write_text(good, encoding="utf-8")
    second.write_text(good, encoding="utf-8")
    assert run(speed, *ONE, *COMPARE).ret == 0
    # Who names the run means that one.
    assert run(speed, *ONE, "--benchmark-compare=0004", COMPARE[1]).ret == 1


def test_timings_that_were_saved_without_the_reference_are_compared_as_they_are(
    speed: pytest.Pytester,
) -> None:
    assert run(speed, *ONE).ret == 0
    [path] = saved(speed)
    old = json.loads(path.read_text(encoding="utf-8"))
    assert old["benchmarks"][0]["extra_info"].pop("reference").keys() == {"product", "memory", "calls"}
    path.write_text(json.dumps(old), encoding="utf-8")
    takes(speed, 0.036)
    with (speed.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(SLOWED.format(factor=1.25))
    assert run(speed, *ONE, *COMPARE).ret == 1


def test_the_user_s_own_place_and_name_are_left_alone(speed: pytest.Pytester) -> None:
    subject = ("--benchmark-storage=file://mine", "--benchmark-save=theirs")
    first = run(speed, *ENCODE, *subject, *COMPARE)
    assert first.ret == 0
    first.stdout.fnmatch_lines(["speed *nothing saved yet to compare with*"])
    assert [path.name for path in speed.path.glob("mine/*/*")] == ["0001_theirs.json"]
    assert saved(speed) == []
    run(speed, *ENCODE, *subject, *COMPARE).stdout.fnmatch_lines(["speed  2 of 2 timings compared*"])
