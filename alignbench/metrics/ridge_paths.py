"""Ridge predictions for all penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import LEAST_LEFT
from alignbench.metrics.derived import derived
from alignbench.metrics.sums import gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.ridge_folds import Fold

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

PENALTIES = 10.0 ** np.arange(-4, 5)
NOTHING = 1e-20  # below this, a variance is rounding, for sides whose largest deviation is about 1
SHARED_UP_TO = 2000  # rows: up to here, decompositions are kept for the null and for other targets


def scaled(train: Matrix, test: Matrix) -> tuple[Matrix, Matrix]:
    """Return both minus the mean of the train rows, divided by the root of their total variance."""
    mean = train.mean(axis=0)
    a, b = train - mean, test - mean
    variance = float(np.square(a).sum()) / (len(a) - 1)
    # A train fold without variance predicts its mean; rounding must not be scaled up to a predictor.
    scale = 0.0 if variance <= NOTHING else 1 / np.sqrt(variance)
    a *= scale
    b *= scale
    return a, b


def centred_products(kernel: Matrix, cross: Matrix) -> tuple[Matrix, Matrix] | None:
    """Return products of the train rows [n, n], and of the test rows with them [n_test, n], of scaled rows.

    The result is None if the train rows vary too little for their products to have digits of it.
    """
    means, others = kernel.mean(axis=0), cross.mean(axis=1)
    middle = means.mean()
    centred = kernel - means - (means - middle)[:, None]
    variance = float(np.trace(centred)) / (len(kernel) - 1)
    if variance <= LEAST_LEFT * np.trace(kernel) / len(kernel):
        return None
    return centred / variance, (cross - means - (others - middle)[:, None]) / variance


@dataclass(frozen=True, slots=True)
class Path:
    """Ridge predictions for all penalties λ: left · diag(1/(values + λ)) · right · (Y_train − mean)."""

    left: Matrix
    values: Matrix
    right: Matrix

    @classmethod
    def fit(cls, train: Matrix, test: Matrix) -> Path:
        """Return the path from one eigendecomposition, of the smaller of the n x n and the d x d form."""
        a, b = scaled(train, test)
        if len(a) <= a.shape[1]:
            values, vectors = np.linalg.eigh(a @ a.T)
            return cls(b @ a.T @ vectors, np.maximum(values, 0.0), vectors.T)
        values, vectors = np.linalg.eigh(a.T @ a)
        return cls(b @ vectors, np.maximum(values, 0.0), vectors.T @ a.T)

    @classmethod
    def of_kernel(cls, kernel: Matrix, cross: Matrix) -> Path | None:
        """Return the path from products of the rows, see `centred_products`; None if these lose digits."""
        products = centred_products(kernel, cross)
        if products is None:
            return None
        values, vectors = np.linalg.eigh(products[0])
        return cls(products[1] @ vectors, np.maximum(values, 0.0), vectors.T)

    def smoother(self, penalty: float) -> Matrix:
        """Return the matrix [n_test, n_train] that maps centred train targets to predictions."""
        return (self.left / (self.values + penalty)) @ self.right

    def errors(self, train: Matrix, test: Matrix, *, many: bool = False) -> Matrix:
        r"""Return the squared error on `test` targets for each penalty.

        If the rows are many it is, for the diagonal D of each penalty, left L, targets T and the coordinates
        W of the train targets, $\|T\|^2 - 2\,d^\top \mathrm{diag}(L^\top T W^\top) + d^\top(L^\top L
        \circ W W^\top)d$, whose products are the same for all penalties.
        """
        mean = train.mean(axis=0)
        targets, weights = test - mean, self.right @ (train - mean)
        if many:
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


def inner_paths(x: Matrix, names: NDArray[np.str_], seed: int, fold: Fold) -> list[Path]:
    """Return the paths of the inner folds of an outer fold."""
    if len(x) <= FEW:
        inside = x[fold.train]
        return [Path.fit(inside[fit], inside[check]) for fit, check in fold.inner]

    def compute() -> list[Path]:
        rows = np.flatnonzero(fold.train)
        return [path_of_many(x, rows[fit], rows[check]) for fit, check in fold.inner]

    if len(x) > SHARED_UP_TO:
        return compute()
    return derived(("ridge paths", fold.number, names.tobytes(), seed), x, compute)


def path_of_many(x: Matrix, train: Indices, test: Indices) -> Path:
    """Return the path of many rows, where they are wide, from the products of all rows."""
    path = None
    if len(train) <= x.shape[1]:
        kernel = gram(x)
        path = Path.of_kernel(kernel[np.ix_(train, train)], kernel[np.ix_(test, train)])
    return path or Path.fit(x[train], x[test])
