"""Work that no commit changes, timed beside the work that may have: it tells what the machine has become.

A virtual machine whose host is busy is slower for minutes, and no process that it knows of shows why. Work of
three kinds is timed, since such a host takes more from one than from another.
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alignbench.experiments.speed.machine import Machine

_MOST = 1.3  # virtual machines were seen to lose a fifth
_ROUNDS = 3
_READINGS = 5  # whose median counts: one reading of a few milliseconds is noisy
_SIDE = 256  # of the matrices
_MEMORY = 1_000_000  # numbers of an array, more than a core's own cache holds
_SMALL, _CALLS = 200, 200


class Reference:
    """Readings of the reference work, the latest of which tell the machine's speed now.

    Args:
        machine: with whose clock they are made.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._work = _works()
        self._readings: deque[dict[str, float]] = deque(maxlen=_READINGS)

    def read(self) -> dict[str, float]:
        """Time the work once more; return kind -> seconds, the medians of the latest readings."""
        self._readings.append({kind: self._seconds(call) for kind, call in self._work.items()})
        return {kind: statistics.median(of[kind] for of in self._readings) for kind in self._work}

    def _seconds(self, call: Callable[[], object]) -> float:
        call()
        return statistics.median(self._machine.timed(call)[0] for _ in range(_ROUNDS))


def slowdown(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Return how many times as long the machine itself takes now: by the kind that lost most, from 1 to 1.3.

    More than that is not believed: a commit that slows down all of its process, the reference work with it,
    must not excuse itself.

    Args:
        then: kind -> seconds, of saved timings; empty where they were saved without.
        now: the same of this moment.
    """
    return min(_MOST, max([1.0, *(now[kind] / then[kind] for kind in then.keys() & now.keys())]))


def _works() -> dict[str, Callable[[], object]]:
    """Return kind -> work of less than a millisecond: a product, a pass over memory, many small calls."""
    matrix = np.linspace(-1, 1, _SIDE * _SIDE, dtype=np.float32).reshape(_SIDE, _SIDE)
    product = np.empty_like(matrix)
    large, other, small = np.ones(_MEMORY), np.ones(_MEMORY), np.ones(_SMALL)

    def calls() -> None:
        for _ in range(_CALLS):
            np.sqrt(small).sum()

    return {
        "product": lambda: np.matmul(matrix, matrix, out=product),
        # In place: where a new array comes to lie changes the time by a third.
        "memory": lambda: np.add(large, other, out=large),
        "calls": calls,
    }
