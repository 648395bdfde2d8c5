"""Gromov-Wasserstein distances: how far the angles within one side can be matched with those of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, check_groups, check_pair
from alignbench.metrics.couplings import conditional_gradient, distortion
from alignbench.metrics.distances import Points, squared_distances
from alignbench.metrics.nulls import matched_products
from alignbench.metrics.permuted import ProductMoments, kernel_product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

MOST = 1000  # pairs that are coupled; the paper's number
STARTS = 4  # random couplings from which the solver starts, besides the product coupling
DIGITS = 10  # of an angle; the others depend on how a side is turned, and would break ties


def angles(x: Matrix, name: str) -> Matrix:
    """Return the angles between all rows of `x` [n, d] in radians [n, n], accurate near 0 and near π.

    Raises:
        InputError: a value is not finite.
        DegenerateError: a row has no direction.
    """
    unit = x / _largest(x, name)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    points = Points.of(np.concatenate([unit, -unit]), name)
    rows, opposite = points.take(slice(len(x))), points.take(slice(len(x), None))
    result = 2 * np.arctan2(np.sqrt(squared_distances(rows)), np.sqrt(squared_distances(rows, opposite)))
    return np.round(np.asarray(result), DIGITS)


def _largest(x: Matrix, name: str) -> Matrix:
    """Return the largest absolute value of each row [n, 1].

    Raises:
        DegenerateError: a row is all zeros.
    """
    largest: Matrix = np.abs(x).max(axis=1, keepdims=True)
    if not largest.all():
        row = int(np.argmin(largest))
        raise DegenerateError(f"{name}: row {row} is all zeros, so it has no direction (and no variance)")
    return largest


def _median(matrix: Matrix, name: str) -> float:
    """Return the median angle of two different rows."""
    middle = float(np.median(matrix[np.triu_indices(len(matrix), 1)]))
    if middle == 0:
        raise DegenerateError(f"{name}: zero variance: most rows have the same direction")
    return middle


def matched_angles(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """Return the angles within each side, x's scaled to the median of y's.

    Raises:
        DegenerateError: a row has no direction, or most rows of a side have the same one.
    """
    a, b = angles(x, "x"), angles(y, "y")
    return a * (_median(b, "y") / _median(a, "x")), b


def _chosen(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike | None, seed: int
) -> tuple[Matrix, Matrix, NDArray[np.intp]]:
    """Return the angles of at most 1,000 groups, and the row of y that each row of x is paired with.

    The order of the rows decides nothing but ties. Each side has one of its own, so that ties don't know
    about the pairing, and it depends on the groups' names alone.
    """
    from alignbench.stats.splits import rng_for, some_groups

    a, b = check_pair(x, y, 4)
    for side, name in ((a, "x"), (b, "y")):
        _largest(side, name)  # a message names the row as it was given
    names = check_groups(groups, len(a))
    rows = np.flatnonzero(some_groups(names, MOST, seed, "transport"))
    rows = rows[np.argsort(names[rows], kind="stable")]
    order = rng_for(seed, "transport", "order of y").permutation(len(rows))
    return *matched_angles(a[rows], b[rows[order]]), np.argsort(order)


def _root(value: float) -> float:
    return float(np.sqrt(max(value, 0.0)))


def gw_parts(
    x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42
) -> dict[str, float]:
    """Return what the solver finds from several starts, beside the distortion at the true pairs.

    Args, Raises: as `gw_distance`.

    Returns:
        `best` and `worst` over the product coupling and four random ones, `true_pairs` (the root of
        `gw_identity`), and the number of `pairs` and of all (`of`). None of the starts knows the pairs.
    """
    from alignbench.stats.splits import rng_for

    a, b, partner = _chosen(x, y, groups, seed)
    rng = rng_for(seed, "transport", "starts")
    found = [conditional_gradient(a, b)]
    found += [conditional_gradient(a, b, rng.permutation(len(a))) for _ in range(STARTS)]
    return {
        "best": _root(min(found)),
        "worst": _root(max(found)),
        "true_pairs": _root(distortion(a, b, partner)),
        "pairs": len(a),
        "of": len(np.asarray(x)),
    }


def _flags(value: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    return ("subsampled",) if parts["pairs"] < parts["of"] else ()


@METRICS.register(
    "gw_distance",
    family="transport",
    bounds=(0, np.inf),
    invariant_to=("rotation", "isotropic_scale"),
    higher_is_better=False,
    min_n=4,
    unit="rad",
    needs=("groups", "seed"),
    parts=gw_parts,
    flags=_flags,
    grows="blocks",
    default=False,
)
def gw_distance(x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42) -> float:
    r"""Return the Gromov-Wasserstein distance of the angles within both sides, as the solver finds it.

    $\min_\pi \big(\sum_{ijkl} (D^x_{ik} - D^y_{jl})^2\,\pi_{ij}\pi_{kl}\big)^{1/2}$ over the couplings of
    uniform weights. D are the angles arccos cos(rows), x's scaled to the median of y's. It is the local
    minimum to which conditional gradients lead from the product coupling. It does not see the pairing.

    Args:
        x: vision side [n, dx], n ≥ 4; of more than 1,000 groups, 1,000 are drawn.
        y: text side [n, dy].
        groups: the unit that is drawn; by default, each row.
        seed: the seed of what is drawn.

    Returns:
        A value ≥ 0 in radians of y; 0 if some pairing of the rows makes the angles proportional.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a row is all zeros, or most rows of a side have the same direction.

    Source:
        arXiv 2605.01325; Mémoli (2011), Foundations of Computational Mathematics 11; the solver is that of
        POT (Flamary et al. 2021, JMLR 22), whose exact line search is Vayer et al.'s (2019).
    """
    a, b, _ = _chosen(x, y, groups, seed)
    return bounded(_root(conditional_gradient(a, b)), (0, np.inf), "gw_distance")


def _identity_scale(a: Matrix, b: Matrix) -> tuple[float, float]:
    """Return factor and shift that make a distortion of the product of both matrices."""
    pairs = a.size
    return -2 / pairs, float(np.vdot(a, a) + np.vdot(b, b)) / pairs


def _identity_moments(x: Matrix, y: Matrix, codes: NDArray[np.intp] | None) -> ProductMoments:
    a, b = matched_angles(x, y)
    return kernel_product((a, b), codes, scale=1.0).scaled(*_identity_scale(a, b))


def _identity_null(x: Matrix, y: Matrix) -> tuple[float, float]:
    moments = _identity_moments(x, y, None)
    return moments.mean, float(np.sqrt(moments.variance))


def _identity_within_mean(x: Matrix, y: Matrix, codes: NDArray[np.intp]) -> float:
    return _identity_moments(x, y, codes).mean


def _identity_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    a, b = matched_angles(x, y)
    factor, shift = _identity_scale(a, b)
    return matched_products(a, b, permutations) * factor + shift


@METRICS.register(
    "gw_identity",
    family="transport",
    pairing=True,
    bounds=(0, np.inf),
    self_value=0.0,
    invariant_to=("rotation", "isotropic_scale"),
    higher_is_better=False,
    min_n=4,
    unit="rad²",
    null=NullModel(
        draw=_identity_draw,
        exact=_identity_null,
        within_mean=_identity_within_mean,
        moments=_identity_moments,
    ),
    squares=5,
    default=False,
)
def gw_identity(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the distortion of angles under the true pairing: the square of `gw_distance` at that coupling.

    $\frac1{n^2}\sum_{ij}(D^x_{ij} - D^y_{ij})^2$ with the angles D of `gw_distance`. It sees the pairing, and
    without the root its permutations have a closed form.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].

    Returns:
        A value ≥ 0 in squared radians of y; 0 if the angles are proportional.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a row is all zeros, or most rows of a side have the same direction.

    Source:
        `gw_distance`; the distortion at a given coupling is ours.
    """
    a, b = matched_angles(*check_pair(x, y, 4))
    return bounded(float(np.square(a - b).mean()), (0, np.inf), "gw_identity")
