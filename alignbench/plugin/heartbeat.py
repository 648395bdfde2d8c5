"""A line for every half minute of a long run: how much is done, what is running, and the time left."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from alignbench import doing
from alignbench.text import clean, fit
from alignbench.units import duration_text, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

EVERY = 30.0  # seconds
_TRUSTED = 10.0  # the plan counts as much as this many seconds of measurement
_LONGEST_NAME = 60


@dataclass
class Remaining:
    """The remaining time of a run, estimated from the plan and from the tests that have ended.

    Args:
        expected: node id -> the seconds that the plan expects on this machine.
        workers: the number of workers that share the tests.
        clock: returns the time in seconds.
    """

    expected: Mapping[str, float]
    workers: int = 1
    clock: Callable[[], float] = time.monotonic
    ended: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    _expected: float = 0.0
    _taken: float = 0.0

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def gone(self) -> float:
        """Seconds since the first test."""
        return self.clock() - self._started

    def start(self, nodeid: str) -> None:
        """Record that a test begins."""
        self.running[nodeid] = self.clock()

    def end(self, nodeid: str) -> None:
        """Record that a test has ended."""
        began = self.running.pop(nodeid, None)
        if began is not None and nodeid not in self.ended:
            self.ended.add(nodeid)
            self._expected += self.expected.get(nodeid, 0.0)
            self._taken += self.clock() - began

    def left(self) -> float:
        """Return about how many more seconds the run takes."""
        pace = (self._taken + _TRUSTED) / (self._expected + _TRUSTED)
        waiting = self.expected.keys() - self.ended - self.running.keys()
        seconds = pace * sum(self.expected[nodeid] for nodeid in waiting)
        for nodeid, began in self.running.items():
            seconds += max(0.0, pace * self.expected.get(nodeid, 0.0) - (self.clock() - began))
        return seconds / self.workers

    def line(self) -> str:
        """Return the line with the progress of the run."""
        line = (
            f"alignbench: {len(self.ended)} of {plural(len(self.expected), 'test')} done, "
            f"{duration_text(self.gone)} gone, about {duration_text(self.left())} left"
        )
        if len(self.running) == 1:
            [(nodeid, began)] = self.running.items()
            name = fit(clean(nodeid.rpartition("::")[2]), _LONGEST_NAME)
            line += f"; {name} for {duration_text(self.clock() - began)}"
            if steps := doing.progress():
                line += f": {steps}"
        return line


class Heartbeat:
    """The plugin that prints the line from a thread, even while one test takes minutes.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        # A separate stream, because pytest captures the usual ones while a test runs.
        self._stream = _terminal()
        self._stop = threading.Event()
        self._remaining: Remaining | None = None

    def begin(self, expected: Mapping[str, float], workers: int) -> None:
        """Begin to watch the tests of a plan."""
        self._remaining = Remaining(expected, workers)
        if self._stream is not None and self._config.option.verbose > -2:
            threading.Thread(target=self._beat, name="alignbench-heartbeat", daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a test begins."""
        if self._remaining is not None:
            self._remaining.start(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record that a test has ended."""
        if self._remaining is not None:
            self._remaining.end(nodeid)

    def pytest_sessionfinish(self) -> None:
        """Stop printing."""
        self._stop.set()

    def pytest_unconfigure(self) -> None:
        """Close the stream."""
        self._stop.set()
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()

    def _beat(self) -> None:
        while not self._stop.wait(EVERY):
            if self._remaining is not None and self._stream is not None:
                with contextlib.suppress(OSError, ValueError):  # the terminal is closed, or the run is over
                    self._stream.write(f"{self._line_break()}{self._remaining.line()}\n")
                    self._stream.flush()

    def _line_break(self) -> str:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        writer = getattr(reporter, "_tw", None)
        return "\n" if getattr(writer, "width_of_current_line", 0) else ""


def _terminal() -> TextIO | None:
    """Return a new stream to where standard output goes; None if that is not a file."""
    try:
        return os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
    except (OSError, ValueError, AttributeError):
        return None
