"""Work on pieces, whoever does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

P = TypeVar("P")
R = TypeVar("R")
P_contra = TypeVar("P_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Piece(Generic[P]):
    """A piece of work, which can be done twice without harm.

    Args:
        name: what messages call it: "shard 3 (rows 2,049 to 3,072)".
        content: what the work takes.
    """

    name: str
    content: P


class Work(Protocol[P_contra, R_co]):
    """Work that is done piece by piece. Workers in other processes get a pickled copy of it."""

    @property
    def name(self) -> str:
        """What messages call it: usually the name of a model."""

    def opened(self) -> AbstractContextManager[Callable[[P_contra], R_co]]:
        """Hold what all pieces need, such as a model in memory, and return the function that does one."""


class Executor(Protocol):
    """Does work, somewhere."""

    def each(self, work: Work[P, R], pieces: Sequence[Piece[P]]) -> Iterator[tuple[int, R]]:
        """Yield (place, result) of every piece, in any order.

        Raises:
            WorkerLostError: a piece was lost with its worker, twice.
            AlignbenchError: whatever the work raises.
        """
