"""Timed rounds of a call, made again where other processes disturbed them."""

from __future__ import annotations

import gc
import math
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alignbench.experiments.speed.machine import Machine
    from alignbench.experiments.speed.reference import Reference

_SHORTEST_ROUND = 0.005  # seconds; shorter calls are repeated in a round
_MOST_CALLS = 1000  # in a round
_BUSY = 0.1  # of the cores used by others
_VERY_LONG = 10  # times `seconds` for the least rounds
_WARM_UP_SHARE = 0.5  # of the seconds of the rounds
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)  # before another try of a timing


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for one timing.

    Args:
        warmups: calls before anything is timed; fewer, but one, where calls take long.
        rounds: timed rounds.
        least: so many rounds even where calls take long, but not where they take ten times too long.
        seconds: for all rounds together; where calls take long there are fewer rounds.
        longest: the seconds that a call may take; None for any.
    """

    warmups: int = 3
    rounds: int = 10
    least: int = 3
    seconds: float = 1.0
    longest: float | None = None

    def rounds_of(self, seconds: float) -> int:
        """Return how many rounds of that length there are: at least `least`; one where they take too long."""
        affordable = self.seconds / max(seconds, 1e-9)
        least = min(self.least, int(_VERY_LONG * affordable))
        return max(1, min(self.rounds, max(least, int(affordable))))


# In a run of everything speed is one of many. Metrics are many, models are few.
USUAL = Effort(seconds=0.3)
BRIEF = Effort(seconds=0.1, least=2, longest=0.1)
ASKED = Effort(seconds=10.0)  # where speed is asked for by name


@dataclass
class Patience:
    """The seconds that may yet be spent on waiting for a quiet machine, over all timings of a run.

    Args:
        seconds: in all.
        a_timing: at most for one of them.
    """

    seconds: float
    a_timing: float = 2.0


class TooSlow(Exception):  # noqa: N818 (nothing went wrong: it is a decision)
    """A call takes longer than the effort allows."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of a call.

    Args:
        seconds: of a call, for each round.
        warmups: calls before.
        calls: in a round.
        repeated: rounds that were made again because most were disturbed, or slower than expected.
        disturbed: rounds that can't be relied on: they waited for a CPU.
        others: cores that other processes kept busy meanwhile; None where nobody knows.
        cores: that there are.
        reference: kind -> seconds that work which never changes took, by the reading after this timing and
            those before it; empty where it was not timed.
    """

    seconds: tuple[float, ...]
    warmups: int = 0
    calls: int = 1
    repeated: int = 0
    disturbed: int = 0
    others: float | None = None
    cores: int = 1
    reference: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The seconds of a call."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and third quartile of the rounds."""
        if len(self.seconds) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the rounds (n−1); None of a single one."""
        return statistics.stdev(self.seconds) if len(self.seconds) > 1 else None

    @property
    def mostly_disturbed(self) -> bool:
        """Whether most rounds, and so the median, can't be relied on."""
        return 2 * self.disturbed > len(self.seconds)

    @property
    def busy(self) -> bool:
        """Whether other processes made it slower than it need be."""
        return self.mostly_disturbed or (self.others or 0.0) > _BUSY * self.cores


def measure(
    call: Callable[[], object],
    effort: Effort,
    machine: Machine,
    *,
    reference: Reference | None = None,
    too_slow_by: Callable[[Timing], float] | None = None,
    patience: Patience | None = None,
) -> Timing:
    """Time a call.

    While there is patience, a timing is made again where most rounds had to wait for a CPU, which says more
    of other processes than of the call, and where it is slower than expected: what slows a machine down
    without showing (a neighbour on the same host, a hot CPU) passes, slow code stays slow.

    Args:
        call: what is timed; it must leave things as they were.
        effort: how many rounds.
        machine: its clocks.
        reference: what tells the machine's own speed.
        too_slow_by: how much slower than expected a timing is; 0 or less where it is not.
        patience: how long to wait for a quiet machine; shared by all timings of a run.

    Raises:
        TooSlow: a call takes longer than `effort.longest`.
    """

    def doubts(timing: Timing) -> tuple[float, int, float]:
        return max(0.0, too_slow_by(timing) if too_slow_by else 0.0), timing.disturbed, timing.median

    patience = patience or Patience(0.0)
    timing = _all_rounds(call, effort, machine, reference)
    started = machine.now()
    for pause in _PAUSES:
        spent = machine.now() - started
        doubtful = timing.mostly_disturbed or doubts(timing)[0] > 0
        if not doubtful or spent >= min(patience.seconds, patience.a_timing):
            break
        machine.pause(pause)
        try:
            again = _all_rounds(call, effort, machine, reference)
        except TooSlow:
            break  # the timing that there is stays, and is judged
        timing = replace(min(timing, again, key=doubts), repeated=timing.repeated + len(again.seconds))
    patience.seconds -= machine.now() - started
    return timing


def _all_rounds(
    call: Callable[[], object], effort: Effort, machine: Machine, reference: Reference | None
) -> Timing:
    since = machine.usage()
    warmups, fastest = _warm_up(call, effort, machine)
    calls = min(_MOST_CALLS, max(1, math.ceil(_SHORTEST_ROUND / max(fastest, 1e-9))))

    def work() -> None:
        for _ in range(calls):
            call()

    with _no_collection():
        rounds = [machine.timed(work) for _ in range(effort.rounds_of(calls * fastest))]
    return Timing(
        tuple(seconds / calls for seconds, _ in rounds),
        warmups,
        calls,
        disturbed=sum(not reliable for _, reliable in rounds),
        others=machine.others(since),
        cores=machine.cores,
        reference={} if reference is None else reference.read(),
    )


def _warm_up(call: Callable[[], object], effort: Effort, machine: Machine) -> tuple[int, float]:
    """Return how many calls it took, and the seconds of the fastest."""
    spent: list[float] = []
    while len(spent) < effort.warmups and sum(spent) <= _WARM_UP_SHARE * effort.seconds:
        seconds, _ = machine.timed(call)
        spent.append(seconds)
        if effort.longest is not None and min(spent) > effort.longest:
            raise TooSlow
    return len(spent), min(spent)


@contextmanager
def _no_collection() -> Iterator[None]:
    # A collection of all that torch and transformers keep takes a tenth of a second, in whichever round.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
