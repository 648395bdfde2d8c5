"""The machine's own clocks and gauges, as far as this system has them."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.experiments.speed.machine import CudaEvents, Machine, threads, threads_to_use
from alignbench.experiments.speed.rounds import Effort, measure
from alignbench.session.environment import accelerator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")


def test_waiting_for_something_of_its_own_counts() -> None:
    class Waits(Machine):
        clock = 0.0

        def now(self) -> float:
            return self.clock

        def computed(self) -> float:
            return 0.0

        def waited(self) -> float:
            return 0.0

        def wait(self) -> None:
            self.clock += 0.05

    machine = Waits()
    seconds, reliable = machine.timed(machine.wait)
    assert seconds == pytest.approx(0.05)
    assert reliable


def test_a_wait_while_the_clocks_are_read_is_not_taken_off() -> None:
    class Held(Machine):
        clock, waits = iter([0.0, 1.0, 1.05, 1.05]), iter([0.0, 1.0])  # the CPU was lost before the call

        def now(self) -> float:
            return next(self.clock)

        def waited(self) -> float:
            return next(self.waits)

    seconds, _ = Held().timed(lambda: None)
    assert seconds == pytest.approx(0.05)


class Gpu:
    """A GPU's clock: a call's work goes on there for a while after the call has returned."""

    def __init__(self, machine_clock: list[float], work: float | None) -> None:
        self.host, self.work = machine_clock, work

    def seconds(self, call: Callable[[], object]) -> float | None:
        call()
        self.host[0] += 0.5  # the host hears of the end later
        return self.work


class OnGpu(Machine):
    def __init__(self, work: float | None, waits: float = 0.0) -> None:
        self.host = [0.0]
        self.waits = iter([0.0, waits])
        super().__init__("cuda:0", device_clock=Gpu(self.host, work))

    def now(self) -> float:
        return self.host[0]

    def waited(self) -> float:
        return next(self.waits)

    def synchronise(self) -> None:
        pass

    def launch(self) -> None:
        self.host[0] += 0.1


@pytest.mark.parametrize(
    ("work", "waits", "expected"),
    [(0.25, 0.0, (0.25, True)), (None, 0.0, (0.6, True)), (0.25, 0.3, (0.25, False))],
    ids=["its own clock counts", "the host's if it has none", "a launch that waited for a CPU"],
)
def test_a_gpu_is_timed_by_its_own_clock(
    work: float | None, waits: float, expected: tuple[float, bool]
) -> None:
    machine = OnGpu(work, waits)
    seconds, reliable = machine.timed(machine.launch)
    assert (round(seconds, 9), reliable) == expected


def test_events_of_a_gpu_that_nothing_has_used_are_not_asked_for() -> None:
    calls: list[int] = []
    assert CudaEvents("cuda:0").seconds(lambda: calls.append(1)) is None
    assert calls == [1]
    assert isinstance(Machine("cuda:1").device_clock, CudaEvents)
    assert Machine("cpu").device_clock is None


def test_a_call_lies_between_two_events_that_the_gpu_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: what is asked of torch, and in which order."""
    import torch

    asked: list[str] = []

    class Event:
        made = 0

        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing
            Event.made += 1
            self.name = f"event {Event.made}"

        def record(self) -> None:
            asked.append(self.name)

        def synchronize(self) -> None:
            asked.append(f"wait for {self.name}")

        def elapsed_time(self, other: Event) -> float:
            return 250.0 if (self.name, other.name) == ("event 1", "event 2") else -1.0

    def on(device: str) -> nullcontext[None]:
        asked.append(device)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert CudaEvents("cuda:1").seconds(lambda: asked.append("call")) == pytest.approx(0.25)
    assert asked == ["cuda:1", "event 1", "call", "event 2", "wait for event 2"]


def test_a_gate_on_a_gpu_judges_by_the_gpus_clock() -> None:
    class Steady(OnGpu):
        def waited(self) -> float:
            return 0.0

    machine = Steady(0.02)
    assert measure(machine.launch, Effort(rounds=4), machine).median == pytest.approx(0.02)


def test_no_call_takes_less_than_it_computes() -> None:
    def burn() -> None:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    seconds, _ = Machine().timed(burn)
    assert seconds >= 0.02


@pytest.mark.slow
@linux
def test_a_core_that_another_process_keeps_busy_is_seen() -> None:
    machine = Machine()
    since = machine.usage()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    others = machine.others(since)
    assert others is not None
    assert others * (machine.now() - since.at) > 0.25


def test_what_the_system_does_not_say_is_not_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1.5, 1.0, 1.0))
    machine = Machine(proc=tmp_path)
    assert machine.waited() is None
    assert machine.peak_memory(lambda: None) is None
    assert machine.timed(lambda: None)[1]
    assert machine.usage().everybody is None
    assert machine.others(machine.usage()) == pytest.approx(1.5, abs=1.5)


@linux
def test_memory_that_is_freed_again_is_part_of_the_peak() -> None:
    def call() -> None:
        np.ones(40 * 2**20 // 8)

    found = [Machine().peak_memory(call) for _ in range(2)]
    assert all(mib is not None and 38 < mib < 60 for mib in found)


@linux
def test_an_earlier_peak_is_not_taken_for_that_of_the_call() -> None:
    np.ones(150 * 2**20 // 8)
    found = Machine().peak_memory(lambda: np.ones(20 * 2**20 // 8))
    assert found is not None
    assert 18 < found < 60


@linux
def test_memory_that_is_kept_for_later_does_not_hide_what_a_call_needs() -> None:
    def call() -> None:
        [np.ones(80_000 // 8) for _ in range(500)]

    blocks = [np.ones(80_000 // 8) for _ in range(600)]
    last = blocks[-1]  # the heap can't shrink below it
    del blocks
    found = Machine().peak_memory(call)
    assert last.size
    assert found is not None
    assert found > 25


def test_threads_are_limited_and_given_back() -> None:
    import torch
    from threadpoolctl import threadpool_info

    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("given", "used"), [(None, 1), ("4", 4), ("4,2", 4), ("many", 1), ("0", 1)])
def test_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, used: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads_to_use() == used


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("cpu", None, "cpu"),
        ("mps", None, "mps"),
        ("cuda", None, "NVIDIA-A100-SXM4-80GB"),
        ("cuda:1", None, "NVIDIA-L4"),
        ("cuda", "1", "NVIDIA-L4"),
        ("cuda:1", "1,0", "NVIDIA-A100-SXM4-80GB"),
        ("cuda", "GPU-1234", "NVIDIA-A100-SXM4-80GB"),
    ],
)
def test_the_accelerator_has_a_name_that_a_folder_can_have(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, name: str
) -> None:
    from alignbench.session import environment

    monkeypatch.setattr(environment, "accelerators", lambda: ["NVIDIA A100-SXM4-80GB", "NVIDIA L4"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert accelerator(device) == name


def test_an_accelerator_that_nobody_names_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.session import environment

    monkeypatch.setattr(environment, "accelerators", list)
    assert accelerator("cuda:3") == "cuda"
