"""What a run says and keeps when something is wrong: options, weights, models, a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from alignbench.findings import read_run
from alignbench.tests.toys import CONFTEST, RECORD, SELECTION, copy_benchmarks, run, scores


def test_a_crashed_worker_keeps_what_it_recorded(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=RECORD
        + """
@pytest.mark.parametrize("metric", ["rsa"])
def test_some_more(metric, pair, record):
    import os
    record(metric, pair)
    if pair.x.model.name == "toy-b":
        os._exit(9)
"""
    )
    result = run(project, "-n", "1", "-p", "no:randomly")
    assert result.ret == 1
    kept = {(key[1], key[2]) for key in scores(project)}
    assert kept == {(m, e) for m in ("linear_cka", "mutual_knn") for e in ("toy-a", "toy-b")} | {
        ("rsa", "toy-a")
    }


def test_a_killed_run_keeps_its_scores_and_embeddings(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
import threading, pytest
pytestmark = pytest.mark.cka

@pytest.mark.parametrize("metric", ["linear_cka", "mutual_knn"])
def test_some(metric, pair, record):
    if metric == "mutual_knn":
        print("reached", flush=True)
        threading.Event().wait()
    record(metric, pair)
"""
    )
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:randomly", *SELECTION[1:], "--encoders=toy-a"]
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("reached" in line for line in process.stdout), "the second test never began"
        process.send_signal(signal.SIGKILL)
    [log] = project.path.glob("reports/*/scores.jsonl")
    folder = log.parent
    assert [json.loads(line)["metric"] for line in log.read_text(encoding="utf-8").splitlines()] == [
        "linear_cka"
    ]
    assert read_run(folder)[1][0].metric == "linear_cka"
    project.makepyfile(test_it=RECORD)
    assert run(project).ret == 0
    assert {load["model"] for load in read_run(project.path / "reports" / "latest")[0]["loads"]} == {"toy-b"}


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
def test_missing_weights_are_one_line_a_model(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    project.makepyfile(test_it=RECORD)
    result = run(project, "--encoders=clip,siglip", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in (result.errlines + result.outlines) if line.startswith("ERROR: ")]
    assert len(errors) == 2
    assert all("--align-standins" in line for line in errors)
    assert not (project.path / "reports").exists()


def test_models_that_no_test_needs_are_not_looked_for(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    assert run(project, "--encoders=clip,toy-a", "-k", "toy-a").ret == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--encoders=toy-aa"], "Did you mean 'toy-a'"),
        (["--llms=,"], "an empty name"),
        (["--encoders=toy-a,toy-a"], "named twice"),
        (["--n-samples=0"], "at least 1"),
        (["--align-fit=stretch"], "unknown value 'stretch'"),
        (["--align-data-root=nowhere"], "nowhere"),
        (["--align-config=none.yaml"], "none.yaml"),
        (["--align-run-name=a:b"], "can't be part of a folder's name"),
        (["--data-types=charts"], "Did you mean 'chart'"),
        (["--align-seed=-1"], "at least 0"),
        (["--align-device=gpu"], "cuda:N"),
        (["--encoders=mini-clip", "--align-dtype=float16"], "float16"),
        (["--encoders=same=toy-a", "--llms=same=toy-llm"], "give one an alias"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_a_wrong_option_is_one_clean_line(project: pytest.Pytester, args: list[str], says: str) -> None:
    project.makepyfile(test_it=RECORD)
    result = run(project, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_model_that_fails_costs_only_its_own_scores(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
class Broken(Toy):
    def embed(self, images):
        raise RuntimeError("no such luck")

ENCODERS.add("broken", Broken("broken"))
"""
    )
    copy_benchmarks(project, "test_coral.py")
    result = run(
        project, "benchmarks", "--encoders=toy-a,broken", "-k", "cross_modal and ncoral and not spectral"
    )
    result.assert_outcomes(passed=1, errors=1)
    run_data, found = read_run(project.path / "reports" / "latest")
    assert [score.encoder for score in found] == ["toy-a"]
    assert [load["model"] for load in run_data["loads"]].count("broken") <= 1


def test_our_warnings_reach_the_report(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
import warnings
from alignbench.errors import AlignbenchWarning

def test_it(pair, record):
    warnings.warn("mind the gap", AlignbenchWarning)
    record("linear_cka", pair)
"""
    )
    assert run(project, "-n", "1").ret == 0
    assert read_run(project.path / "reports" / "latest")[0]["warnings"] == ["mind the gap"]


def test_a_value_that_does_not_exist_is_recorded_with_its_reason(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    assert run(project, "--n-samples=1", "--data-types=chart,table").ret == 0
    _, found = read_run(project.path / "reports" / "latest")
    assert {score.status for score in found} == {"not_applicable"}
    assert all(score.reason for score in found)


def test_a_metric_out_of_its_bounds_fails_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
from alignbench.metrics import METRICS

@METRICS.register("wrong", bounds=(0, 1))
def wrong(x, y):
    return 1.5

def test_it(pair, record):
    record("wrong", pair)
"""
    )
    result = run(project, "--encoders=toy-a")
    assert result.ret == 1
    assert not (project.path / "reports" / "latest").exists()
