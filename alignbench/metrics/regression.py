"""Ridge regression from one side to the other, scored on held-out folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import TooFewSamplesError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import bounded, check_groups
from alignbench.metrics.derived import derived
from alignbench.metrics.kernels import INVARIANCES, centered_sides
from alignbench.metrics.leaving_out import predictions_without
from alignbench.metrics.procrustes import narrow
from alignbench.metrics.sums import gram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

PENALTIES = 10.0 ** np.arange(-4, 5)
OUTER, INNER = 5, 3
NOTHING = 1e-20  # below this, a variance is rounding, for sides whose largest deviation is about 1
BATCH = 8_000_000  # entries of permuted kernels in memory at once


def _scaled(train: Matrix, test: Matrix) -> tuple[Matrix, Matrix]:
    """Return both minus the mean of the train rows, divided by the root of their total variance."""
    mean = train.mean(axis=0)
    a, b = train - mean, test - mean
    variance = float(np.square(a).sum()) / (len(a) - 1)
    # A train fold without variance predicts its mean; rounding must not be scaled up to a predictor.
    scale = 0.0 if variance <= NOTHING else 1 / np.sqrt(variance)
    return a * scale, b * scale


@dataclass(frozen=True, slots=True)
class _Path:
    """Ridge predictions for all penalties λ: left · diag(1/(values + λ)) · right · (Y_train − mean)."""

    left: Matrix
    values: Matrix
    right: Matrix

    @classmethod
    def fit(cls, train: Matrix, test: Matrix) -> _Path:
        """Return the path from one eigendecomposition, of the smaller of the n x n and the d x d form."""
        a, b = _scaled(train, test)
        if len(a) <= a.shape[1]:
            values, vectors = np.linalg.eigh(a @ a.T)
            return cls(b @ a.T @ vectors, np.maximum(values, 0.0), vectors.T)
        values, vectors = np.linalg.eigh(a.T @ a)
        return cls(b @ vectors, np.maximum(values, 0.0), vectors.T @ a.T)

    def smoother(self, penalty: float) -> Matrix:
        """Return the matrix [n_test, n_train] that maps centred train targets to predictions."""
        return (self.left / (self.values + penalty)) @ self.right

    def errors(self, train: Matrix, test: Matrix) -> Matrix:
        r"""Return the squared error on `test` targets for each penalty.

        With many rows it is, for the diagonal D of each penalty, left L, targets T and the coordinates W of
        the train targets, $\|T\|^2 - 2\,d^\top \mathrm{diag}(L^\top T W^\top) + d^\top(L^\top L \circ
        W W^\top)d$, whose products are the same for all penalties.
        """
        mean = train.mean(axis=0)
        targets, weights = test - mean, self.right @ (train - mean)
        if len(train) > FEW:
            left, shrunk = self.left, 1 / (self.values[:, None] + PENALTIES)
            both = (left.T @ left) * (weights @ weights.T)
            cross = np.einsum("ij,ij->i", left.T @ targets, weights)
            fitted = np.einsum("ip,ip->p", shrunk, both @ shrunk)
            squared: Matrix = np.square(targets).sum() - 2 * cross @ shrunk + fitted
            return squared
        return np.asarray(
            [
                np.square(targets - self.left @ (weights / (self.values + penalty)[:, None])).sum()
                for penalty in PENALTIES
            ]
        )


def _error(fit: tuple[Matrix, Matrix], check: tuple[Matrix, Matrix], number: int) -> float:
    """Return the squared error of a regression with one of the penalties.

    Args:
        fit: the train rows of both sides.
        check: the test rows of both sides.
        number: which of the penalties.
    """
    if len(fit[0]) <= FEW:
        return float(_Path.fit(fit[0], check[0]).errors(fit[1], check[1])[number])
    from scipy.linalg import solve

    a, b = _scaled(fit[0], check[0])
    mean = fit[1].mean(axis=0)
    centered, penalty = fit[1] - mean, PENALTIES[number] * np.eye(min(a.shape))
    if len(a) <= a.shape[1]:
        predicted = b @ a.T @ solve(a @ a.T + penalty, centered, assume_a="pos", overwrite_a=True)
    else:
        predicted = b @ solve(a.T @ a + penalty, a.T @ centered, assume_a="pos", overwrite_a=True)
    return float(np.square(check[1] - mean - predicted).sum())


def _splits(groups: NDArray[np.str_], parts: int, seed: int, purpose: str) -> Iterator[tuple[Mask, Mask]]:
    """Yield (train, test) masks of the rows for each fold."""
    from alignbench.stats.splits import assign

    fold = assign(groups, parts, seed, purpose)
    for number in range(parts):
        yield fold != number, fold == number


def _check_folds(groups: NDArray[np.str_]) -> None:
    if (count := count_of(groups)) < 3 * OUTER:
        raise TooFewSamplesError(
            f"ridge_r2: expected at least {3 * OUTER} groups for {OUTER} folds, got {count}"
        )


def _chosen(a: Matrix, b: Matrix, names: NDArray[np.str_], seed: int) -> list[int]:
    """Return which penalty the inner folds of each outer fold choose."""
    return derived(("penalties", names.tobytes(), seed), (a, b), lambda: list(_choices(a, b, names, seed)))


def _choices(a: Matrix, b: Matrix, names: NDArray[np.str_], seed: int) -> Iterator[int]:
    targets = narrow(b)
    for number, (train, _) in enumerate(_splits(names, OUTER, seed, "outer fold")):
        errors = np.zeros(len(PENALTIES))
        inner_x, inner_y = a[train], targets[train]
        for fit, check in _splits(names[train], INNER, seed, f"inner fold {number}"):
            errors += _Path.fit(inner_x[fit], inner_x[check]).errors(inner_y[fit], inner_y[check])
        yield int(np.argmin(errors))


def _deletions(
    x: Matrix,
    y: Matrix,
    blocks: Sequence[NDArray[np.intp]],
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> NDArray[np.float64] | None:
    """Return the scores without each block, with the folds and penalties of all rows; None for few rows."""
    if len(x) <= FEW:
        return None
    a, b = centered_sides(x, y, 3 * OUTER)
    names = check_groups(groups, len(a))
    targets, best = narrow(b), _chosen(a, b, names, seed)
    error, total = np.zeros(len(blocks)), np.zeros(len(blocks))
    for number, (train, test) in enumerate(_splits(names, OUTER, seed, "outer fold")):
        held_out, fitted = np.flatnonzero(test), np.flatnonzero(train)
        inside = [np.flatnonzero(np.isin(fitted, block)) for block in blocks]
        scaled, further = _scaled(a[train], a[test])
        predictions = predictions_without(scaled, targets[train], further, PENALTIES[best[number]], inside)
        for place, (block, left_out, predicted) in enumerate(zip(blocks, inside, predictions, strict=True)):
            stay, rest = ~np.isin(held_out, block), np.delete(fitted, left_out)
            kept = targets[held_out[stay]]
            error[place] += np.square(kept - predicted[stay]).sum()
            total[place] += np.square(kept - targets[rest].mean(axis=0)).sum()
    scores: Matrix = 1 - error / total
    return scores


def _deletions_reverse(
    x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]], **keywords: Any
) -> NDArray[np.float64] | None:
    return _deletions(y, x, blocks, **keywords)


def _residuals(path: _Path, train: Mask, test: Mask, penalty: float) -> Matrix:
    """Return the matrix [n_test, n] that maps all targets to their residuals on the test rows."""
    smoother = path.smoother(penalty)
    result = np.zeros((int(test.sum()), len(train)))
    result[:, train] = -smoother - (1 - smoother.sum(axis=1, keepdims=True)) / train.sum()
    result[:, test] = np.eye(len(result))
    return result


def _forms(x: Matrix, train: Mask, test: Mask) -> Matrix:
    """Return for each penalty the n x n quadratic form of the targets that is the squared error on `test`."""
    path = _Path.fit(x[train], x[test])
    residuals = [_residuals(path, train, test, penalty) for penalty in PENALTIES]
    return np.asarray([residual.T @ residual for residual in residuals])


def _total_form(train: Mask, test: Mask) -> Matrix:
    """Return the quadratic form of the squared distance of test targets from the train mean."""
    residual = np.zeros((int(test.sum()), len(train)))
    residual[:, train] = -1 / train.sum()
    residual[:, test] = np.eye(len(residual))
    return residual.T @ residual


def _draw(
    x: Matrix,
    y: Matrix,
    permutations: NDArray[np.intp],
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> NDArray[np.float64]:
    """Return the scores of x against y[p] for each permutation p.

    All errors are quadratic forms of y, determined by x and the folds: ⟨form, YYᵀ[p][:, p]⟩. So nothing is
    fitted again.
    """
    a, b = centered_sides(x, y, 3 * OUTER)
    names = check_groups(groups, len(a))
    kernel, folds = gram(b), derived(("ridge", names.tobytes(), seed), a, lambda: _all_forms(a, names, seed))
    error, total = np.zeros(len(permutations)), np.zeros(len(permutations))
    rows = max(1, BATCH // kernel.size)
    for start in range(0, len(permutations), rows):
        chunk = permutations[start : start + rows]
        permuted = np.asarray([kernel[p].take(p, axis=1).ravel() for p in chunk])
        for forms in folds:
            values = permuted @ forms.T
            best = np.argmin(values[:, : len(PENALTIES)], axis=1)
            error[start : start + rows] += values[np.arange(len(chunk)), len(PENALTIES) + best]
            total[start : start + rows] += values[:, -1]
    scores: Matrix = 1 - error / total
    return scores


def _all_forms(x: Matrix, names: NDArray[np.str_], seed: int) -> list[Matrix]:
    """Return for each outer fold the forms [19, n²]: inner errors, errors and total."""
    n, folds = len(x), []
    for number, (train, test) in enumerate(_splits(names, OUTER, seed, "outer fold")):
        inner = np.zeros((len(PENALTIES), n, n))
        inside = np.flatnonzero(train)
        for fit, check in _splits(names[train], INNER, seed, f"inner fold {number}"):
            inner[np.ix_(np.arange(len(PENALTIES)), inside, inside)] += _forms(x[train], fit, check)
        forms = np.concatenate([inner, _forms(x, train, test), _total_form(train, test)[None]])
        folds.append(forms.reshape(len(forms), n * n))
    return folds


def _draw_reverse(
    x: Matrix,
    y: Matrix,
    permutations: NDArray[np.intp],
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> NDArray[np.float64]:
    # Predicting y[p] from x is predicting y from x[p⁻¹]: folds stay with the predictor's rows, which only
    return _draw(y, x, np.argsort(permutations, axis=1), groups=groups, seed=seed)


@METRICS.register(
    "ridge_r2",
    family="regression",
    pairing=True,
    bounds=(-np.inf, 1),
    invariant_to=INVARIANCES,
    min_n=15,
    needs=("groups", "seed"),
    null=NullModel(draw=_draw, draws=199, max_groups=500),
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
    best = _chosen(a, b, names, seed)
    b = narrow(b)
    error = total = 0.0
    for number, (train, test) in enumerate(_splits(names, OUTER, seed, "outer fold")):
        error += _error((a[train], b[train]), (a[test], b[test]), best[number])
        total += float(np.square(b[test] - b[train].mean(axis=0)).sum())
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
