"""Work that can be followed and stopped: in a thread of its own, and one piece at a time on the device."""

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
"""Held by the work that is under way. The page's queue alone is not enough: it lets the next piece begin
while a stopped one is still finishing its last step."""
PATIENCE = 15.0  # seconds without anybody asking how far the work is: the tab was closed
_LOOK = 0.2


class Cancellation(Exception):  # noqa: N818 (nothing went wrong: nobody wants the result any more)
    """The work was stopped."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How far the work is.

    Args:
        what: is being done.
        fraction: of all the steps, between 0 and 1.
    """

    what: str
    fraction: float


class Job(Generic[T]):
    """A piece of work, and how far it is. It is the `Progress` of what embeds, too.

    Args:
        work: does it; is given the job, to say how far it is.
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
        """Begin, and yield how far it is until it has ended; when the iterator is closed, the work stops."""
        self._asked = time.monotonic()
        threading.Thread(target=self._run, name="alignbench-job", daemon=True).start()
        try:
            while not self._ended.wait(_LOOK):
                self._asked = time.monotonic()
                yield self.state
        finally:
            self.stop()

    def result(self) -> T:
        """Return what the work gave, after it has ended.

        Raises:
            Cancellation: it was stopped.
            Exception: what it raised.
        """
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def stop(self) -> None:
        """Let the work end with its next step."""
        self._stop.set()

    @property
    def ended(self) -> bool:
        """Whether the work has ended, one way or another."""
        return self._ended.is_set()

    @property
    def state(self) -> JobState:
        """How far it is."""
        part = self._part / self._parts if self._parts else 0.0
        return JobState(self._what, max(0.0, min(1.0, (self._step + min(part, 1.0)) / self._steps)))

    def expect(self, steps: int) -> None:
        """Say of how many steps the work is."""
        self._step, self._steps = -1, max(1, steps)

    def step(self, what: str) -> None:
        """Begin the next step.

        Raises:
            Cancellation: nobody wants it.
        """
        self._check()
        self._step, self._what, self._part, self._parts = self._step + 1, what, 0, 0

    def say(self, what: str) -> None:
        """Say what is being done, where that is no step of its own."""
        self._check()
        self._what = what

    def start(self, total: int, what: str) -> None:
        """Begin a part of a step that is counted, as embedding does."""
        self._check()
        self._part, self._parts, self._what = 0, total, what

    def advance(self, n: int) -> None:
        """Have done `n` more of it."""
        self._part += n
        self._check()

    def close(self) -> None:
        """End the part."""
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
        except BaseException as error:  # whoever asks for the result gets it
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
        while not DEVICE.acquire(timeout=_LOOK):
            self._what = "waiting for the device"
            self._check()
