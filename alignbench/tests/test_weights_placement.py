"""Which GPUs a model and a worker get, with fake machines."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from alignbench.llms import resolve
from alignbench.session.environment import share_out_gpus, shared_gpus
from alignbench.tests import tiny_models as tiny
from alignbench.tests.toys import run
from alignbench.weights.placement import Gpu, device_for, is_spread, visible_gpus, visible_names

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


@pytest.mark.parametrize(
    ("worker", "gpus", "asked", "expected"),
    [
        ("gw0", "4 7", "cuda", "4"),
        ("gw1", "4 7", "auto", "7"),
        ("gw2", "4 7", "cuda", "4"),
        ("gw5", "0 1 2 3", "auto", "1"),
        ("gw1", "GPU-a GPU-b", "cuda", "GPU-b"),
        ("gw1", "3", "cuda", None),
        ("gw0", "", "auto", None),
        ("gw1", "0 1", "cuda:1", None),
        ("gw1", "0 1", "cpu", None),
    ],
)
def test_workers_take_the_gpus_in_turn(worker: str, gpus: str, asked: str, expected: str | None) -> None:
    assert device_for(worker, tuple(gpus.split()), asked) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ("0", "1")), ("1", ("1",)), ("1, 0", ("1", "0")), ("", ()), ("GPU-b", ("GPU-b",))],
)
def test_torch_sees_what_the_variable_names(visible: str | None, expected: tuple[str, ...]) -> None:
    assert visible_names(visible, ("0", "1")) == expected


@pytest.mark.parametrize(
    ("need", "free", "asked", "expected"),
    [
        (90 * GIB, (80 * GIB, 80 * GIB), "auto", True),
        (90 * GIB, (80 * GIB, 80 * GIB), "cuda", True),
        (70 * GIB, (80 * GIB, 80 * GIB), "auto", False),
        (90 * GIB, (80 * GIB,), "auto", False),
        (90 * GIB, (80 * GIB, 80 * GIB), "cuda:1", False),
        (90 * GIB, (80 * GIB, 80 * GIB), "cpu", False),
        (90 * GIB, (None, 80 * GIB), "auto", False),
        (70 * GIB, (10 * GIB, 80 * GIB), "auto", True),
    ],
)
def test_a_model_is_distributed_if_one_gpu_is_too_small(
    need: int, free: tuple[int | None, ...], asked: str, expected: bool
) -> None:
    gpus = tuple(Gpu(str(i), of) for i, of in enumerate(free))
    assert is_spread(need, gpus, asked) is expected


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs, of which 1000 MiB and 2000 MiB are free."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho '0, GPU-a, 1000'\necho '1, GPU-b, 2000'\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return command


def test_gpus_are_read_from_nvidia_smi(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == (Gpu("0", 1000 * 2**20), Gpu("1", 2000 * 2**20))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,0,MIG-x")
    assert visible_gpus() == (Gpu("GPU-b", 2000 * 2**20), Gpu("0", 1000 * 2**20), Gpu("MIG-x", None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    smi.write_text("#!/bin/sh\necho '0, GPU-a, [N/A]'\necho '1, GPU-b, 2000'\n")
    assert visible_gpus() == (Gpu("0", None), Gpu("1", 2000 * 2**20))
    smi.write_text("#!/bin/sh\necho 'No devices were found'\n")
    assert visible_gpus() == ()


@pytest.mark.usefixtures("smi")
def test_a_worker_sees_its_own_gpu_and_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # so that what is set here is taken back
    assert shared_gpus(4, "auto") == "each of 4 workers uses one of 2 GPUs, in turn"
    assert shared_gpus(4, "cuda:1") == shared_gpus(0, "auto") == ""
    share_out_gpus("gw3", "cuda:0")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    share_out_gpus("gw3", "cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert shared_gpus(4, "auto") == ""


PAIRED = """
import os
from pathlib import Path

import pytest


@pytest.mark.cka
@pytest.mark.parametrize("i", range(6))
def test_pair(i, pair, record):
    worker = os.environ["PYTEST_XDIST_WORKER"]
    Path(f"seen-{worker}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("smi")
def test_each_worker_of_a_run_has_its_own_gpu(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=PAIRED)
    result = run(project, "--encoders=toy-a", "-n", "2")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["gpus   each of 2 workers uses one of 2 GPUs, in turn"])
    seen = {path.name: path.read_text() for path in project.path.glob("seen-*")}
    assert seen == {"seen-gw0": "0", "seen-gw1": "1"}


def test_an_llm_that_is_too_large_for_one_gpu_takes_all(
    smi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = resolve(str(tiny.qwen2(tmp_path / "model")))
    assert llm.gpus("cpu", "float32") == 1
    assert llm.gpus("cuda", "float32") == 1
    smi.write_text("#!/bin/sh\necho '0, GPU-a, 0'\necho '1, GPU-b, 2000'\n")
    assert llm.gpus("cuda", "float32") == 2
    assert llm.gpus("cuda:0", "float32") == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # as in a worker
    assert llm.gpus("cuda", "float32") == 1
