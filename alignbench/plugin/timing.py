"""The `stopwatch` fixture: times work, records its scores, and hands the rounds to pytest-benchmark."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments.speed.machine import Machine, keep_freed_memory, threads, threads_to_use
from alignbench.experiments.speed.reference import Reference
from alignbench.experiments.speed.rounds import BRIEF, USUAL, Effort, Patience, TooSlow, measure
from alignbench.experiments.speed.works import memory_score, not_timed, refuse_slow, timing_scores
from alignbench.plugin.gate import Gate, is_timed, settle, why_not
from alignbench.plugin.selection import TIMED
from alignbench.weights.precision import resolve_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.encoders import Encoder
    from alignbench.experiments.speed.rounds import Timing
    from alignbench.experiments.speed.works import Work
    from alignbench.llms import LLM
    from alignbench.plugin.record import Recorder
    from alignbench.session.session import Session
    from alignbench.weights.custom import Custom

ASKED = Effort(seconds=10.0)  # by `-m speed`


class Replay:
    """A clock that goes on by one measured round with each call.

    pytest-benchmark takes no rounds that somebody else measured: it calls a function between two looks at its
    timer. So the timer is this clock. If it calls more often (`--benchmark-cprofile` does), the work is done.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._rounds: Iterator[float] = iter(())

    def load(self, rounds: tuple[float, ...]) -> None:
        """Have these rounds ready."""
        self._rounds = iter(rounds)

    def now(self) -> float:
        """Return the time."""
        return self._now

    def step(self, call: Callable[[], object]) -> None:
        """Go on by the next round."""
        seconds = next(self._rounds, None)
        if seconds is None:
            call()
        else:
            self._now += seconds


@dataclass
class Timings:
    """What all timings of a run share.

    Args:
        session: the run's selection.
        gate: what timings are compared with; None where nothing is timed.
        asked: whether speed was asked for, by `-m speed`.
        known: series of works -> items -> seconds, as far as they were timed; infinite where too slow to be.
    """

    session: Session
    gate: Gate | None
    asked: bool
    known: defaultdict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    replay: Replay = field(default_factory=Replay)

    @cached_property
    def machine(self) -> Machine:
        """The clocks and gauges."""
        keep_freed_memory()
        return Machine(resolve_device(self.session.options.device), threads_to_use())

    @cached_property
    def reference(self) -> Reference | None:
        """What tells the machine's own speed; None where that of one thread on a CPU says little."""
        return Reference(self.machine) if self.machine.alone else None

    @cached_property
    def patience(self) -> Patience:
        """How long to wait for a quiet machine: longer where a wrong number would fail the run."""
        gated = self.gate is not None and self.gate.fails
        return Patience(90.0, a_timing=15.0) if gated else Patience(10.0, a_timing=1.0)


TIMINGS = pytest.StashKey[Timings]()


@dataclass(frozen=True)
class Stopwatch:
    """Times the work of one test."""

    timings: Timings
    record: Recorder
    benchmark: Any
    nodeid: str

    def __call__(self, work: Work) -> None:
        """Time `work`, record its scores, and keep the rounds for later comparisons."""
        if work.call is None:
            self.record.score(not_timed(work))
            pytest.skip(work.reason)
        how: dict[str, Any] = {"device": self.timings.machine.device, "threads": threads_to_use()}
        timing = self._measure(work, work.call)
        for score in timing_scores(work, timing, **how):
            self.record.score(score)
        if work.memory:
            self.record.score(memory_score(work, self.timings.machine.peak_memory(work.call), **how))
        self._keep(work, work.call, timing)

    def _measure(self, work: Work, call: Callable[[], object]) -> Timing:
        shared = self.timings
        effort = ASKED if shared.asked else BRIEF if work.brief else USUAL
        known = shared.known[work.series] if work.series else {}
        too_slow_by = None if shared.gate is None else partial(shared.gate.too_slow_by, self.nodeid)
        try:
            if effort.longest is not None:
                refuse_slow(work, effort.longest, known, shared.machine)
            timing = measure(
                call,
                effort,
                shared.machine,
                reference=shared.reference,
                too_slow_by=too_slow_by,
                patience=shared.patience,
            )
        except TooSlow:
            known[work.items] = math.inf
            pytest.skip(f"takes more than {effort.longest} s a call: timed with -m speed")
        known[work.items] = timing.median
        return timing

    def _keep(self, work: Work, call: Callable[[], object], timing: Timing) -> None:
        gate = self.timings.gate
        if gate is not None and not gate.judges(self.nodeid, timing):
            pytest.skip("slower than saved while other processes used the machine: not judged, not saved")
        self.benchmark.group = work.group
        self.benchmark.extra_info.update(
            {
                "busy": timing.busy,
                "load_by_others": timing.others,
                "disturbed_rounds": timing.disturbed,
                "repeated_rounds": timing.repeated,
                "calls_a_round": timing.calls,
                "reference": dict(timing.reference),
            }
        )
        self.timings.replay.load(timing.seconds)
        self.benchmark.pedantic(self.timings.replay.step, args=(call,), rounds=len(timing.seconds))


def start(config: pytest.Config, session: Session, output_dir: Path) -> Gate | None:
    """Make ready for timings, before pytest-benchmark reads its options; None where nothing is timed.

    Raises:
        UsageError: timings can't be compared as asked.
    """
    gate = settle(config, session.options, output_dir)
    config.stash[TIMINGS] = Timings(session, gate, asked="speed" in config.option.markexpr)
    return gate


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip timings where there can be none; in the others, let pytest-benchmark look at the right clock."""
    reason = why_not(config)
    for item in filter(is_timed, items):
        if reason is None:
            item.add_marker(pytest.mark.benchmark(timer=config.stash[TIMINGS].replay.now))
        else:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Free a model that was timed when the next test does not time it."""
    if not set(TIMED) & set(getattr(nextitem, "fixturenames", ())):
        item.config.stash[TIMINGS].session.release()


@pytest.fixture
def timed_encoder(encoder: Encoder | Custom, alignbench_session: Session) -> Iterator[Encoder | Custom]:
    """Each selected encoder in turn, in memory."""
    held = alignbench_session.hold(encoder)
    with threads(threads_to_use()):
        yield held


@pytest.fixture
def timed_llm(llm: LLM | Custom, alignbench_session: Session) -> Iterator[LLM | Custom]:
    """Each selected LLM in turn, in memory."""
    held = alignbench_session.hold(llm)
    with threads(threads_to_use()):
        yield held


@pytest.fixture
def stopwatch(benchmark: Any, record: Recorder, request: pytest.FixtureRequest) -> Iterator[Stopwatch]:
    """Times a `Work`, records its scores, and keeps them for later comparisons."""
    with threads(threads_to_use()):
        yield Stopwatch(request.config.stash[TIMINGS], record, benchmark, request.node.nodeid)
