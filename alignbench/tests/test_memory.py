"""Memory: told before it is taken, and a metric that runs out of it costs nobody else's score."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from alignbench import memory, score_arrays
from alignbench.errors import AlignbenchWarning, InputError
from alignbench.experiments.many import SAMPLE_ROWS
from alignbench.memory import available_memory, check_room, is_out_of_memory
from alignbench.metrics import METRICS, Metric, transport
from alignbench.stats import evaluate
from alignbench.tests import traced

if TYPE_CHECKING:
    from pathlib import Path

X, Y = np.random.default_rng(0).standard_normal((2, 60, 5))
DECLARED = [name for name in METRICS if METRICS.get(name).squares]


def peak(name: str, n: int, **how: Any) -> int:
    """Return the bytes that a metric holds at once on n rows of 4 columns."""
    x, y = np.random.default_rng(0).standard_normal((2, n, 4))
    metric = METRICS.get(name)
    labels = [f"type {i % 3}" for i in range(n)]

    def call() -> None:
        evaluate(metric, x, y if metric.two_sided else None, labels=labels, n_permutations=3, **how)

    call()  # what is imported on first use counts for no metric
    return traced.peak(call)


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARED)
def test_a_metric_holds_as_many_matrices_as_it_declares(name: str) -> None:
    few, many = 400, 600  # both above DRAWN_UP_TO, so that both take the way of many rows
    squares = (peak(name, many) - peak(name, few)) / 8 / (many**2 - few**2)
    assert 0.6 * METRICS.get(name).squares < squares < 1.2 * METRICS.get(name).squares


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(METRICS) - set(DECLARED)))
def test_other_metrics_hold_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST", 100)  # pairs that gw_distance couples, which takes its time
    few, many = 1_000, 1_500  # more than a block of rows has
    how = {"null": False, "interval": False}
    assert (peak(name, many, **how) - peak(name, few, **how)) / 8 / (many**2 - few**2) < 0.2


def test_what_is_needed_grows_with_rows_and_permutations() -> None:
    rsa, spread = METRICS.get("rsa"), METRICS.get("spread")
    assert rsa.memory(10**5) == 8 * (rsa.squares * 10**10 + 3 * 199 * 500)  # its null is of 500 groups
    assert METRICS.get("linear_cka").memory(10**5, 0) == 8 * METRICS.get("linear_cka").squares * 10**10
    assert spread.memory(10**6) == 0


def test_too_many_rows_are_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 2**30)
    monkeypatch.setattr(Metric, "memory", lambda self, n, draws=None: self.squares * 2**30)
    names = ["rsa", "spectral_kl", "knn_accuracy", "mutual_knn"]
    found = score_arrays(X, Y, metrics=names, labels=[0, 1] * 30)
    reasons = {score.metric: score.reason for score in found.scores}
    for name in ("rsa", "mutual_knn"):
        size = f"{METRICS.get(name).squares:.1f} GiB"
        assert reasons[name] == f"{name} of 60 rows: out of memory: needs about {size}, 2.0 GiB are free"
    assert reasons["spectral_kl"] is None
    assert reasons["knn_accuracy"] is None


def failing(error: BaseException) -> Metric:
    def fail(x: Any, y: Any) -> float:
        raise error

    return Metric("failing", fail, interval=None)


def test_a_metric_that_runs_out_of_memory_costs_no_other_score() -> None:
    error = MemoryError("Unable to allocate 74.5 GiB for an array with shape (100000, 100000)")
    lost, kept = score_arrays(X, Y, metrics=[failing(error), "linear_cka"]).scores
    assert lost.status == "not_applicable"
    assert lost.reason == f"failing of 60 rows: out of memory: {error}"
    assert kept.value == pytest.approx(METRICS.get("linear_cka")(X, Y))


BROKEN = [np.linalg.LinAlgError("SVD did not converge"), ZeroDivisionError("by 0"), InputError("k: too\n")]


@pytest.mark.parametrize("error", BROKEN, ids=repr)
def test_a_metric_that_fails_costs_no_other_score(error: Exception) -> None:
    with pytest.warns(AlignbenchWarning, match=r"failing: it failed: .*\(vision-text\)"):
        lost, kept = score_arrays(X, Y, metrics=[failing(error), "linear_cka"]).scores
    assert lost.reason == f"failing: it failed: {type(error).__name__}: {str(error).strip()}"
    assert kept.value is not None


def test_who_interrupts_is_obeyed() -> None:
    with pytest.raises(KeyboardInterrupt):
        score_arrays(X, Y, metrics=[failing(KeyboardInterrupt()), "linear_cka"])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"k": 0}, "k: expected"),
        ({"k": 6}, "k: expected"),
        ({"permutations": -1}, "permutations: expected a whole number"),
        ({"permutations": 1.5}, "permutations: expected a whole number"),
    ],
)
def test_wrong_settings_are_refused_once(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        score_arrays(X, Y, **wrong)


def test_what_says_that_memory_ran_out() -> None:
    torchs = RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory")
    told = ValueError("a load failed")
    told.__cause__ = MemoryError()
    cublas = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)")
    assert all(map(is_out_of_memory, (MemoryError(), torchs, told, cublas, torch.OutOfMemoryError("CUDA"))))
    assert not any(map(is_out_of_memory, (RuntimeError("shapes"), ValueError(), None)))


def test_memory_is_the_least_of_machine_container_and_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:   5000 kB\n",
        "proc/self/status": "Name: x\nVmSize:   1000 kB\n",
        "proc/self/cgroup": "0::/box\n",
        "cgroup/box/memory.max": "4096000\n",
        "cgroup/box/memory.current": "2048000\n",
        "cgroup/box/memory.stat": "anon 1\ninactive_file 1024000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    assert available_memory() == 4096000 - 2048000 + 1024000
    (tmp_path / "cgroup/box/memory.max").write_text("max\n", encoding="utf-8")
    assert available_memory() == 5000 * 1024
    import resource

    limited = SimpleNamespace(
        RLIMIT_AS=resource.RLIMIT_AS, RLIM_INFINITY=-1, getrlimit=lambda which: (1500 * 1024, -1)
    )
    monkeypatch.setitem(sys.modules, "resource", limited)
    assert available_memory() == 500 * 1024
    (tmp_path / "proc/meminfo").unlink()
    (tmp_path / "proc/self/status").unlink()
    assert available_memory() is None
    check_room(1e18)  # nobody knows: it is tried


@pytest.mark.slow
def test_where_memory_is_really_short(tmp_path: Path) -> None:
    code = (
        "import resource, numpy as np, alignbench\n"
        "x, y = np.random.default_rng(0).standard_normal((2, 20000, 2))\n"
        "alignbench.score_arrays(x[:50], y[:50])\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**29,) * 2)\n"
        "found = alignbench.score_arrays(x, y, metrics=['mutual_knn', 'rsa', 'spectral_kl', 'spread'])\n"
        "print([(score.metric, score.status) for score in found.scores]); print(found.scores[1].reason)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    statuses, reason = done.stdout.splitlines()
    assert statuses == str(
        [("mutual_knn", "ok"), ("rsa", "not_applicable"), ("spectral_kl", "ok"), ("spread", "ok")]
    )
    needed = METRICS.get("rsa").memory(SAMPLE_ROWS) / 2**30
    assert f"needs about {needed:.1f} GiB" in reason
    assert "GiB are free" in reason
