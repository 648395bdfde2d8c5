"""Progress of long work: the worker reports it, and whoever displays it asks for it."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Work:
    """One piece of work, which several threads may share."""

    def __init__(self, steps: str, total: int) -> None:
        self.steps, self.total, self.done = steps, total, 0


_lock = Lock()
_going_on: list[_Work] = []


@contextmanager
def doing(steps: str, total: int) -> Iterator[None]:
    """Report work of `total` steps until the block ends.

    Args:
        steps: what the steps are, in the plural, such as "epochs of linear projectors".
        total: the largest number of steps.
    """
    work = _Work(steps, total)
    with _lock:
        _going_on.append(work)
    try:
        yield
    finally:
        with _lock:
            _going_on.remove(work)


def advance(steps: int = 1) -> None:
    """Count further finished steps of the work that began last."""
    with _lock:
        if _going_on:
            _going_on[-1].done += steps


def progress() -> str:
    """Return the progress of that work, such as "120 of 300 epochs of linear projectors"; "" without work."""
    with _lock:
        if not _going_on:
            return ""
        work = _going_on[-1]
        return f"{work.done:,} of {work.total:,} {work.steps}"
