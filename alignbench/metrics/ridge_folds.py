"""The nested folds of ridge, drawn once for everything that needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.metrics.derived import derived

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

OUTER, INNER = 5, 3


@dataclass(frozen=True, slots=True)
class Fold:
    """An outer fold with its inner folds.

    Args:
        number: its number, from 0.
        train: the mask of its train rows [n].
        test: the mask of its test rows [n].
        inner: for each inner fold, the masks of what is fitted and what is checked [number of train rows].
    """

    number: int
    train: Mask
    test: Mask
    inner: tuple[tuple[Mask, Mask], ...]


def folds_of(x: Matrix, names: NDArray[np.str_], seed: int) -> tuple[Fold, ...]:
    """Return the outer folds of the rows of x, which are those of the names of their groups."""
    return derived(("ridge folds", names.tobytes(), seed), x, lambda: tuple(_folds(names, seed)))


def _folds(names: NDArray[np.str_], seed: int) -> Iterator[Fold]:
    for number, (train, test) in enumerate(_splits(names, OUTER, seed, "outer fold")):
        inner = tuple(_splits(names[train], INNER, seed, f"inner fold {number}"))
        yield Fold(number, train, test, inner)


def _splits(groups: NDArray[np.str_], parts: int, seed: int, purpose: str) -> Iterator[tuple[Mask, Mask]]:
    from alignbench.stats.splits import assign

    fold = assign(groups, parts, seed, purpose)
    for number in range(parts):
        yield fold != number, fold == number
