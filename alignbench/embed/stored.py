"""Rows of vectors in one array, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


@dataclass(slots=True)
class Stored:
    """The vectors of n items in one array, and which of them are known.

    Args:
        values: float32 `[n, ...]`; rows that are not known have no meaning.
        there: whether each row is known [n].
    """

    values: Vectors
    there: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int) -> Stored:
        """Return n rows of which none is known; the first ones that are put in determine their shape."""
        return cls(np.empty((n, 0), dtype=np.float32), np.zeros(n, dtype=bool))

    def put(self, rows: NDArray[np.intp] | Sequence[int], vectors: Vectors) -> None:
        """Set rows to these vectors: `[len(rows), ...]`, or `[1, ...]` for the same in all of them.

        Raises:
            InputError: their shape is not that of the rows that are known.
        """
        shape = vectors.shape[1:]
        if self.values.shape[1:] != shape:
            if self.there.any():
                raise InputError(f"vectors differ in shape: {sorted({self.values.shape[1:], shape})}")
            self.values = np.empty((len(self.there), *shape), dtype=np.float32)
        self.values[rows] = vectors
        self.there[rows] = True
