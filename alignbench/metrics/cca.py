"""Canonical correlations of the sides' principal directions, as published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.base import METRICS, Function, NullModel
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.directions import ROWS, TIED, Directions, most_directions
from alignbench.metrics.distances import Points
from alignbench.metrics.kernels import INVARIANCES, centered_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

SMALLEST = 1e-9  # of the singular values that count as directions, as a share of the largest


def _cut(x: ArrayLike, y: ArrayLike, rows: int) -> tuple[Directions, Directions]:
    a, b = centered_sides(x, y, 3)
    most = most_directions(len(a), rows)
    return Directions.of(a, most, "x"), Directions.of(b, most, "y")


def _whole(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    """Return an orthonormal basis of all directions of each side that are more than rounding."""
    bases = []
    for side, name in zip(pair_to_center(x, y, 3), ("x", "y"), strict=True):
        points = Points.of(side, name)
        left, sizes, _ = np.linalg.svd(points.centered, full_matrices=False)
        bases.append(left[:, sizes > max(4 * float(np.linalg.norm(points.noise)), SMALLEST * sizes[0])])
    return bases[0], bases[1]


def _correlations(a: Matrix, b: Matrix) -> Matrix:
    """Return the canonical correlations of two sides with orthonormal coordinates, the largest first."""
    result: Matrix = np.minimum(np.linalg.svd(a.T @ b, compute_uv=False), 1.0)
    return result


def equal_weights(x: Directions, variates: Matrix) -> Matrix:
    """Return the same weight for each canonical variate of x, given as columns of `variates` [k, m]."""
    return np.full(variates.shape[1], 1 / variates.shape[1])


def projected_weights(x: Directions, variates: Matrix) -> Matrix:
    """Return the weight of each canonical variate of x, given as columns of `variates` [k, m].

    It is the sum of the absolute projections of x's directions on the variate. Directions of equal size have
    no axes of their own, so that they count together, by the length of their projection.
    """
    starts = np.flatnonzero(np.diff(x.sizes, prepend=np.inf) < -TIED * x.sizes[0])
    squares = np.add.reduceat(np.square(variates * x.sizes[:, None]), starts, axis=0)
    weights: Matrix = np.sqrt(squares).sum(axis=0)
    return np.asarray(weights / weights.sum())


def _parts(free: int, a: Matrix, b: Matrix) -> dict[str, float]:
    return {"directions_x": a.shape[1], "directions_y": b.shape[1], "free": free}


def _cut_parts(x: ArrayLike, y: ArrayLike, *, rows: int = ROWS) -> dict[str, float]:
    a, b = _cut(x, y, rows)
    return _parts(len(a.left) - 1, a.left, b.left)


def _whole_parts(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    a, b = _whole(x, y)
    return _parts(len(a) - 1, a, b)


def _in_sample(value: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    """Return a flag if some correlations are 1 whatever the pairing: two subspaces have to meet."""
    return ("no_room",) if parts["directions_x"] + parts["directions_y"] > parts["free"] else ()


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp], *, rows: int = ROWS) -> NDArray[np.float64]:
    a, b = _cut(x, y, rows)
    return np.asarray([_correlations(a.left, b.left[p]).mean() for p in permutations])


def _draw_whole(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    a, b = _whole(x, y)
    return np.asarray([_correlations(a, b[p]).mean() for p in permutations])


def _draw_weighted(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], *, rows: int = ROWS
) -> NDArray[np.float64]:
    a, b = _cut(x, y, rows)
    return np.asarray([_weighted(a, b.left[p]) for p in permutations])


def _weighted(a: Directions, b: Matrix) -> float:
    variates, correlations, _ = np.linalg.svd(a.left.T @ b, full_matrices=False)
    return float(projected_weights(a, variates) @ np.minimum(correlations, 1.0))


def rows_settings(n: int, dims: tuple[int, ...], *, rows: int = ROWS) -> dict[str, Any]:
    """Return how many rows there are for each direction, which is the same for all and for some rows."""
    return {"rows": rows}


def canonical(name: str, **declared: Any) -> Callable[[Function], Function]:
    """Register a function as a score of canonical correlations, with what all of these have in common."""
    common = {"pairing": True, "self_value": 1.0, "invariant_to": INVARIANCES, "grows": "blocks"}
    return METRICS.register(name, family="cca", default=False, **common, **declared)


@canonical(
    "svcca",
    symmetric=True,
    bounds=(0, 1),
    min_n=3,
    settings=rows_settings,
    null=NullModel(draw=_draw, max_groups=500),
    parts=_cut_parts,
    flags=_in_sample,
)
def svcca(x: ArrayLike, y: ArrayLike, *, rows: int = ROWS) -> float:
    r"""Return the mean canonical correlation of the sides' leading principal directions.

    $\frac1k\sum_i \rho_i$, where ρ are the singular values of $U_x^\top U_y$: U has the orthonormal
    coordinates of the directions that hold 99% of a side's variance, at most n/5 of them, and k is the
    smaller number of both. Independent sides score far above 0; see the null and `svcca_heldout`.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy].
        rows: the rows for each direction of a side: at most n // rows directions are kept, at least 1.

    Returns:
        A value in [0, 1]; 1 if the kept directions of one side are a linear map of the other's.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), arXiv 1706.05806; the limit of n/5 is ours.
    """
    a, b = _cut(x, y, rows)
    return bounded(float(_correlations(a.left, b.left).mean()), (0, 1), "svcca")


@canonical(
    "pwcca",
    bounds=(0, 1),
    min_n=3,
    settings=rows_settings,
    null=NullModel(draw=_draw_weighted, max_groups=500),
    parts=_cut_parts,
    flags=_in_sample,
)
def pwcca(x: ArrayLike, y: ArrayLike, *, rows: int = ROWS) -> float:
    r"""Return canonical correlations weighted by how much of the vision side each variate accounts for.

    $\sum_i \alpha_i\rho_i / \sum_i \alpha_i$ with $\alpha_i = \sum_j |\langle h_i, z_j\rangle|$: $h_i$ are
    x's canonical variates, and $z_j$ its principal components, cut as in `svcca`. It is not symmetric.

    Args:
        x: vision side [n, dx], n ≥ 3, to which the weights belong.
        y: text side [n, dy].
        rows: the rows for each direction of a side: at most n // rows directions are kept, at least 1.

    Returns:
        A value in [0, 1]; 1 if the kept directions of one side are a linear map of the other's.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Morcos, Raghu, Bengio (2018), arXiv 1806.05759, eq. 2; after the reduction of `svcca`.
    """
    a, b = _cut(x, y, rows)
    return bounded(_weighted(a, b.left), (0, 1), "pwcca")


@canonical(
    "cca_mean",
    symmetric=True,
    bounds=(0, 1),
    min_n=3,
    null=NullModel(draw=_draw_whole, draws=199, max_groups=500),
    parts=_whole_parts,
    flags=_in_sample,
)
def cca_mean(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the mean canonical correlation of all directions, which any invertible linear map keeps.

    $\frac1k\sum_i \rho_i$ as in `svcca`, with all directions that are more than rounding. If one side has as
    many dimensions as there are rows, it is 1 whatever the data, and flagged `no_room`.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy].

    Returns:
        A value in [0, 1]; 1 if one side is a linear map of the other.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Hotelling (1936), Biometrika 28; Kornblith et al. (2019), arXiv 1905.00414, for the mean.
    """
    return bounded(float(_correlations(*_whole(x, y)).mean()), (0, 1), "cca_mean")
