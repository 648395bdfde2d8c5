"""Ridge predictions without each block of the train rows, from one fit of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


def predictions_without(
    train: Matrix, targets: Matrix, test: Matrix, penalty: float, blocks: Iterable[Indices]
) -> Iterator[Matrix]:
    r"""Yield for each block the predictions [n_test, q] of the ridge regression of the other train rows.

    With the hat matrix H of all n train rows, their residuals R, and S, which maps targets to predictions,
    the predictions without the rows B are $SY - S_{\cdot B}(I - H_{BB})^{-1}R_B$. A block of more rows than
    there are columns is subtracted from XᵀX and XᵀY instead.

    Args:
        train: predictors [n, p], whose column means are 0.
        targets: [n, q].
        test: predictors of further rows [n_test, p], minus the means of the train rows.
        penalty: λ of $\|Y - XW\|^2 + \lambda\|W\|^2$, above 0; the intercept is not penalised.
        blocks: rows of `train` to leave out.

    Source:
        Cook and Weisberg (1982), Residuals and Influence in Regression, 3.6, for least squares; the penalty
        is p further rows that no block contains.
    """
    mean = targets.mean(axis=0)
    fit = (_Narrow if len(train) > train.shape[1] else _Wide)(train, targets - mean, test, penalty)
    for block in blocks:
        yield mean + fit.without(block)


class _Wide:
    """A fit of no more rows than columns, by the n x n form."""

    def __init__(self, train: Matrix, centered: Matrix, test: Matrix, penalty: float) -> None:
        from scipy.linalg import cho_factor, cho_solve

        n = len(train)
        # The matrix of ones moves the constant direction, which a centred kernel lacks, away from λ alone.
        kernel = train @ train.T + 1.0
        kernel[np.diag_indices(n)] += penalty
        inverse = cho_solve(cho_factor(kernel, overwrite_a=True), np.eye(n), overwrite_b=True)
        self._left = penalty * inverse - penalty / (penalty + n) / n  # I − H
        self._residuals = self._left @ centered
        self._smoother = test @ train.T @ inverse + 1 / n
        self._predicted = self._smoother @ centered

    def without(self, block: Indices) -> Matrix:
        return _corrected(
            self._predicted,
            self._smoother[:, block],
            self._left[np.ix_(block, block)],
            self._residuals[block],
        )


class _Narrow:
    """A fit of more rows than columns, by the p x p form."""

    def __init__(self, train: Matrix, centered: Matrix, test: Matrix, penalty: float) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self._train, self._centered, self._test = train, centered, test
        self._penalty = penalty * np.eye(train.shape[1])
        self._gram, self._cross = train.T @ train, train.T @ centered
        factor = cho_factor(self._gram + self._penalty, overwrite_a=True)
        self._inverse = cho_solve(factor, np.eye(train.shape[1]), overwrite_b=True)
        weights = cho_solve(factor, self._cross)
        self._residuals, self._predicted = centered - train @ weights, test @ weights
        self._mapped = test @ self._inverse

    def without(self, block: Indices) -> Matrix:
        rows, n = self._train[block], len(self._train)
        if len(block) > rows.shape[1]:
            return self._refitted(rows, self._centered[block])
        left = np.eye(len(block)) - 1 / n - rows @ self._inverse @ rows.T
        return _corrected(self._predicted, self._mapped @ rows.T + 1 / n, left, self._residuals[block])

    def _refitted(self, rows: Matrix, targets: Matrix) -> Matrix:
        from scipy.linalg import solve

        count = len(self._train) - len(rows)
        middle, mean = -rows.sum(axis=0) / count, -targets.sum(axis=0) / count
        gram = self._gram - rows.T @ rows - count * np.outer(middle, middle) + self._penalty
        cross = self._cross - rows.T @ targets - count * np.outer(middle, mean)
        result: Matrix = (self._test - middle) @ solve(gram, cross, assume_a="pos", overwrite_a=True) + mean
        return result


def _corrected(predicted: Matrix, smoother: Matrix, left: Matrix, residuals: Matrix) -> Matrix:
    """Return predictions without a block, given its columns of S, its part of I − H, and its residuals."""
    from scipy.linalg import solve

    result: Matrix = predicted - smoother @ solve(left, residuals, assume_a="pos", overwrite_a=True)
    return result
