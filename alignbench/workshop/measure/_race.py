"""Contenders take turns doing the same work: their times, and how busy the machine was with other work."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# A round is not calm if other work keeps more than this many processors busy.
CALM = 0.2
_FEWEST_CALM = 3


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The seconds that one piece of work took: on the clock, and on processors over all threads."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of every contender.

    Args:
        costs: how long each contender took.
        others: the number of processors that other processes kept busy meanwhile; None if it is unknown.
    """

    costs: Mapping[str, Elapsed]
    others: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one or more values."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def race(contenders: Mapping[str, Callable[[], Any]], rounds: int, *, calm: float = CALM) -> list[Round]:
    """Let the contenders take turns until `rounds` rounds were calm, or twice as many were run.

    The order alternates, so that a drift of the machine favours nobody.

    Args:
        contenders: each does the whole work once; all have run before, so that nothing happens for the first
            time.
        rounds: the desired number of calm rounds.
        calm: the largest `Round.others` of a calm round; a round with an unknown value counts as calm.
    """
    machine = Machine()
    run: list[Round] = []
    while len(run) < 2 * rounds and sum(is_calm(r, calm) for r in run) < rounds:
        order = list(contenders)[:: -1 if len(run) % 2 else 1]
        started = machine.usage()
        costs = {name: cost_of(contenders[name]) for name in order}
        run.append(Round(costs, machine.others(started)))
    return run


def kept(rounds: Sequence[Round], *, calm: float = CALM) -> list[Round]:
    """Return the calm rounds, or all of them if fewer than three were calm."""
    quiet = [r for r in rounds if is_calm(r, calm)]
    return quiet if len(quiet) >= min(_FEWEST_CALM, len(rounds)) else list(rounds)


def is_calm(one: Round, calm: float) -> bool:
    """Whether other processes left this round alone, as far as that is known."""
    return one.others is None or one.others <= calm


def ratios(rounds: Sequence[Round], of: str, to: str, what: str) -> Spread:
    """Return the spread over rounds of the cost of `of` divided by that of `to` in the same round.

    Args:
        rounds: one or more.
        of: the contender in the numerator: a value above 1 means that it took longer.
        to: the contender in the denominator.
        what: "wall" or "cpu".
    """
    return Spread.of([getattr(r.costs[of], what) / getattr(r.costs[to], what) for r in rounds])


def cost_of(work: Callable[[], Any]) -> Elapsed:
    """Return how long one run of `work` takes."""
    machine = Machine()
    before = machine.usage()
    work()
    after = machine.usage()
    return Elapsed(after.at - before.at, after.own - before.own)
