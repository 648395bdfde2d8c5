"""Timed rounds of a call, which are repeated if other processes disturbed them."""

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
_BUSY = 0.1  # of the cores, used by others
_VERY_LONG = 10  # times `seconds`: the most that the least number of rounds may take
_WARM_UP_SHARE = 0.5  # of the seconds of the rounds
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds before another try of a timing


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for one timing.

    Args:
        warmups: the number of calls before anything is timed; fewer, but at least one, if calls take long.
        rounds: the number of timed rounds.
        least: the least number of rounds if calls take long, unless they take ten times too long.
        seconds: the time for all rounds together; if calls take long, there are fewer rounds.
        longest: the most seconds that a call may take; None for any.
    """

    warmups: int = 3
    rounds: int = 10
    least: int = 3
    seconds: float = 1.0
    longest: float | None = None

    def rounds_of(self, seconds: float) -> int:
        """Return how many rounds of that length to time: at least `least`, or one if they take too long."""
        affordable = self.seconds / max(seconds, 1e-9)
        least = min(self.least, int(_VERY_LONG * affordable))
        return max(1, min(self.rounds, max(least, int(affordable))))


# A run of everything spends little time on speed: less on each of many metrics than on each of a few models.
USUAL = Effort(seconds=0.3)
BRIEF = Effort(seconds=0.1, least=2, longest=0.1)
ASKED = Effort(seconds=10.0)  # if the user asks for speed by name


@dataclass
class Patience:
    """The seconds that are left to wait for a quiet machine, over all timings of a run.

    Args:
        seconds: the seconds for all timings together.
        per_timing: the most seconds for one of them.
    """

    seconds: float
    per_timing: float = 2.0


class TooSlow(Exception):  # noqa: N818 (nothing went wrong: it is a decision)
    """A call takes longer than the effort allows."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The measurements of a call.

    Args:
        seconds: the seconds of a call, for each round.
        warmups: the number of calls before the first round.
        calls: the number of calls in a round.
        repeated: how many rounds were repeated because most were disturbed or slower than expected.
        disturbed: how many rounds can't be relied on because they waited for a CPU.
        others: how many cores other processes kept busy meanwhile; None if unknown.
        cores: how many cores there are.
        reference: kind -> seconds of the reference work, by the reading after this timing and those before
            it; empty if it was not timed.
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
        """The median seconds of a call."""
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
        """The standard deviation of the rounds (n−1); None for a single round."""
        return statistics.stdev(self.seconds) if len(self.seconds) > 1 else None

    @property
    def mostly_disturbed(self) -> bool:
        """Whether most rounds, and so the median, can't be relied on."""
        return 2 * self.disturbed > len(self.seconds)

    @property
    def busy(self) -> bool:
        """Whether other processes slowed the timing down."""
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

    While there is patience, a timing is repeated if most rounds had to wait for a CPU, which says more about
    other processes than about the call, or if it is slower than expected. Hidden causes of a slow machine (a
    neighbour on the same host, a hot CPU) pass, but slow code stays slow.

    Args:
        call: the call to time; it must leave no effects.
        effort: how many rounds to time.
        machine: its clocks.
        reference: the reference work, which tells the speed of the machine.
        too_slow_by: returns how much slower than expected a timing is; 0 or less if it is not.
        patience: how long to wait for a quiet machine; all timings of a run share it.

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
        if not doubtful or spent >= min(patience.seconds, patience.per_timing):
            break
        machine.pause(pause)
        try:
            again = _all_rounds(call, effort, machine, reference)
        except TooSlow:
            break  # the timing so far counts
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
    """Return the number of calls, and the seconds of the fastest."""
    spent: list[float] = []
    while len(spent) < effort.warmups and sum(spent) <= _WARM_UP_SHARE * effort.seconds:
        seconds, _ = machine.timed(call)
        spent.append(seconds)
        if effort.longest is not None and min(spent) > effort.longest:
            raise TooSlow
    return len(spent), min(spent)


@contextmanager
def _no_collection() -> Iterator[None]:
    # Collecting all objects of torch and transformers takes a tenth of a second, in an arbitrary round.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
