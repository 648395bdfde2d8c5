"""Canonical correlations that are fitted to some groups and scored on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import DegenerateError, TooFewSamplesError
from alignbench.metrics.base import NullModel
from alignbench.metrics.cca import canonical, equal_weights, projected_weights, rows_settings
from alignbench.metrics.checks import bounded, check_groups
from alignbench.metrics.directions import ROWS, Directions, most_directions
from alignbench.metrics.kernels import centered_sides
from alignbench.metrics.procrustes import narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Weights = Callable[[Directions, Matrix], Matrix]

FOLDS = 5
NOTHING = 1e-9  # below this, a correlation is rounding


@dataclass(frozen=True, slots=True)
class _Fold:
    """The rows that are fitted, how many directions they have at most, and x's coordinates of the others."""

    train: NDArray[np.bool_]
    most: int
    x: Directions
    held: Matrix


def _folds(x: Matrix, names: NDArray[np.str_], rows: int, seed: int) -> list[_Fold]:
    from alignbench.stats.splits import assign

    fold, result = assign(names, FOLDS, seed, "outer fold"), []
    for number in range(FOLDS):
        train = fold != number
        most = most_directions(int(train.sum()), rows)
        side = Directions.of(x[train], most, "x")
        result.append(_Fold(train, most, side, side.coordinates(x[~train])))
    return result


def _held_out_sides(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike | None, rows: int, seed: int
) -> tuple[list[_Fold], Matrix]:
    """Return the folds with x's directions, and y.

    Raises:
        TooFewSamplesError: fewer than 15 groups.
    """
    a, b = centered_sides(x, y, 3 * FOLDS)
    names = check_groups(groups, len(a))
    if (count := count_of(names)) < 3 * FOLDS:
        raise TooFewSamplesError(f"CCA: expected at least {3 * FOLDS} groups for {FOLDS} folds, got {count}")
    return _folds(narrow(a), names, rows, seed), narrow(b)


def _held_out(folds: Sequence[_Fold], y: Matrix, weights_of: Weights) -> float:
    """Return the correlation of the variates on the held-out rows, pooled over folds and variates."""
    products = squares_x = squares_y = 0.0
    for fold in folds:
        side = Directions.of(y[fold.train], fold.most, "y")
        left, correlations, right = np.linalg.svd(fold.x.left.T @ side.left, full_matrices=False)
        weights = weights_of(fold.x, left)
        u, v = fold.held @ left, side.coordinates(y[~fold.train]) @ right.T
        # The sign of a pair of variates is known only if they correlate in the rows that they are fitted to.
        products += float((weights * (correlations > NOTHING)) @ (u * v).sum(axis=0))
        squares_x += float(weights @ np.square(u).sum(axis=0))
        squares_y += float(weights @ np.square(v).sum(axis=0))
    if min(squares_x, squares_y) <= 0:
        raise DegenerateError("CCA: the held-out rows have no variance along the canonical directions")
    return bounded(products / float(np.sqrt(squares_x * squares_y)), (-1, 1), "held-out CCA")


def _drawn_held_out(weights_of: Weights) -> Callable[..., NDArray[np.float64]]:
    def draw(
        x: Matrix,
        y: Matrix,
        permutations: NDArray[np.intp],
        *,
        groups: ArrayLike | None = None,
        seed: int = 42,
        rows: int = ROWS,
    ) -> NDArray[np.float64]:
        folds, b = _held_out_sides(x, y, groups, rows, seed)
        return np.asarray([_held_out(folds, b[p], weights_of) for p in permutations])

    return draw


@canonical(
    "svcca_heldout",
    bounds=(-1, 1),
    symmetric=True,
    min_n=3 * FOLDS,
    needs=("groups", "seed"),
    settings=rows_settings,
    null=NullModel(draw=_drawn_held_out(equal_weights), draws=199, max_groups=300),
)
def svcca_heldout(
    x: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
    rows: int = ROWS,
) -> float:
    r"""Return how far the canonical variates of SVCCA still correlate on held-out groups.

    $\frac{\sum u_{ij}v_{ij}}{\sqrt{\sum u_{ij}^2\,\sum v_{ij}^2}}$ over 5 folds, their held-out rows i and
    the variates j. Mean, principal directions and canonical directions come from the other four folds.

    Args:
        x: vision side [n, dx], n ≥ 15.
        y: text side [n, dy].
        groups: the unit of the folds; by default, each row.
        seed: the seed of the folds.
        rows: the fitted rows for each direction of a side.

    Returns:
        A value in [−1, 1]: about 0 for independent sides, whatever their dimensions; 1 for equal ones.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance in some folds, or there are fewer than 15 groups.

    Source:
        `svcca`; the folds are those of `ridge_r2`.
    """
    folds, b = _held_out_sides(x, y, groups, rows, seed)
    return _held_out(folds, b, equal_weights)


@canonical(
    "pwcca_heldout",
    bounds=(-1, 1),
    min_n=3 * FOLDS,
    needs=("groups", "seed"),
    settings=rows_settings,
    null=NullModel(draw=_drawn_held_out(projected_weights), draws=199, max_groups=300),
)
def pwcca_heldout(
    x: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int = 42,
    rows: int = ROWS,
) -> float:
    """Return `svcca_heldout` with the weights of `pwcca`, which are fitted with the variates.

    Args, Returns, Raises: as `svcca_heldout`.

    Source:
        `pwcca`; the folds are those of `ridge_r2`.
    """
    folds, b = _held_out_sides(x, y, groups, rows, seed)
    return _held_out(folds, b, projected_weights)
