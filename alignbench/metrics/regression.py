"""Ridge regression from one side to the other, scored on held-out folds."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import TooFewSamplesError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import LEAST_LEFT, bounded, check_groups
from alignbench.metrics.derived import derived
from alignbench.metrics.kernels import INVARIANCES, centered_sides
from alignbench.metrics.leaving_out import RidgeFit, predictions_without
from alignbench.metrics.procrustes import narrow
from alignbench.metrics.ridge_choice import chosen
from alignbench.metrics.ridge_folds import OUTER, folds_of
from alignbench.metrics.ridge_null import ridge_draw
from alignbench.metrics.ridge_paths import PENALTIES, Path, scaled
from alignbench.metrics.ridge_products import Products, others
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.ridge_folds import Fold

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.intp]

CLEAR = 0.05  # below this score, it depends on which penalties are chosen, and blocks have to choose anew
MANY = 2  # rows a column from which the products of folds share those of their test rows


def _check_folds(groups: NDArray[np.str_]) -> None:
    if (count := count_of(groups)) < 3 * OUTER:
        raise TooFewSamplesError(
            f"ridge_r2: expected at least {3 * OUTER} groups for {OUTER} folds, got {count}"
        )


def _fits(
    a: Matrix, b: Matrix, names: NDArray[np.str_], seed: int
) -> Iterator[tuple[Mask, Mask, Matrix, RidgeFit]]:
    """Yield for each outer fold its (train, test) masks, narrowed targets, and the fit that it chooses."""
    targets, best, folds = narrow(b), chosen(a, b, names, seed), folds_of(a, names, seed)

    @cache
    def of_tests() -> tuple[list[Products], list[Products]]:
        grams, crosses = [], []
        for fold in folds:
            rows = a[fold.test]
            grams.append(Products.of(rows, rows))
            crosses.append(Products.of(rows, targets[fold.test]))
        return grams, crosses

    for fold in folds:

        def fitted(fold: Fold = fold, penalty: float = PENALTIES[best[fold.number]]) -> RidgeFit:
            inside, outside = scaled(a[fold.train], a[fold.test])
            centred = targets[fold.train] - targets[fold.train].mean(axis=0)
            many = len(inside) >= MANY * inside.shape[1]
            known = _train_products(*of_tests(), fold.number) if many else None
            return RidgeFit.of(inside, centred, outside, penalty, known)

        fit = derived(("ridge fit", fold.number, names.tobytes(), seed), (a, b), fitted)
        yield fold.train, fold.test, targets, fit


def _train_products(
    grams: list[Products], crosses: list[Products], number: int
) -> tuple[Matrix, Matrix] | None:
    """Return XᵀX and XᵀY of a fold's scaled train rows from those of test rows; None if they lose digits."""
    gram, cross = others(grams, number), others(crosses, number)
    centred = gram.around(gram.left_mean, gram.left_mean)
    variance = np.trace(centred) / (gram.count - 1)
    if variance <= LEAST_LEFT * np.trace(gram.cross) / gram.count:
        return None
    return centred / variance, cross.around(cross.left_mean, cross.right_mean) / np.sqrt(variance)


def _errors(a: Matrix, b: Matrix, names: NDArray[np.str_], seed: int) -> tuple[float, float]:
    """Return the squared error of all folds, and that of the train means."""
    error = total = 0.0
    if len(a) > FEW:
        for train, test, targets, fit in _fits(a, b, names, seed):
            rest = targets[test] - targets[train].mean(axis=0)
            error += _squared(rest - fit.predicted)
            total += _squared(rest)
        return error, total
    best, targets = chosen(a, b, names, seed), narrow(b)
    for fold in folds_of(a, names, seed):
        path = Path.fit(a[fold.train], a[fold.test])
        known, rest = targets[fold.train], targets[fold.test]
        error += float(path.errors(known, rest)[best[fold.number]])
        total += float(np.square(rest - known.mean(axis=0)).sum())
    return error, total


def _squared(rows: Matrix) -> float:
    return float(np.vdot(rows, rows))


def _deletions(
    x: Matrix,
    y: Matrix,
    blocks: Sequence[Indices],
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> NDArray[np.float64] | None:
    """Return the scores without each block, with the folds and penalties of all rows.

    None, so that everything is done again without each block, for few rows, and for a score that is not
    `CLEAR`: of sides that have nothing in common, such intervals would cover 66% to 82%.
    """
    if len(x) <= FEW:
        return None
    a, b = centered_sides(x, y, 3 * OUTER)
    names = check_groups(groups, len(a))
    left, whole = _errors(a, b, names, seed)
    if 1 - left / whole < CLEAR:
        return None
    error, total = np.zeros(len(blocks)), np.zeros(len(blocks))
    for train, test, targets, fit in _fits(a, b, names, seed):
        held_out, fitted = np.flatnonzero(test), np.flatnonzero(train)
        inside = [np.flatnonzero(np.isin(fitted, block)) for block in blocks]
        mean = targets[train].mean(axis=0)
        known, rest = targets[train] - mean, targets[test] - mean
        of_rest, all_rest = lengths(rest), rest.sum(axis=0)
        predictors, further = scaled(a[train], a[test])
        predictions = predictions_without(fit, predictors, known, further, inside)
        for place, (block, left_out, predicted) in enumerate(zip(blocks, inside, predictions, strict=True)):
            stay = ~np.isin(held_out, block)
            # The deviations of all targets sum to 0, so those of the others to minus the sum of the block's.
            shift = -known[left_out].sum(axis=0) / (len(known) - len(left_out))
            error[place] += lengths(rest - predicted)[stay].sum()
            total[place] += of_rest[stay].sum() - 2 * shift @ (all_rest - rest[~stay].sum(axis=0))
            total[place] += stay.sum() * shift @ shift
    scores: Matrix = 1 - error / total
    return scores


def _deletions_reverse(
    x: Matrix, y: Matrix, blocks: Sequence[Indices], **keywords: Any
) -> NDArray[np.float64] | None:
    return _deletions(y, x, blocks, **keywords)


def _draw_reverse(
    x: Matrix,
    y: Matrix,
    permutations: Indices,
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> NDArray[np.float64]:
    # Predicting y[p] from x is predicting y from x[p⁻¹]: folds stay with the predictor's rows.
    return ridge_draw(y, x, np.argsort(permutations, axis=1), groups=groups, seed=seed)


@METRICS.register(
    "ridge_r2",
    family="regression",
    pairing=True,
    bounds=(-np.inf, 1),
    invariant_to=INVARIANCES,
    min_n=15,
    needs=("groups", "seed"),
    null=NullModel(draw=ridge_draw, draws=199, max_groups=500),
    deletions=_deletions,
    grows="blocks",
)
def ridge_r2(x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42) -> float:
    r"""Return how much of y's variance a ridge regression from x explains on held-out groups.

    $1 - \frac{\sum \|y_i - \hat y_i\|^2}{\sum \|y_i - \bar y_\mathrm{train}\|^2}$, pooled over 5 outer folds
    and all columns. Both sides are divided by their total variance on the train rows; 3 inner folds in each
    outer fold choose λ ∈ 10^{−4 … 4} for $\min_W \|Y - XW\|^2 + \lambda\|W\|^2$.

    Args:
        x: predictors [n, dx], n ≥ 15.
        y: targets [n, dy].
        groups: the unit of the folds; by default, each row.
        seed: the seed of the folds.

    Returns:
        A value ≤ 1; 0 for predicting the train mean, negative for worse predictions.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 15 groups.

    Source:
        Hoerl and Kennard (1970), Technometrics 12; the nested folds follow Varma and Simon (2006).
    """
    a, b = centered_sides(x, y, 3 * OUTER)
    names = check_groups(groups, len(a))
    _check_folds(names)
    error, total = _errors(a, b, names, seed)
    return bounded(1 - error / total, (-np.inf, 1), "ridge_r2")


@METRICS.register(
    "ridge_r2_reverse",
    family="regression",
    pairing=True,
    bounds=(-np.inf, 1),
    invariant_to=INVARIANCES,
    min_n=15,
    needs=("groups", "seed"),
    null=NullModel(draw=_draw_reverse, draws=199, max_groups=500),
    deletions=_deletions_reverse,
    grows="blocks",
)
def ridge_r2_reverse(x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42) -> float:
    """Return `ridge_r2` in the other direction: how much of x's variance a ridge regression from y explains.

    Args, Returns, Raises, Source: as `ridge_r2`.
    """
    return ridge_r2(y, x, groups=groups, seed=seed)
