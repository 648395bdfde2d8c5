"""Which penalty the inner folds of ridge choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW
from alignbench.metrics.derived import derived
from alignbench.metrics.procrustes import narrow
from alignbench.metrics.ridge_folds import folds_of
from alignbench.metrics.ridge_paths import PENALTIES, SHARED_UP_TO, inner_paths
from alignbench.metrics.ridge_single import Narrow, Wide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alignbench.metrics.ridge_folds import Fold

    Matrix = NDArray[np.float64]

SINGLE_FROM = 500  # rows: up to here, the null needs the decompositions in float64 in any case


def chosen(x: Matrix, y: Matrix, names: NDArray[np.str_], seed: int) -> list[int]:
    """Return which penalty the inner folds of each outer fold choose."""
    return derived(("penalties", names.tobytes(), seed), (x, y), lambda: list(_choices(x, y, names, seed)))


def _choices(x: Matrix, y: Matrix, names: NDArray[np.str_], seed: int) -> Iterator[int]:
    targets = narrow(y)
    for fold in folds_of(x, names, seed):
        inside = targets[fold.train]
        best = _quick_choice(x, inside, names, seed, fold) if len(x) > SINGLE_FROM else None
        if best is None:
            errors = np.zeros(len(PENALTIES))
            for path, (fit, check) in zip(inner_paths(x, names, seed, fold), fold.inner, strict=True):
                errors += path.errors(inside[fit], inside[check], many=len(x) > FEW)
            best = int(np.argmin(errors))
        yield best


def _quick_choice(x: Matrix, targets: Matrix, names: NDArray[np.str_], seed: int, fold: Fold) -> int | None:
    """Return the choice of one outer fold from errors in float32; None if float64 may choose another one."""
    kind = Wide if all(fit.sum() <= x.shape[1] for fit, _ in fold.inner) else Narrow

    def compute() -> Wide | Narrow | None:
        return kind.of(x, fold)

    key = "ridge in float32", fold.number, names.tobytes(), seed
    predictors = derived(key, x, compute) if len(x) <= SHARED_UP_TO else compute()
    if predictors is None:
        return None
    parts = [sums.errors() for sums in predictors.sums(targets - targets.mean(axis=0), fold)]
    errors, doubts = np.sum(parts, axis=0)
    best = int(np.argmin(errors))
    least = np.delete(errors - doubts, best).min()
    return best if errors[best] + doubts[best] < least else None
