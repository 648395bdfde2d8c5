"""Timings as a user meets them: saved, compared, a slowdown caught; and where nothing can be timed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments.speed_rounds import Timing
from alignbench.plugin.gate import Gate
from alignbench.report import read_run
from alignbench.tests.toys import CONFTEST, copy_benchmarks, run

if TYPE_CHECKING:
    from pathlib import Path

TIMED = """
import time

from alignbench.experiments import speed_reference, speed_rounds

speed_rounds._LONG_PAUSES = (0.0, 0.1)  # slow code is not to hold up the tests
reading = dict.fromkeys(("product", "memory", "calls"), 1.0)
speed_reference.Reference.read = lambda self: dict(reading)

class Timed(ToyEncoder):
    def embed(self, images):
        time.sleep({seconds})
        return super().embed(images)

ENCODERS.add("timed", Timed("timed"))
"""
ENCODE = ("benchmarks", "--encoders=timed", "-k", "test_encode", "--align-batch-sizes=1,2")
ONE = (*ENCODE[:-1], "--align-batch-sizes=1")
REASONS = "-rs"
COMPARE = ("--benchmark-compare", "--benchmark-compare-fail=median:10%")


@pytest.fixture
def speed(project: pytest.Pytester) -> pytest.Pytester:
    """A project whose encoder takes 30 ms a batch."""
    takes(project, 0.03)
    copy_benchmarks(project, "test_speed.py")
    return project


def takes(project: pytest.Pytester, seconds: float) -> None:
    project.makeconftest(CONFTEST + TIMED.format(seconds=seconds))


def saved(project: pytest.Pytester) -> list[Path]:
    return sorted((project.path / "reports" / "speed" / "cpu").glob("*/*.json"))


def text(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def test_a_run_records_timings_and_saves_them(speed: pytest.Pytester) -> None:
    result = run(speed, *ENCODE)
    result.assert_outcomes(passed=2)
    _, found = read_run(speed.path / "reports" / "latest")
    latency = {s.params["at"]["batch_size"]: s for s in found if s.metric == "latency_ms"}
    assert latency.keys() == {1, 2}
    assert all(30 <= (s.value or 0) < 36 for s in latency.values())
    assert {s.experiment for s in found} == {"speed"}
    assert {s.metric for s in found} == {"latency_ms", "throughput", "peak_memory"}
    [path] = saved(speed)
    kept = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    medians = sorted(bench["stats"]["median"] * 1e3 for bench in kept)
    assert medians == pytest.approx(sorted(s.value or 0 for s in latency.values()), rel=1e-12)
    result.stdout.fnmatch_lines(["Speed on cpu, 1 thread*", "encoder *ms at 1 *", "timed *"])
    assert "PytestBenchmarkWarning" not in text(result)
    assert "Rounds" not in text(result)  # pytest-benchmark's own table


def test_its_table_is_there_for_those_who_ask(speed: pytest.Pytester) -> None:
    result = run(speed, *ENCODE, "--benchmark-sort=name")
    result.stdout.fnmatch_lines(["*Name (time in ms) *Median *IQR *Rounds*", "test_encode[[]timed-1[]] *"])


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


def gate(*, saved_median: float, fails: str | None) -> Gate:
    """A gate that compares `test_x` with one saved median, in seconds."""
    from pytest_benchmark.utils import parse_compare_fail

    session = SimpleNamespace(compared_mapping={"0001": {"test_x": {"stats": {"median": saved_median}}}})
    option = SimpleNamespace(benchmark_compare_fail=[parse_compare_fail(fails)] if fails else None)
    plugins = SimpleNamespace(get_plugin=lambda name: session)
    config: Any = SimpleNamespace(option=option, pluginmanager=plugins)
    nothing: Any = None
    return Gate(config, nothing, None, None)


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
    own = gate(saved_median=1.0, fails=fails)
    assert own.judges("test_x", timed(median, busy=busy)) == judged
    assert own.unjudged == ([] if judged else ["test_x"])


def test_load_by_others_is_not_taken_for_a_machine_that_became_slower() -> None:
    own = gate(saved_median=1.0, fails="median:10%")
    own.baseline.compared[0]["test_x"]["extra_info"] = {"reference": {"memory": 1.0}}
    del own.baseline
    assert own.too_slow_by("test_x", timed(1.3, busy=False, memory=1.25)) < 0
    assert own.too_slow_by("test_x", timed(1.3, busy=True, memory=1.25)) > 0
    assert not own.judges("test_x", timed(1.3, busy=True, memory=1.25))
    assert own.judges("test_x", timed(2.0, busy=True, memory=1.25))
    assert own.baseline.ratios({"test_x": 2.0}) == {"test_x": 2.0}


def test_without_anything_saved_everything_is_judged() -> None:
    assert gate(saved_median=1.0, fails="median:10%").judges("test_y", timed(99.0, busy=True))


SLOWED = """
speed_rounds.Timing.busy = False  # whatever other tests do meanwhile
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


def test_workers_time_nothing_and_say_why(speed: pytest.Pytester) -> None:
    result = run(speed, *ENCODE, REASONS, "-n", "2")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*workers would time each other; run without -n"])
    assert "Warning" not in text(result)
    assert not (speed.path / "reports").exists()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("-p", "no:benchmark"), "timings need pytest-benchmark*"),
        (("--benchmark-disable",), "timings are switched off*"),
        (("--benchmark-skip",), "timings are switched off*"),
    ],
    ids=["no-plugin", "disable", "skip"],
)
def test_where_nothing_is_timed_tests_are_skipped_with_the_reason(
    speed: pytest.Pytester, args: tuple[str, ...], why: str
) -> None:
    result = run(speed, *ENCODE, REASONS, *args)
    assert result.ret == 0
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines([f"SKIPPED*{why}"])
    assert "loaded to be timed" not in text(result)
    assert not (speed.path / "reports").exists()


def test_xdist_is_not_needed(speed: pytest.Pytester) -> None:
    run(speed, *ENCODE, "-p", "no:xdist").assert_outcomes(passed=2)


def test_only_timings_are_run_where_only_these_are_asked_for(speed: pytest.Pytester) -> None:
    copy = speed.path / "benchmarks" / "test_other.py"
    copy.write_text("def test_other(): pass\n", encoding="utf-8")
    result = run(speed, *ENCODE[:-3], "--align-batch-sizes=1", "-k", "encode or other", "--benchmark-only")
    result.assert_outcomes(passed=1, skipped=1)


def test_a_run_that_times_nothing_leaves_nothing_and_warns_of_nothing(speed: pytest.Pytester) -> None:
    speed.makepyfile(test_nothing="def test_nothing(): pass")
    result = run(speed, "test_nothing.py")
    result.assert_outcomes(passed=1)
    assert "Warning" not in text(result)
    assert not (speed.path / "reports").exists()
    assert not (speed.path / ".benchmarks").exists()


def test_the_user_s_own_place_and_name_are_left_alone(speed: pytest.Pytester) -> None:
    own = ("--benchmark-storage=file://mine", "--benchmark-save=theirs")
    first = run(speed, *ENCODE, *own, *COMPARE)
    assert first.ret == 0
    first.stdout.fnmatch_lines(["speed *nothing saved yet to compare with*"])
    assert [path.name for path in speed.path.glob("mine/*/*")] == ["0001_theirs.json"]
    assert saved(speed) == []
    run(speed, *ENCODE, *own, *COMPARE).stdout.fnmatch_lines(["speed  2 of 2 timings compared*"])


def test_models_are_loaded_to_be_timed_once_each_and_the_plan_says_so(speed: pytest.Pytester) -> None:
    copy = speed.path / "benchmarks" / "test_pair.py"
    copy.write_text("def test_pair(pair, record): record('linear_cka', pair)\n", encoding="utf-8")
    args = (*ENCODE[:-3], "--align-batch-sizes=1,2", "-k", "encode or pair", "-p", "no:randomly")
    cold = run(speed, *args)
    assert cold.ret == 0
    cold.stdout.fnmatch_lines(["model  timed: custom, 30 to embed, loaded to be timed"])
    warm = run(speed, *args)
    warm.stdout.fnmatch_lines(
        ["model  timed: custom, cached, loaded to be timed", "model  toy-llm: custom, cached, not loaded"]
    )
    loads = read_run(speed.path / "reports" / "latest")[0]["loads"]
    assert [(load["model"], load["purpose"]) for load in loads] == [("timed", "timing")]
    only = run(speed, *ENCODE)
    only.stdout.fnmatch_lines(["model  timed: custom, loaded to be timed"])


def test_a_model_that_can_not_be_loaded_is_tried_once(speed: pytest.Pytester) -> None:
    speed.makeconftest(
        CONFTEST
        + """
class Broken(ToyEncoder):
    def load(self, device, dtype):
        print("TRIED")
        raise RuntimeError("no such luck")

ENCODERS.add("broken", Broken("broken"))
"""
    )
    args = [arg for arg in ENCODE if not arg.startswith("--encoders")]
    result = run(speed, *args, "--encoders=broken", "-s")
    result.assert_outcomes(errors=2)
    assert text(result).count("TRIED\n") == 1


def test_metrics_too_dear_for_a_run_of_everything_are_skipped_or_asked_for(
    speed: pytest.Pytester,
) -> None:
    with (speed.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(
            """
from alignbench.metrics import METRICS

@METRICS.register("slow_one", kind="unary")
def slow_one(x):
    time.sleep(0.4)
    return 1.0
"""
        )
    args = ("benchmarks", REASONS, "-k", "slow_one and 100]")
    result = run(speed, *args)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*takes more than 0.1 s a call: timed with -m speed"])
    run(speed, *args, "-m", "speed").assert_outcomes(passed=1)


def test_what_a_metric_took_of_fewer_rows_tells_that_more_take_too_long(speed: pytest.Pytester) -> None:
    with (speed.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(
            """
from alignbench.metrics import METRICS

@METRICS.register("square", kind="unary")
def square(x):
    with open("called", "a") as file:
        print(len(x), file=file)
    time.sleep(0.03 * (len(x) / 1000) ** 2)
    return 1.0
"""
        )
    run(speed, "benchmarks", "-k", "square", "-p", "no:randomly").assert_outcomes(passed=2, skipped=1)
    assert set((speed.path / "called").read_text().split()) == {"100", "200", "1000"}
    run(speed, "benchmarks", "-k", "square and 5000").assert_outcomes(skipped=1)
    assert set((speed.path / "called").read_text().split()) == {"100", "200", "500", "1000"}


def test_a_model_is_there_for_timings_before_and_after_it_was_embedded(speed: pytest.Pytester) -> None:
    speed.makeconftest(
        CONFTEST
        + """
class Strict(ToyEncoder):
    there = False

    def load(self, device, dtype):
        assert not Strict.there, "two models in memory"
        Strict.there = True

    def unload(self):
        Strict.there = False

    def embed(self, images):
        assert self.there
        return super().embed(images)

for name in ("strict-a", "strict-b"):
    ENCODERS.add(name, Strict(name))
"""
    )
    speed.makepyfile(
        test_turns="""
from alignbench.experiments import speed
import pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_turns(timed_encoder, turn, dataset, alignbench_suite, stopwatch):
    for model in alignbench_suite.encoders.values():
        alignbench_suite.vision(model)
    alignbench_suite.hold(timed_encoder)
    stopwatch(speed.encoding(timed_encoder, dataset, 1))

def test_after(alignbench_suite):
    assert not any(model.there for model in alignbench_suite.encoders.values())
"""
    )
    result = run(speed, "test_turns.py", "--encoders=strict-a,strict-b", "-p", "no:randomly")
    result.assert_outcomes(passed=5)


def test_work_of_a_user_is_timed_recorded_and_saved_like_ours(speed: pytest.Pytester) -> None:
    speed.makepyfile(
        test_mine="""
import time
import pytest
from alignbench.experiments.speed import Work

@pytest.mark.speed
def test_my_step(stopwatch):
    stopwatch(Work("my_step_ms", call=lambda: time.sleep(0.01), dataset="mine", items=1, group="mine"))
"""
    )
    run(speed, "test_mine.py").assert_outcomes(passed=1)
    [score] = read_run(speed.path / "reports" / "latest")[1]
    assert (score.experiment, score.metric, score.dataset) == ("speed", "my_step_ms", "mine")
    assert 10 <= (score.value or 0) < 15
    assert len(saved(speed)) == 1
