"""Timings as a run makes them: recorded and saved, and where nothing can be timed, with the reason."""

from __future__ import annotations

import json

import pytest

from alignbench.findings import read_run
from alignbench.tests.speed_projects import ENCODE, saved, text
from alignbench.tests.toys import CONFTEST, run

REASONS = "-rs"


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
    spend(0.4)
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
    spend(0.03 * (len(x) / 1000) ** 2)
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
from alignbench.experiments.speed import works as speed
import pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_turns(timed_encoder, turn, dataset, alignbench_session, stopwatch):
    for model in alignbench_session.encoders.values():
        alignbench_session.vision(model)
    alignbench_session.hold(timed_encoder)
    stopwatch(speed.encoding(timed_encoder, dataset, 1))

def test_after(alignbench_session):
    assert not any(model.there for model in alignbench_session.encoders.values())
"""
    )
    result = run(speed, "test_turns.py", "--encoders=strict-a,strict-b", "-p", "no:randomly")
    result.assert_outcomes(passed=5)


def test_work_of_a_user_is_timed_recorded_and_saved_like_ours(speed: pytest.Pytester) -> None:
    speed.makepyfile(
        test_mine="""
import pytest
from alignbench.experiments.speed.works import Work
from conftest import spend

@pytest.mark.speed
def test_my_step(stopwatch):
    stopwatch(Work("my_step_ms", call=lambda: spend(0.01), dataset="mine", items=1, group="mine"))
"""
    )
    run(speed, "test_mine.py").assert_outcomes(passed=1)
    [score] = read_run(speed.path / "reports" / "latest")[1]
    assert (score.experiment, score.metric, score.dataset) == ("speed", "my_step_ms", "mine")
    assert 10 <= (score.value or 0) < 15
    assert len(saved(speed)) == 1
