"""Jobs that can be followed and stopped: each runs in its own thread, and one at a time on the device."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TextIO, TypeVar

from alignbench.errors import AlignbenchWarning
from alignbench.ui.memory import give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

DEVICE = threading.Lock()
"""The running job holds it. The page's queue alone is not enough, because it lets the next job begin while a
stopped one is still finishing its last step."""
PATIENCE = 15.0  # seconds after which a job that nobody follows is stopped, because the tab was closed
_INTERVAL = 0.2


class Cancellation(Exception):  # noqa: N818 (nothing went wrong: nobody wants the result any more)
    """The job was stopped."""


@dataclass(frozen=True, slots=True)
class JobState:
    """The progress of a job.

    Args:
        what: what the job is doing.
        fraction: the finished share of its steps, between 0 and 1.
    """

    what: str
    fraction: float


class Job(Generic[T]):
    """A job with its progress: it is the `Steps` of a run and the `Progress` of embedding.

    Args:
        work: the function that does the job; it reports its progress to its argument.
    """

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._asked = time.monotonic()
        self._what, self._step, self._steps = "starting", 0, 1
        self._part, self._parts = 0, 0
        self._result: T | None = None
        self._error: BaseException | None = None
        self.warnings: list[str] = []

    def follow(self) -> Iterator[JobState]:
        """Start the job and yield its progress until it has ended; closing the iterator stops the job."""
        self._asked = time.monotonic()
        threading.Thread(target=self._run, name="alignbench-job", daemon=True).start()
        try:
            while not self._ended.wait(_INTERVAL):
                self._asked = time.monotonic()
                yield self.state
        finally:
            self.stop()

    def result(self) -> T:
        """Return the result of a job that has ended.

        Raises:
            Cancellation: the job was stopped.
            Exception: the job raised it.
        """
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def stop(self) -> None:
        """Stop the job at its next step."""
        self._stop.set()

    @property
    def ended(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self._ended.is_set()

    @property
    def state(self) -> JobState:
        """The progress of the job."""
        part = self._part / self._parts if self._parts else 0.0
        return JobState(self._what, max(0.0, min(1.0, (self._step + min(part, 1.0)) / self._steps)))

    def expect(self, steps: int) -> None:
        """Set the number of steps."""
        self._step, self._steps = -1, max(1, steps)

    def step(self, what: str) -> None:
        """Begin the next step.

        Raises:
            Cancellation: the job was stopped, or nobody follows it.
        """
        self._check()
        self._step, self._what, self._part, self._parts = self._step + 1, what, 0, 0

    def say(self, what: str) -> None:
        """Describe what the job is doing without beginning a step."""
        self._check()
        self._what = what

    def start(self, total: int, what: str) -> None:
        """Begin to count the items of a step, as embedding does."""
        self._check()
        self._part, self._parts, self._what = 0, total, what

    def advance(self, n: int) -> None:
        """Count `n` more items as done."""
        self._part += n
        self._check()

    def close(self) -> None:
        """End counting."""
        self._part = self._parts

    def _check(self) -> None:
        if self._stop.is_set() or time.monotonic() - self._asked > PATIENCE:
            raise Cancellation

    def _run(self) -> None:
        try:
            self._wait()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("always", AlignbenchWarning)
                    warnings.showwarning = self._warned
                    self._result = self._work(self)
            finally:
                give_back()
                DEVICE.release()
        except BaseException as error:  # `result` raises it
            self._error = error
        finally:
            self._ended.set()

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, AlignbenchWarning):
            self.warnings.append(str(message))
        else:
            _LOG.warning("%s: %s", category.__name__, message)

    def _wait(self) -> None:
        while not DEVICE.acquire(timeout=_INTERVAL):
            self._what = "waiting for the device"
            self._check()
