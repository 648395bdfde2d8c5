"""Errors of the inner folds of ridge in float32, with bounds of what this changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from alignbench.metrics.checks import LEAST_LEFT
from alignbench.metrics.ridge_paths import NOTHING, PENALTIES, centred_products, scaled
from alignbench.metrics.ridge_products import Products, others
from alignbench.metrics.sums import gram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alignbench.metrics.ridge_folds import Fold

    Matrix = NDArray[np.float64]
    Single = NDArray[np.float32]

ERROR = 32 * float(np.finfo(np.float32).eps)  # the share of its norm that a product may be off by


class Sums(NamedTuple):
    r"""What the errors of all penalties λ of an inner fold consist of.

    The predictions of its check rows are $L\,\mathrm{diag}(1/(v + \lambda))\,W$.

    Args:
        values: the eigenvalues v [r].
        left: LᵀL [r, r].
        weights: WWᵀ [r, r].
        cross: the diagonal of LᵀTWᵀ, for targets T of the check rows [r].
        total: ‖T‖².
        known: the norm of what W is a rotation of, for a bound.
    """

    values: Single
    left: Single
    weights: Single
    cross: Single
    total: float
    known: float

    def errors(self) -> tuple[Matrix, Matrix]:
        r"""Return the squared errors of all penalties, and how far from those in float64 they may be.

        If the decomposed matrix is off by $\epsilon v_1$ (its largest eigenvalue), L by $\epsilon\|L\|$, and
        W by ε times what is known, then to first order the predictions are off by $\delta = \epsilon(v_1
        \|LD\|\|DW\| + \|LD\|\,\mathrm{known} + \|L\|\|DW\|)$, where $D = \mathrm{diag}(1/(v + \lambda))$, and
        the error E by $2\sqrt E\delta + \delta^2$. To this, rounding of the three terms adds at most
        $\epsilon(\|T\| + \sum_i d_i\|L_i\|\|W_i\|)^2$.
        """
        shrunk = 1 / (self.values[:, None] + PENALTIES)
        both = self.left.astype(np.float64) * self.weights
        fitted = np.einsum("ip,ip->p", shrunk, both @ shrunk)
        errors = self.total - 2 * (self.cross @ shrunk) + fitted
        left, right = (np.maximum(np.diagonal(m), 0.0).astype(np.float64) for m in (self.left, self.weights))
        of_left, of_right = np.sqrt(left @ shrunk**2), np.sqrt(right @ shrunk**2)
        moved = float(self.values[-1]) * of_left * of_right + of_left * self.known
        moved = ERROR * (moved + np.sqrt(left.sum()) * of_right)
        rounding = ERROR * (np.sqrt(self.total) + np.sqrt(left * right) @ shrunk) ** 2
        return errors, 2 * np.sqrt(np.maximum(errors, 0.0)) * moved + moved**2 + rounding


@dataclass(frozen=True, slots=True)
class Wide:
    """The predictors of the inner folds of an outer fold, of no more rows than columns.

    Args:
        values: for each inner fold, the eigenvalues of the centred kernel of what is fitted [m].
        vectors: its eigenvectors [m, m].
        left: the rows of the check rows' kernel, in these [n_check, m].
    """

    values: tuple[Single, ...]
    vectors: tuple[Single, ...]
    left: tuple[Single, ...]

    @classmethod
    def of(cls, x: Matrix, fold: Fold) -> Wide | None:
        """Return what is computed of the predictors x [n, p]; None if their products lose digits."""
        kernel, rows, found = gram(x), np.flatnonzero(fold.train), []
        for fit, check in ((rows[fit], rows[check]) for fit, check in fold.inner):
            products = centred_products(kernel[np.ix_(fit, fit)], kernel[np.ix_(check, fit)])
            if products is None:
                return None
            values, vectors = _decomposed(products[0].astype(np.float32))
            found.append((values, vectors, products[1].astype(np.float32) @ vectors))
        return cls(*zip(*found, strict=True))

    def sums(self, targets: Matrix, fold: Fold) -> Iterator[Sums]:
        """Yield the sums of each inner fold, given the targets of the outer fold's train rows."""
        single = targets.astype(np.float32)
        parts = zip(self.values, self.vectors, self.left, fold.inner, strict=True)
        for values, vectors, left, (fit, check) in parts:
            fitted, rest = single[fit], single[check]
            mean = fitted.mean(axis=0)
            fitted -= mean
            rest -= mean
            weights = vectors.T @ fitted
            cross = np.einsum("ij,ij->i", left.T @ rest, weights)
            known = float(np.linalg.norm(fitted))
            yield Sums(values, left.T @ left, weights @ weights.T, cross, _squared(rest), known)


@dataclass(frozen=True, slots=True)
class Narrow:
    """The predictors of the inner folds of an outer fold, of more rows than columns.

    Args:
        rows: the train rows of the outer fold, centred and scaled [n, p].
        values: for each inner fold, the eigenvalues of XᵀX of what is fitted [p].
        vectors: its eigenvectors V [p, p].
        left: VᵀCᵀCV of the check rows C [p, p].
        middles: the mean of what is fitted [p].
        scales: the root of its total variance.
    """

    rows: Single
    values: tuple[Single, ...]
    vectors: tuple[Single, ...]
    left: tuple[Single, ...]
    middles: tuple[Single, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, x: Matrix, fold: Fold) -> Narrow | None:
        """Return what is computed of the predictors x [n, p]; None if their products lose digits.

        XᵀX of what is fitted is the sum of those of the other two inner folds.
        """
        rows = scaled(x[fold.train], x[:0])[0].astype(np.float32)
        found = []
        parts = [Products.of(rows[check], rows[check]) for _, check in fold.inner]
        for number, part in enumerate(parts):
            fitted = others(parts, number)
            middle = fitted.left_mean
            centred = fitted.around(middle, middle)
            variance = float(np.trace(centred)) / (fitted.count - 1)
            if variance <= max(LEAST_LEFT * float(np.trace(fitted.cross)) / fitted.count, NOTHING):
                return None
            values, vectors = _decomposed(np.divide(centred, variance, dtype=np.float32))
            left = vectors.T @ np.divide(part.around(middle, middle), variance, dtype=np.float32) @ vectors
            found.append((values, vectors, left, middle, float(np.sqrt(variance))))
        return cls(rows, *zip(*found, strict=True))

    def sums(self, targets: Matrix, fold: Fold) -> Iterator[Sums]:
        """Yield the sums of each inner fold, given the targets of the outer fold's train rows."""
        single = targets.astype(np.float32)
        parts = [Products.of(self.rows[check], single[check]) for _, check in fold.inner]
        for number, (part, (fit, check)) in enumerate(zip(parts, fold.inner, strict=True)):
            fitted, vectors, middle = others(parts, number), self.vectors[number], self.middles[number]
            mean = fitted.right_mean
            weights, rest = (
                vectors.T @ np.divide(rows.around(middle, mean), self.scales[number], dtype=np.float32)
                for rows in (fitted, part)
            )
            total, known = _squared(single[check] - mean), np.sqrt(_squared(single[fit] - mean))
            yield Sums(
                self.values[number],
                self.left[number],
                weights @ weights.T,
                np.einsum("ij,ij->i", rest, weights),
                total,
                known * float(np.sqrt(self.values[number][-1])),
            )


def _squared(rows: Single) -> float:
    return float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))


def _decomposed(matrix: Single) -> tuple[Single, Single]:
    """Return eigenvalues, none of them negative, and eigenvectors."""
    from scipy.linalg import eigh  # numpy takes no less time than for float64

    values, vectors = eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
    return np.maximum(values, 0.0), vectors
