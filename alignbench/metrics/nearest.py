"""Nearest neighbours as weights; ties that only rounding would break are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError, TooFewSamplesError
from alignbench.metrics.checks import centered_beside
from alignbench.metrics.distances import Points, rounding_of, squared_distances, unit_rounding
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

BLOCK = 64  # rows whose neighbours are found at once, so that no further [n, n] matrix is needed
RIGHT_ANGLE = 2.0  # the squared distance of two directions at right angles


def default_k(n: int) -> int:
    """Return the number of neighbours for n rows: min(10, (n−1)//3), at least 1."""
    return max(1, min(10, (n - 1) // 3))


def check_k(k: int | None, n: int, least: int = 1) -> int:
    """Return `k`, or the default for n rows, at least `least`.

    Raises:
        InputError: a given k is not within `least` … n−2 (with n−1, everyone is everyone's neighbour).
        TooFewSamplesError: no k was given, and n rows are too few to choose neighbours.
    """
    if n - 2 < least:
        raise TooFewSamplesError(
            f"x and y: expected at least {least + 2} rows to choose {least} neighbours of, got {n}; "
            "use more samples"
        )
    if k is None:
        return max(least, default_k(n))
    if not least <= int(k) <= n - 2:
        raise InputError(f"k: expected {least} <= k <= n - 2 = {n - 2} neighbours, got {int(k)}")
    return int(k)


def directions(centered: Matrix, given: Matrix, center: Matrix | None = None) -> Points:
    """Return the rows of `centered` minus `center`, scaled to unit length; a row at the center becomes 0.

    Args:
        centered: [n, d].
        given: [n, d], the same rows before centring, which rounded them.
        center: [d]; by default, the origin.
    """
    moved = centered if center is None else centered - center
    size = np.sqrt(lengths(given))
    rounding = unit_rounding(centered.shape[1])
    noise = rounding * (size + size.mean())  # of the row, and of the mean that was subtracted from it
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    nowhere = length[:, 0] <= noise  # what is left of it is rounding alone
    unit = np.where(nowhere[:, None], 0.0, moved / np.where(nowhere[:, None], 1.0, length))
    return Points(unit, unit, np.where(nowhere, 0.0, noise / np.where(nowhere, 1.0, length[:, 0]) + rounding))


def angular_distances(a: Points, b: Points | None = None) -> tuple[Matrix, Matrix]:
    """Return 2 − 2·cosine of all directions of `a` and `b` (`a` itself by default), and its rounding error.

    As a squared distance of directions, it distinguishes cosines that are 1 up to rounding. A row without
    direction has cosine 0 with everything.
    """
    squared = squared_distances(a, b)
    error = rounding_of(squared, a, b)
    nowhere = np.logical_or.outer(
        *(np.square(p.centered).sum(axis=1) == 0 for p in (a, a if b is None else b))
    )
    squared[nowhere], error[nowhere] = RIGHT_ANGLE, 0.0
    return squared, error


def nearest_weights(distances: Matrix, errors: Matrix, k: int) -> Matrix:
    """Return to what degree each column is among the k nearest of its row, [m, n]; rows sum to k.

    Columns tied at the border share the remaining places, which is the average over random tie-breaking.

    Args:
        distances: [m, n], smaller is nearer; infinite for columns that are not candidates.
        errors: the largest rounding error of each distance [m, n].
        k: the number of neighbours, less than that of candidates.
    """
    weights: Matrix = np.empty_like(distances)
    for start in range(0, len(distances), BLOCK):
        rows = slice(start, start + BLOCK)
        weights[rows] = _nearest(distances[rows], errors[rows], k)
    return weights


def _nearest(distances: Matrix, errors: Matrix, k: int) -> Matrix:
    last = np.argpartition(distances, k - 1, axis=1)[:, k - 1, None]
    border, error = (np.take_along_axis(of, last, axis=1) for of in (distances, errors))
    beyond, reach = distances - border, errors + error
    nearer = beyond < -reach
    tied = (beyond <= reach) & ~nearer
    left = k - nearer.sum(axis=1, keepdims=True)
    weights: Matrix = nearer + tied * (left / tied.sum(axis=1, keepdims=True))
    return weights


def neighbor_weights(x: Matrix, k: int, name: str = "x") -> Matrix:
    """Return the k cosine neighbours of each row of `x` after centring as weights [n, n], itself excluded.

    Raises:
        DegenerateError: all rows are equal (up to rounding).
    """
    distances, errors = angular_distances(directions(*centered_beside(x, name)))
    np.fill_diagonal(distances, np.inf)
    return nearest_weights(distances, errors, k)
