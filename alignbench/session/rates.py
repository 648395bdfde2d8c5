"""Corrections of time estimates for this machine: how busy it is now, and how long tests took before."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench import paths
from alignbench.cores import available_cores
from alignbench.errors import UnwritableError
from alignbench.files import make_folder, write_bytes
from alignbench.session.environment import accelerator, processor
from alignbench.weights.digest import text_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT = 2  # another one with other packaged costs, which earlier rates are relative to
# Seconds of one step on the machine that the packaged costs were measured on, while nothing else ran there.
_STEP_SECONDS = 2.9e-4
_LONGEST = 0.06  # seconds for which steps are timed: several turns of the system's scheduler
_SLOWEST, _FASTEST = 100.0, 0.2  # slowness beyond these limits is not believed
_PACKAGED = 2.0  # the packaged costs count as much as this many seconds of measurement
_FORGET = 0.5  # the factor by which earlier runs count less with every new run
_log = logging.getLogger(__name__)


def slowness(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how many times as long as the packaged costs say work takes here and now, from a timed step.

    The step consists of many small calls and a pass over memory, on one thread. It is timed by the wall
    clock, so that it depends on the processor's speed and on what else is running.
    """
    large, other, small = np.ones(200_000), np.ones(200_000), np.ones(200)
    steps, started = 0, clock()
    while (taken := clock() - started) < _LONGEST or not steps:
        for _ in range(100):
            np.sqrt(small).sum()
        np.add(large, other, out=large)
        steps += 1
    return min(_SLOWEST, max(_FASTEST, taken / steps / _STEP_SECONDS))


@dataclass
class Rates:
    """How long tests took in earlier runs on this machine, compared with what was expected.

    Args:
        file: the file that keeps the rates; None keeps nothing.
        known: function of the tests -> (expected, taken) seconds, both converted to the machine on which the
            packaged costs were measured.
    """

    file: Path | None
    known: dict[str, tuple[float, float]] = field(default_factory=dict)
    _new: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of_machine(cls, device: str, *, keep: bool = True) -> Rates:
        """Return the rates of this machine and device from the cache folder.

        Args:
            device: the device as the user wrote it.
            keep: whether to add those of this run.
        """
        machine = {"processor": processor(), "cores": available_cores(), "device": accelerator(device)}
        file = paths.cache_home() / "rates" / f"{text_digest({**machine, 'format': FORMAT})[:16]}.json"
        return cls(file if keep else None, _read(file))

    def factor(self, function: str) -> float:
        """Return how many times as long as expected the tests of a function take."""
        expected, taken = self.known.get(function, (0.0, 0.0))
        return (taken + _PACKAGED) / (expected + _PACKAGED)

    def learn(self, function: str, expected: float, taken: float) -> None:
        """Record the duration of a test that has passed.

        Args:
            function: the test's function.
            expected: the seconds that follow from the packaged costs.
            taken: the seconds that it took.
        """
        before = self._new.get(function, (0.0, 0.0))
        self._new[function] = (before[0] + expected, before[1] + taken)

    def save(self, slowness: float) -> None:
        """Keep the recorded durations for later runs, unless they can't be written.

        Args:
            slowness: the slowness of the machine while the tests ran.
        """
        if self.file is None or not self._new:
            return
        merged = dict(self.known)
        for function, (expected, taken) in self._new.items():
            old = self.known.get(function, (0.0, 0.0))
            merged[function] = (_FORGET * old[0] + expected, _FORGET * old[1] + taken / slowness)
        try:
            make_folder(self.file.parent)
            write_bytes(self.file, json.dumps(merged, sort_keys=True).encode())
        except UnwritableError as error:
            _log.info("the durations of this machine's tests are not kept: %s", error)


def _read(file: Path) -> dict[str, tuple[float, float]]:
    """Return the rates in a file; an empty mapping if it does not exist or was not written by `save`."""
    try:
        content: Any = json.loads(file.read_bytes())
        pairs = {str(name): (float(expected), float(taken)) for name, (expected, taken) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: pair for name, pair in pairs.items() if all(math.isfinite(v) and v >= 0 for v in pair)}
