"""The `stopwatch` fixture, which times work, records its scores and passes the rounds to pytest-benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.speed.machine import keep_freed_memory
from alignbench.experiments.speed.rounds import ASKED, Patience
from alignbench.plugin.bridge import Bridge, why_not
from alignbench.plugin.selection import is_timed
from alignbench.session.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.encoders import Encoder
    from alignbench.experiments.speed.works import Work
    from alignbench.llms import LLM
    from alignbench.plugin.record import Recorder
    from alignbench.session.session import Session
    from alignbench.weights.custom import Custom

TIMING = pytest.StashKey[tuple[Clock, Bridge]]()


@dataclass(frozen=True)
class Stopwatch:
    """Times the work of one test.

    Args:
        clock: measures the work.
        bridge: saves and compares timings.
        record: adds scores to the report.
        benchmark: the fixture of pytest-benchmark.
    """

    clock: Clock
    bridge: Bridge
    record: Recorder
    benchmark: Any

    def __call__(self, work: Work) -> None:
        """Time `work`, record its scores and save its rounds."""
        too_slow_by = partial(self.bridge.too_slow_by, self.benchmark.fullname)
        try:
            scores, timing = self.clock.time(work, too_slow_by)
        except NotApplicableError as reason:
            pytest.skip(f"{reason}: timed with -m speed")
        for score in scores:
            self.record.score(score)
        if timing is None:
            pytest.skip(work.reason)
        if not self.bridge.judges(self.benchmark.fullname, timing):
            pytest.skip("slower than saved while other processes used the machine: not judged, not saved")
        self.bridge.keep(self.benchmark, work, timing)


def start(config: pytest.Config, session: Session, output_dir: Path) -> Bridge | None:
    """Prepare for timings before pytest-benchmark reads its options; return None if the run has none.

    Raises:
        UsageError: timings can't be compared with the run that the user named.
    """
    bridge = Bridge.of_run(config, session.options, output_dir)
    if bridge is not None:
        effort = ASKED if "speed" in config.option.markexpr else None
        # If slower timings fail the run, it waits longer for a quiet machine.
        patience = Patience(90.0, per_timing=15.0) if bridge.fails else Patience(10.0, per_timing=1.0)
        config.stash[TIMING] = Clock(session.options.device, effort, patience, comparable=True), bridge
    return bridge


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip timings if the run has none; otherwise make pytest-benchmark read the bridge's timer."""
    reason = why_not(config)
    for item in filter(is_timed, items):
        if reason is None:
            item.add_marker(pytest.mark.benchmark(timer=config.stash[TIMING][1].now))
        else:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def timed_encoder(encoder: Encoder | Custom, alignbench_session: Session) -> Encoder | Custom:
    """Each selected encoder in turn, loaded."""
    return alignbench_session.hold(encoder)


@pytest.fixture
def timed_llm(llm: LLM | Custom, alignbench_session: Session) -> LLM | Custom:
    """Each selected LLM in turn, loaded."""
    return alignbench_session.hold(llm)


@pytest.fixture
def stopwatch(benchmark: Any, record: Recorder, pytestconfig: pytest.Config) -> Stopwatch:
    """Times a `Work`, records its scores and saves its rounds for later comparisons."""
    keep_freed_memory()
    return Stopwatch(*pytestconfig.stash[TIMING], record, benchmark)
