"""A fixed tree that merges the parts of a whole: the same bits in whichever order the parts arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from alignbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class MergeTree(Generic[T]):
    """Merges parts 0 … n−1 of a whole as soon as both halves of a node are there.

    Node i of level l covers the parts from i·2ˡ to (i + 1)·2ˡ, as far as there are so many. What is merged
    with what therefore depends on n alone. If the parts arrive in order, about log₂ n of them are held.

    Args:
        n: the number of parts.
        merge: returns the merged value of two neighbours, the left one first; it need not be associative.

    Raises:
        InputError: there are no parts.

    Examples:
        >>> tree = MergeTree(3, lambda a, b: f"({a}{b})")
        >>> for place, part in [(2, "c"), (0, "a"), (1, "b")]:
        ...     tree.add(place, part)
        >>> tree.result()
        '((ab)c)'
    """

    def __init__(self, n: int, merge: Callable[[T, T], T]) -> None:
        if n < 1:
            raise InputError(f"a tree of parts: expected at least 1, got {n}")
        self._n = n
        self._merge = merge
        self._seen: set[int] = set()
        self._held: dict[tuple[int, int], T] = {}

    def add(self, place: int, part: T) -> None:
        """Add a part.

        Raises:
            InputError: there is no such place, or it has its part already.
        """
        if not 0 <= place < self._n or place in self._seen:
            why = "it is there already" if place in self._seen else f"there are {self._n}"
            raise InputError(f"part {place} of a tree: {why}")
        self._seen.add(place)
        level, at, nodes = 0, place, self._n
        while nodes > 1:
            sibling = at ^ 1
            if sibling < nodes:
                if (level, sibling) not in self._held:
                    break
                other = self._held.pop((level, sibling))
                part = self._merge(part, other) if at < sibling else self._merge(other, part)
            level, at, nodes = level + 1, at // 2, (nodes + 1) // 2
        self._held[level, at] = part

    def result(self) -> T:
        """Return the whole.

        Raises:
            InputError: parts are missing.
        """
        if missing := self._n - len(self._seen):
            first = next(place for place in range(self._n) if place not in self._seen)
            raise InputError(f"a tree of {self._n} parts: {missing} are missing, the first is part {first}")
        (whole,) = self._held.values()
        return whole
