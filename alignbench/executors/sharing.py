"""Pieces of work shared among workers that may be lost: what was lost is given to another worker."""

from __future__ import annotations

import logging
import warnings
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from alignbench.errors import AlignbenchWarning, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.executors.base import Piece

P = TypeVar("P")
R = TypeVar("R")

_TWICE = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has started and waits for work."""

    worker: int


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """A worker has finished its piece."""

    worker: int
    result: R


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, with its piece if it had one."""

    worker: int
    why: str


class Pool(Protocol[P, R]):
    """Workers, by numbers that are never used again."""

    @property
    def size(self) -> int:
        """How many workers there is room for at this moment."""

    def hire(self) -> int:
        """Begin to start a worker; `next` says when it is ready."""

    def give(self, worker: int, piece: Piece[P]) -> None:
        """Give a worker that is ready a piece; `next` says when it has finished."""

    def next(self) -> Ready | Finished[R] | Lost:
        """Wait until something happens; errors of the work itself are raised."""


def shared_out(pool: Pool[P, R], pieces: Sequence[Piece[P]], name: str) -> Iterator[tuple[int, R]]:
    """Yield (place, result) of every piece, in the order in which they are finished.

    A worker gets a piece only when it has started, so a worker for which there is no room keeps no piece from
    the others. A piece whose worker is lost goes to the next free worker, and a warning says so.

    Args:
        pool: the workers.
        pieces: the pieces.
        name: what messages call the work.

    Raises:
        WorkerLostError: a piece was lost twice, or two workers in succession could not be started.
    """
    waiting = deque(range(len(pieces)))
    idle: deque[int] = deque()
    busy: dict[int, int] = {}
    losses: Counter[int] = Counter()
    starting = {pool.hire() for _ in range(min(max(1, pool.size), len(pieces)))}
    failed_starts = 0
    while waiting or busy:
        event = pool.next()
        finished: list[tuple[int, R]] = []
        if isinstance(event, Lost):
            if event.worker in busy:
                place = busy.pop(event.worker)
                losses[place] += 1
                _say_lost(name, pieces[place].name, event.why, losses[place])
                waiting.appendleft(place)
            elif event.worker in starting:
                starting.remove(event.worker)
                failed_starts += 1
                if failed_starts == _TWICE:
                    raise WorkerLostError(f"{name}: two workers could not be started: {event.why}")
            else:
                idle.remove(event.worker)
            if len(starting) + len(idle) + len(busy) < min(max(1, pool.size), len(waiting) + len(busy)):
                starting.add(pool.hire())
        else:
            if isinstance(event, Ready):
                starting.remove(event.worker)
                failed_starts = 0
            else:
                finished.append((busy.pop(event.worker), event.result))
            idle.append(event.worker)
        while idle and waiting:
            worker, place = idle.popleft(), waiting.popleft()
            busy[worker] = place
            _log.debug("%s: worker %d gets %s", name, worker, pieces[place].name)
            pool.give(worker, pieces[place])
        yield from finished


def _say_lost(name: str, piece: str, why: str, times: int) -> None:
    if times == _TWICE:
        raise WorkerLostError(
            f"{name}: {piece} was lost twice, with the workers that had it: {why}; if memory ran out, give "
            "smaller shards (--align-shards), smaller batches or fewer workers"
        )
    warnings.warn(
        f"{name}: a worker was lost with {piece} ({why}); another one computes it",
        AlignbenchWarning,
        stacklevel=3,
    )
