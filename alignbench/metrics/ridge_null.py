"""Ridge scores of re-paired data: errors are quadratic forms of the targets, so nothing is fitted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import check_groups
from alignbench.metrics.derived import derived
from alignbench.metrics.kernels import centered_sides
from alignbench.metrics.nulls import permuted_half, upper_half
from alignbench.metrics.ridge_folds import OUTER, folds_of
from alignbench.metrics.ridge_paths import PENALTIES, Path, inner_paths, path_of_many
from alignbench.metrics.sums import gram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.intp]

BATCH = 8_000_000  # entries of permuted kernels in memory at once


def ridge_draw(
    x: Matrix,
    y: Matrix,
    permutations: Indices,
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> Matrix:
    """Return the scores of x against y[p] for each permutation p.

    All errors are quadratic forms of y, determined by x and the folds: ⟨form, YYᵀ[p][:, p]⟩.
    """
    a, b = centered_sides(x, y, 3 * OUTER)
    names = check_groups(groups, len(a))
    errors = _errors if len(a) <= FEW else _errors_of_many
    error, total = errors(a, gram(b), names, seed, permutations)
    scores: Matrix = 1 - error / total
    return scores


def _errors(
    a: Matrix, kernel: Matrix, names: NDArray[np.str_], seed: int, permutations: Indices
) -> tuple[Matrix, Matrix]:
    """Return the squared errors, and those of the train means, for each permutation."""
    folds = derived(("ridge", names.tobytes(), seed), a, lambda: list(_all_forms(a, names, seed)))
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
    return error, total


def _all_forms(x: Matrix, names: NDArray[np.str_], seed: int) -> Iterator[Matrix]:
    """Yield for each outer fold the forms [19, n²]: inner errors, errors and total."""
    n = len(x)
    for fold in folds_of(x, names, seed):
        inner = np.zeros((len(PENALTIES), n, n))
        inside = np.flatnonzero(fold.train)
        for path, (fit, check) in zip(inner_paths(x, names, seed, fold), fold.inner, strict=True):
            inner[np.ix_(np.arange(len(PENALTIES)), inside, inside)] += _forms(path, fit, check)
        path = Path.fit(x[fold.train], x[fold.test])
        residual = _from_mean(fold.train, fold.test)
        outer = _forms(path, fold.train, fold.test)
        forms = np.concatenate([inner, outer, (residual.T @ residual)[None]])
        yield forms.reshape(len(forms), n * n)


def _forms(path: Path, train: Mask, test: Mask) -> Matrix:
    """Return for each penalty the n x n quadratic form of the targets that is the squared error on `test`."""
    residuals = [_residuals(path, train, test, penalty) for penalty in PENALTIES]
    return np.asarray([residual.T @ residual for residual in residuals])


def _residuals(path: Path, train: Mask, test: Mask, penalty: float) -> Matrix:
    """Return the matrix [n_test, n] that maps all targets to their residuals on the test rows."""
    smoother = path.smoother(penalty)
    result = np.zeros((int(test.sum()), len(train)))
    result[:, train] = -smoother - (1 - smoother.sum(axis=1, keepdims=True)) / train.sum()
    result[:, test] = np.eye(len(result))
    return result


def _from_mean(train: Mask, test: Mask) -> Matrix:
    """Return the matrix [n_test, n] that maps targets to the test targets minus the train mean."""
    residual = np.zeros((int(test.sum()), len(train)))
    residual[:, train] = -1 / train.sum()
    residual[:, test] = np.eye(len(residual))
    return residual


def _errors_of_many(
    a: Matrix, kernel: Matrix, names: NDArray[np.str_], seed: int, permutations: Indices
) -> tuple[Matrix, Matrix]:
    """Return what `_errors` returns, from half of each form; of the outer errors, only the chosen ones.

    That is a quarter of the products, and of the memory that they read.
    """
    key = names.tobytes(), seed
    inner = derived(("ridge forms", *key), a, lambda: _inner_forms(a, names, seed))

    def form(number: int, best: int) -> Matrix:
        def compute() -> Matrix:
            fold = folds_of(a, names, seed)[number]
            rows = np.flatnonzero(fold.train), np.flatnonzero(fold.test)
            path = derived(("ridge path", number, *key), a, lambda: path_of_many(a, *rows))
            return _form(_residuals(path, fold.train, fold.test, PENALTIES[best]))

        return derived(("ridge form", number, best, *key), a, compute)

    error, total = np.zeros(len(permutations)), np.zeros(len(permutations))
    rows = max(1, BATCH // inner.shape[1])
    for start in range(0, len(permutations), rows):
        permuted = _permuted(kernel, permutations[start : start + rows], inner.shape[1])
        values = (permuted @ inner.T).reshape(len(permuted), OUTER, -1)
        total[start : start + rows] = values[:, :, -1].sum(axis=1)
        best = np.argmin(values[:, :, :-1], axis=2)
        kinds, kind = np.unique(best + len(PENALTIES) * np.arange(OUTER), return_inverse=True)
        outer = permuted @ np.asarray([form(*divmod(one, len(PENALTIES))) for one in kinds.tolist()]).T
        error[start : start + rows] = np.take_along_axis(outer, kind.reshape(best.shape), axis=1).sum(axis=1)
    return error, total


def _inner_forms(x: Matrix, names: NDArray[np.str_], seed: int) -> Matrix:
    """Return the forms of the inner errors and of the total of each outer fold, as rows of `_form`."""
    result = []
    for fold in folds_of(x, names, seed):
        inside = np.flatnonzero(fold.train)
        paths = inner_paths(x, names, seed, fold)
        residuals = np.zeros((len(inside), len(x)))
        for penalty in PENALTIES:
            for path, (fit, check) in zip(paths, fold.inner, strict=True):
                residuals[np.ix_(check, inside)] = _residuals(path, fit, check, penalty)
            result.append(_form(residuals))
        result.append(_form(_from_mean(fold.train, fold.test)))
    return np.asarray(result)


def _form(residuals: Matrix) -> Matrix:
    """Return the form of residuals R, RᵀR, as a vector whose product with a `_permuted` K is ⟨RᵀR, K⟩."""
    return np.concatenate([block.ravel() for block in upper_half(residuals.T @ residuals)])


def _permuted(kernel: Matrix, permutations: Indices, size: int) -> Matrix:
    """Return half of K[p][:, p] for each permutation p, as vectors [draws, size]."""
    result = np.empty((len(permutations), size))
    for row, p in zip(result, permutations, strict=True):
        np.concatenate([block.ravel() for block in permuted_half(kernel, p)], out=row)
    return result
