"""How far long work has come: told by who does it, asked by whoever shows it."""

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
    """Let others see that work of `total` steps goes on until the block ends.

    Args:
        steps: what they are, in the plural: "epochs of linear projectors".
        total: how many there are at most.
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
    """Have done more steps of the work that was begun last."""
    with _lock:
        if _going_on:
            _going_on[-1].done += steps


def said() -> str:
    """Return how far that work is: "120 of 300 epochs of linear projectors"; nothing where there is none."""
    with _lock:
        if not _going_on:
            return ""
        work = _going_on[-1]
        return f"{work.done:,} of {work.total:,} {work.steps}"
