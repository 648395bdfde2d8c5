"""LogME: how probable the text side is under Bayesian linear models on the vision side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded
from alignbench.metrics.kernels import centered_sides
from alignbench.metrics.procrustes import narrow

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

FLOOR = 1e-5  # added to both sums of squares by the authors; without it, a fit without error is infinite
STEPS = 11  # the authors', who also stop when α / β changes by less than 10⁻³, where the evidence is flat
NOTHING = 1e-20  # a column whose share of the side's variance is below this is constant but for rounding
CHANCE = -(np.log(2 * np.pi) + 1) / 2  # of targets of unit variance that no feature has to do with


@dataclass(frozen=True, slots=True)
class _Features:
    """The vision side: orthonormal coordinates of its rows [n, r], and its squared singular values [r]."""

    left: Matrix
    values: Matrix

    @classmethod
    def of(cls, x: Matrix) -> _Features:
        """Return the features of a centred side, scaled so that a row has a mean square of 1 in total."""
        left, sizes, _ = np.linalg.svd(narrow(x), full_matrices=False)
        values = np.square(sizes)
        return cls(left, values * (len(x) / values.sum()))


def _targets(y: Matrix) -> Matrix:
    """Return the columns that vary [n, c], each with mean square 1."""
    squares = np.square(y).mean(axis=0)
    varies = squares > NOTHING * squares.sum()
    targets: Matrix = y[:, varies] / np.sqrt(squares[varies])
    return targets


def _evidence(features: _Features, targets: Matrix) -> float:
    """Return the mean over targets of the largest log evidence a row.

    The steps are the authors': weights have the precision α and errors β, each the value at which the
    evidence is largest if the other's share of the degrees of freedom γ is right.
    """
    n, values = len(targets), features.values
    inside = np.square(features.left.T @ targets)
    outside = np.maximum(np.square(targets).sum(axis=0) - inside.sum(axis=0), 0.0)
    ratio = np.ones(targets.shape[1])
    for _ in range(STEPS):
        shrunk = 1 / (values[:, None] + ratio)
        freedom = values @ shrunk
        shrunk *= shrunk
        shrunk *= inside
        weights, errors = values @ shrunk, np.square(ratio) * shrunk.sum(axis=0) + outside
        alpha, beta = freedom / (weights + FLOOR), (n - freedom) / (errors + FLOOR)
        ratio = alpha / beta
    fit = beta * errors + alpha * weights
    volume = np.log1p(values[:, None] / ratio).sum(axis=0)
    evidence = (n * np.log(beta / (2 * np.pi)) - volume - fit) / (2 * n)
    return float(evidence.mean())


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[_Features, Matrix]:
    a, b = centered_sides(x, y, 3)
    return _Features.of(a), _targets(b)


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    features, targets = _sides(x, y)
    return np.asarray([_evidence(features, targets[p]) for p in permutations])


@METRICS.register(
    "logme",
    family="regression",
    pairing=True,
    invariant_to=("isotropic_scale", "translation"),
    min_n=3,
    unit="nats",
    null=NullModel(draw=_draw, draws=199, max_groups=300),
    chance=lambda n, codes, settings: CHANCE,
    grows="blocks",
    default=False,
)
def logme(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the log evidence a sample of Bayesian linear models from x to each dimension of y, on average.

    $\frac1c\sum_j \frac1n \max_{\alpha,\beta} \log\int p(y_j \mid Xw, \beta^{-1})\,p(w \mid
    \alpha^{-1})\,dw$ over the c columns of y that vary, each with mean 0 and mean square 1. α and β come from
    the authors' fixed-point steps. The columns of y are the targets, so a rotation of y changes it.

    Args:
        x: vision side [n, dx], n ≥ 3, centred and divided by its total standard deviation.
        y: text side [n, dy].

    Returns:
        A value in nats a sample; −(log 2π + 1)/2 = −1.419 if no feature says anything about y.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        You, Liu, Wang, Long (2021), arXiv 2102.11005; the steps of You et al. (2022), arXiv 2110.10545.
    """
    return bounded(_evidence(*_sides(x, y)), (-np.inf, np.inf), "logme")
