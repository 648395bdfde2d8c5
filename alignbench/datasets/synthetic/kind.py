"""What every type of drawing provides: its content, its drawing and its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from alignbench.datasets.synthetic.canvas import Box, Canvas


class DrawingSpec(Protocol):
    """The content of a drawing: frozen, and independent of pixels."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the page in its units."""

    @property
    def background(self) -> str:
        """The name of the page colour."""


SpecT = TypeVar("SpecT", bound=DrawingSpec)


@dataclass(frozen=True, slots=True)
class Description:
    """The description of a drawing.

    Args:
        kind: the finer class within the type: "bar", "striped", "two-column", ...
        question: the question that the wordings answer.
        wordings: at least three texts, each true of this drawing.
        exchanges: short questions with their answers: type, kind, number of items, and more.
    """

    kind: str
    question: str
    wordings: tuple[str, ...]
    exchanges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kind(Generic[SpecT]):
    """A type of drawing.

    Args:
        imagine: makes a spec from random numbers.
        paint: draws the spec, and returns the boxes of its objects in page units.
        describe: describes what can be seen.
    """

    imagine: Callable[[random.Random], SpecT]
    paint: Callable[[SpecT, Canvas], list[Box]]
    describe: Callable[[SpecT], Description]
