"""Batches that fit: where memory runs out, a batch is halved, and so are those after it."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import AlignbenchWarning
from alignbench.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(slots=True)
class Limit:
    """How large a batch may be; it outlives a `Fitting`, so that what one shard has shown holds for the next.

    Args:
        size: a batch's items times its longest item; None as long as memory was never too short.
    """

    size: int | None = None


class Fitting:
    """A model's function of batches that runs them in smaller parts once memory was too short for one.

    Args:
        forward: a batch -> one row for each of its items.
        name: the model's name, for the warning.
        what: what the items are, "images" or "texts".
        length: an item's length: a batch is as large as its items times its longest item.
        limit: what is known of the memory, and is kept up to date; None if nothing is known.
    """

    def __init__(
        self,
        forward: Callable[[Sequence[Any]], ArrayLike],
        name: str,
        what: str,
        length: Callable[[Any], int] = lambda item: 1,
        limit: Limit | None = None,
    ) -> None:
        self._forward = forward
        self._name, self._what = name, what
        self._length = length
        self._limit = Limit() if limit is None else limit

    def __call__(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return the rows of a batch, [b, ...].

        Raises:
            Exception: what the model raises; that memory ran out only for an item that is alone.
        """
        parts: list[NDArray[np.float32]] = []
        done = 0
        while done < len(batch):
            part = batch[done : done + self._count(batch[done:])]
            rows = self._try(part)
            if rows is None:
                # Only here, since the error kept what the failed pass had allocated.
                _free_cached()
                self._halve(part)
            else:
                parts.append(rows)
                done += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _count(self, rest: Sequence[Any]) -> int:
        if self._limit.size is None:
            return len(rest)
        return max(1, self._limit.size // max(1, *map(self._length, rest)))

    def _try(self, part: Sequence[Any]) -> NDArray[np.float32] | None:
        """Return the rows of a batch, or None if memory ran out and the batch can be halved."""
        try:
            return np.asarray(self._forward(part), dtype=np.float32)
        except Exception as error:
            if len(part) < 2 or not is_out_of_memory(error):
                raise
            return None

    def _halve(self, part: Sequence[Any]) -> None:
        half = len(part) // 2
        self._limit.size = half * max(1, *map(self._length, part))
        warnings.warn(
            f"{self._name}: out of memory with {len(part)} {self._what} a batch; it goes on with {half}, "
            "which changes the vectors by rounding at most",
            AlignbenchWarning,
            stacklevel=2,
        )


def _free_cached() -> None:
    """Give the memory back that torch keeps for later, since it may be in pieces that are too small."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
