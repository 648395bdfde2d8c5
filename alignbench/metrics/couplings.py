"""Couplings of two sets of equally many, equally heavy points, and the distortion of distances under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Order = NDArray[np.intp]

STEPS = 10_000
SETTLED = 1e-9  # the change of the distortion, absolute or as a share, at which the solver stops


def distortion(a: Matrix, b: Matrix, order: Order) -> float:
    """Return the mean of (a_ik − b_jl)² if row i is coupled with row j = `order`[i]."""
    return float(np.square(a - b[np.ix_(order, order)]).mean())


def conditional_gradient(a: Matrix, b: Matrix, start: Order | None = None) -> float:
    r"""Return the local minimum of $\sum (a_{ik} - b_{jl})^2\,\pi_{ij}\pi_{kl}$ to which a start leads.

    Steps and stops are those of POT's `gromov_wasserstein` with square loss. As all weights are equal, the
    linear problem of a step is an assignment, which SciPy solves exactly.

    Args:
        a: symmetric distances [n, n].
        b: symmetric distances [n, n].
        start: the row of b that each row of a is coupled with; by default, all with all (the product).

    Source:
        Peyré, Cuturi, Solomon (2016), ICML, for the gradient; Vayer, Chapel, Flamary, Tavenard, Courty
        (2019), arXiv 1805.09114, algorithm 2, for the line search.
    """
    from scipy.optimize import linear_sum_assignment

    n = len(a)
    constant = float(np.square(a).mean() + np.square(b).mean())
    if start is None:
        coupling = np.full((n, n), 1 / n**2)
        product = np.outer(a.mean(axis=1), b.mean(axis=1))
    else:
        coupling = np.zeros((n, n))
        coupling[np.arange(n), start] = 1 / n
        product = a @ b[start] / n
    overlap = float(np.vdot(product, coupling))  # ⟨A π B, π⟩: the distortion is constant − 2 · overlap
    for _ in range(STEPS):
        rows, columns = linear_sum_assignment(product, maximize=True)
        other = a @ b[columns] / n  # A π' B of the assignment π'
        crossed = float(product[rows, columns].mean())
        curvature = -2 * (float(other[rows, columns].mean()) - 2 * crossed + overlap)
        slope = -4 * (crossed - overlap)
        step = _best_step(curvature, slope)
        coupling *= 1 - step
        coupling[rows, columns] += step / n
        product = (1 - step) * product + step * other
        before, overlap = overlap, float(np.vdot(product, coupling))
        change, value = 2 * abs(before - overlap), constant - 2 * overlap
        if change < SETTLED or change < SETTLED * abs(value):
            break
    return constant - 2 * overlap


def _best_step(curvature: float, slope: float) -> float:
    """Return the step from 0 to 1 at which curvature · step² + slope · step is smallest."""
    if curvature > 0:
        return min(1.0, max(0.0, -slope / (2 * curvature)))
    return 1.0 if curvature + slope < 0 else 0.0
