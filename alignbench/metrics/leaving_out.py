"""A ridge regression with one penalty, and its predictions without each block of the train rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


MOST_WIDE = 1.25  # rows a column: up to here, products of rows take less time than those of columns
LEAST_PENALTY = 1e-5  # of the squared norm: with more rows than columns, XXᵀ with less has lost digits


@dataclass(frozen=True, slots=True)
class RidgeFit:
    r"""The fit of one penalty λ of $\|Y - XW\|^2 + \lambda\|W\|^2$; the intercept is not penalised.

    If it is wide, it is of the n x n form, $M = XX^\top + 11^\top + \lambda I$. The matrix of ones moves the
    constant direction, which a centred kernel lacks, away from λ alone. Else it is of the p x p form,
    $M = X^\top X + \lambda I$.

    Args:
        penalty: λ.
        wide: whether M is n x n.
        factor: the upper Cholesky factor R of M.
        mapped: $M^{-1}XT^\top$ for test rows T [n, n_test], or the weights $W = M^{-1}X^\top Y$ [p, q].
        predicted: the predictions for the test rows, minus the means of the train targets [n_test, q].
    """

    penalty: float
    wide: bool
    factor: Matrix
    mapped: Matrix
    predicted: Matrix

    @classmethod
    def of(
        cls,
        train: Matrix,
        targets: Matrix,
        test: Matrix,
        penalty: float,
        products: tuple[Matrix, Matrix] | None = None,
    ) -> RidgeFit:
        """Return the fit.

        Args:
            train: predictors [n, p], whose column means are 0.
            targets: [n, q], whose column means are 0.
            test: predictors of further rows [n_test, p], minus the means of the train rows.
            penalty: λ, above 0.
            products: XᵀX and XᵀY, if they are known; the first one is overwritten.
        """
        from scipy.linalg import cho_factor, cho_solve

        rows_a_column = len(train) / train.shape[1]
        wide = rows_a_column <= 1 or (
            rows_a_column <= MOST_WIDE and penalty >= LEAST_PENALTY * float(np.vdot(train, train))
        )
        if wide:
            matrix, cross = train @ train.T + 1.0, train @ test.T
        else:
            matrix, cross = products or (train.T @ train, train.T @ targets)
        matrix[np.diag_indices(len(matrix))] += penalty
        factor = cho_factor(matrix.T, overwrite_a=True, check_finite=False)
        mapped = cho_solve(factor, cross, check_finite=False)
        return cls(penalty, wide, factor[0], mapped, mapped.T @ targets if wide else test @ mapped)


def predictions_without(
    fit: RidgeFit, train: Matrix, targets: Matrix, test: Matrix, blocks: Iterable[Indices]
) -> Iterator[Matrix]:
    r"""Yield for each block the predictions [n_test, q] of the ridge regression of the other train rows.

    With the hat matrix H of all n train rows, their residuals R, and S, which maps targets to predictions,
    the predictions without the rows B are $SY - S_{\cdot B}(I - H_{BB})^{-1}R_B$. A block of more rows than
    there are columns is subtracted from XᵀX and XᵀY instead.

    Args:
        fit: the fit of all train rows.
        train: the predictors that it was fitted to.
        targets: the targets that it was fitted to.
        test: the test rows that it predicts.
        blocks: rows of `train` to leave out.

    Source:
        Cook and Weisberg (1982), Residuals and Influence in Regression, 3.6, for least squares; the penalty
        is p further rows that no block contains.
    """
    rest = (_Wide if fit.wide else _Narrow)(fit, train, targets, test)
    for block in blocks:
        yield rest.without(block)


class _Wide:
    """A fit of M of the n x n form."""

    def __init__(self, fit: RidgeFit, train: Matrix, targets: Matrix, test: Matrix) -> None:
        n, penalty = len(train), fit.penalty
        self._left = penalty * _inverse(fit.factor) - penalty / (penalty + n) / n  # I − H
        self._residuals, self._fit = self._left @ targets, fit

    def without(self, block: Indices) -> Matrix:
        return _corrected(
            self._fit.predicted,
            self._fit.mapped[block].T + 1 / len(self._left),
            self._left[np.ix_(block, block)],
            self._residuals[block],
        )


class _Narrow:
    """A fit of M of the p x p form, whose hat matrix is ZᵀZ + 1/n with Z = R⁻ᵀXᵀ."""

    def __init__(self, fit: RidgeFit, train: Matrix, targets: Matrix, test: Matrix) -> None:
        self._fit, self._train, self._targets, self._test = fit, train, targets, test
        self._residuals, self._mapped = targets - train @ fit.mapped, self._solved(test)

    def _solved(self, rows: Matrix) -> Matrix:
        from scipy.linalg import solve_triangular

        result: Matrix = solve_triangular(self._fit.factor, rows.T, trans="T", check_finite=False)
        return result

    def without(self, block: Indices) -> Matrix:
        rows, n = self._train[block], len(self._train)
        if len(block) > rows.shape[1]:
            return self._refitted(rows, self._targets[block])
        solved = self._solved(rows)
        smoother = self._mapped.T @ solved
        smoother += 1 / n
        left = -1 / n - solved.T @ solved
        left[np.diag_indices(len(left))] += 1
        return _corrected(self._fit.predicted, smoother, left, self._residuals[block])

    @cached_property
    def _products(self) -> tuple[Matrix, Matrix]:
        return self._train.T @ self._train, self._train.T @ self._targets

    def _refitted(self, rows: Matrix, targets: Matrix) -> Matrix:
        from scipy.linalg import solve

        count = len(self._train) - len(rows)
        middle, mean = -rows.sum(axis=0) / count, -targets.sum(axis=0) / count
        gram, cross = self._products
        gram = gram - rows.T @ rows - count * np.outer(middle, middle)
        gram[np.diag_indices(len(gram))] += self._fit.penalty
        cross = cross - rows.T @ targets - count * np.outer(middle, mean)
        result: Matrix = (self._test - middle) @ solve(gram, cross, assume_a="pos", overwrite_a=True) + mean
        return result


def _corrected(predicted: Matrix, smoother: Matrix, left: Matrix, residuals: Matrix) -> Matrix:
    """Return predictions without a block, given its columns of S, its part of I − H, and its residuals."""
    from scipy.linalg import cho_factor

    # Two products with an inverse take less time than a solution for as many columns as targets have.
    inverse = _inverse(cho_factor(left, overwrite_a=True, check_finite=False)[0])
    result: Matrix = predicted - smoother @ (inverse @ residuals)
    return result


def _inverse(factor: Matrix) -> Matrix:
    """Return the inverse of the matrix whose upper Cholesky factor this is."""
    from scipy.linalg import get_lapack_funcs

    (potri,) = get_lapack_funcs(("potri",), (factor,))
    half = np.triu(potri(factor)[0])
    result: Matrix = half + np.triu(half, 1).T
    return result
