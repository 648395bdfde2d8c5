"""What this machine makes of an estimate: how busy it is now, and what tests have taken on it before."""

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

FORMAT = 1
# Seconds of one step on the machine that the packaged costs were measured on, while nothing else ran there.
_STEP_SECONDS = 2.9e-4
_LONGEST = 0.06  # seconds that steps are timed for: several turns of the system's scheduler
_OTHERS_MOST, _LEAST = 100.0, 0.2  # what is believed of a machine
_PACKAGED = 2.0  # seconds of measurement that the packaged costs count as much as
_FORGET = 0.5  # of what is known, with every run: the machine of today counts most
_log = logging.getLogger(__name__)


def slowness(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how many times as long work takes here and now as the packaged costs say, from a timed step.

    The step is of many small calls and a pass over memory, on one thread, by the wall clock: so it tells the
    processor's speed and how many others want it at the moment.
    """
    large, other, small = np.ones(200_000), np.ones(200_000), np.ones(200)
    steps, started = 0, clock()
    while (taken := clock() - started) < _LONGEST or not steps:
        for _ in range(100):
            np.sqrt(small).sum()
        np.add(large, other, out=large)
        steps += 1
    return min(_OTHERS_MOST, max(_LEAST, taken / steps / _STEP_SECONDS))


@dataclass
class Rates:
    """What tests have taken in earlier runs on this machine beside what was expected of them.

    Args:
        file: where it is kept; None keeps nothing.
        known: function of the tests -> (expected, taken) seconds, both of a machine as the packaged costs'.
    """

    file: Path | None
    known: dict[str, tuple[float, float]] = field(default_factory=dict)
    _new: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of_machine(cls, device: str, *, keep: bool = True) -> Rates:
        """Return those of this machine and device, as the cache folder has them.

        Args:
            device: as given by the user.
            keep: whether what this run takes is to be kept, too.
        """
        machine = {"processor": processor(), "cores": available_cores(), "device": accelerator(device)}
        file = paths.cache_home() / "rates" / f"{text_digest({**machine, 'format': FORMAT})[:16]}.json"
        return cls(file if keep else None, _read(file))

    def factor(self, function: str) -> float:
        """Return how many times as long tests of a function take as expected."""
        expected, taken = self.known.get(function, (0.0, 0.0))
        return (taken + _PACKAGED) / (expected + _PACKAGED)

    def learn(self, function: str, expected: float, taken: float) -> None:
        """Take note of a test that has passed.

        Args:
            function: of the test.
            expected: its seconds by the packaged costs.
            taken: what it took, divided by the machine's slowness meanwhile.
        """
        before = self._new.get(function, (0.0, 0.0))
        self._new[function] = (before[0] + expected, before[1] + taken)

    def save(self, slowness: float) -> None:
        """Keep what was learnt for later runs; where it can't be written, they go by what they know.

        Args:
            slowness: of the machine while the tests ran.
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
            _log.info("what tests take on this machine is not kept: %s", error)


def _read(file: Path) -> dict[str, tuple[float, float]]:
    """Return what a file says; nothing where it is not there, or not what was written."""
    try:
        said: Any = json.loads(file.read_bytes())
        pairs = {str(name): (float(expected), float(taken)) for name, (expected, taken) in said.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: pair for name, pair in pairs.items() if all(math.isfinite(v) and v >= 0 for v in pair)}
