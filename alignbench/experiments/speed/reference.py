"""Reference work that no commit changes: timed beside other work, it tells how fast the machine is now.

A virtual machine whose host is busy is slower for minutes, and none of its own processes shows why. Work of
three kinds is timed, since a busy host slows some kinds more than others.
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alignbench.experiments.speed.machine import Machine

_MOST = 1.3  # virtual machines were observed to lose a fifth of their speed
_ROUNDS = 3
_READINGS = 5  # their median counts, since one reading of a few milliseconds is noisy
_SIDE = 256  # of the matrices
_MEMORY = 1_000_000  # numbers in an array, more than the cache of a core holds
_SMALL, _CALLS = 200, 200


class Reference:
    """Readings of the reference work; the latest of them tell the current speed of the machine.

    Args:
        machine: the machine whose clock times them.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._work = _works()
        self._readings: deque[dict[str, float]] = deque(maxlen=_READINGS)

    def read(self) -> dict[str, float]:
        """Time the work once more; return kind -> the median seconds of the latest readings."""
        self._readings.append({kind: self._seconds(call) for kind, call in self._work.items()})
        return {kind: statistics.median(of[kind] for of in self._readings) for kind in self._work}

    def _seconds(self, call: Callable[[], object]) -> float:
        call()
        return statistics.median(self._machine.timed(call)[0] for _ in range(_ROUNDS))


def slowdown(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Return how many times as long the machine takes now, for the kind that lost most: from 1 to 1.3.

    The limit of 1.3 keeps a commit from excusing itself by slowing down its whole process, and with it the
    reference work.

    Args:
        then: kind -> seconds when the timings were saved; empty if these were not saved.
        now: kind -> seconds now.
    """
    return min(_MOST, max([1.0, *(now[kind] / then[kind] for kind in then.keys() & now.keys())]))


def _works() -> dict[str, Callable[[], object]]:
    """Return kind -> work that takes less than a millisecond: a product, a pass over memory, small calls."""
    matrix = np.linspace(-1, 1, _SIDE * _SIDE, dtype=np.float32).reshape(_SIDE, _SIDE)
    product = np.empty_like(matrix)
    large, other, small = np.ones(_MEMORY), np.ones(_MEMORY), np.ones(_SMALL)

    def calls() -> None:
        for _ in range(_CALLS):
            np.sqrt(small).sum()

    return {
        "product": lambda: np.matmul(matrix, matrix, out=product),
        # In place, since the address of a new array changes the time by a third.
        "memory": lambda: np.add(large, other, out=large),
        "calls": calls,
    }
