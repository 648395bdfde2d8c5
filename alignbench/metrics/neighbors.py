"""Scores of shared nearest neighbours: mutual k-NN, and CKA restricted to neighbours (CKNNA)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import as_matrix, bounded, check_varies, in_range, pair_to_center
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import unit_rounding
from alignbench.metrics.nearest import (
    MANY,
    Neighbors,
    check_k,
    cosine_neighbors,
    neighbor_weights,
)
from alignbench.metrics.nearest_products import product_neighbors, product_neighbors_left
from alignbench.metrics.neighbors_asked import ask_cknna, ask_mutual
from alignbench.metrics.neighbors_left import cosine_neighbors_left
from alignbench.metrics.nulls import matched_products, within_class_mean
from alignbench.metrics.permuted import ProductMoments, product_moments
from alignbench.metrics.permuted_sparse import sparse_side
from alignbench.metrics.queries import Queried
from alignbench.metrics.small_means import SmallMean
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.permuted_side import PermutedSide

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

MIN_K = 2  # for CKNNA: with a single neighbour, a row has no two neighbours to compare


def _both(x: ArrayLike, y: ArrayLike, k: int | None) -> tuple[Matrix, Matrix, int]:
    a, b = pair_to_center(x, y, 4)
    chosen = check_k(k, len(a))
    return _weights(a, chosen, "x"), _weights(b, chosen, "y"), chosen


def _weights(x: Matrix, k: int, name: str) -> Matrix:
    return derived(("neighbour weights", k), x, lambda: neighbor_weights(x, k, name))


def _mutual_settings(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the number of neighbours, fixed at its value for the full n."""
    return {"k": check_k(k, n)}


def _mutual_null(x: ArrayLike, y: ArrayLike, k: int | None = None) -> tuple[float, float]:
    n = len(as_matrix(x))
    return check_k(k, n) / (n - 1), float("nan")


def _mutual_draw(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], k: int | None = None
) -> NDArray[np.float64]:
    a, b, chosen = _both(x, y, k)
    return matched_products(a, b, permutations) / (len(a) * chosen)


def _mutual_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp], k: int | None = None) -> float:
    a, b, chosen = _both(x, y, k)
    return within_class_mean(a, b, codes) / (len(a) * chosen)


def _mutual_moments(
    x: ArrayLike, y: ArrayLike, codes: Indices | None, k: int | None = None
) -> ProductMoments:
    a, b = pair_to_center(x, y, 4)
    chosen = check_k(k, len(a))
    both = [cosine_neighbors(side, chosen, name) for side, name in ((a, "x"), (b, "y"))]
    moments = product_moments(*(_permuted(side, codes) for side in both)).scaled(1 / (len(a) * chosen))
    untied = all(len(side.weights) == len(a) * chosen for side in both)
    return replace(moments, step=1 / (len(a) * chosen)) if untied else moments


def _mutual_deletions(x: Matrix, y: Matrix, blocks: Sequence[Indices], k: int | None = None) -> Vector | None:
    """Return the values without each block; None for FEW rows."""
    if len(x) <= FEW:
        return None
    chosen = check_k(k, len(x))
    both = zip(
        cosine_neighbors_left(x, blocks, chosen, "x"),
        cosine_neighbors_left(y, blocks, chosen, "y"),
        strict=True,
    )
    values = [of_x.shared(of_y) / (of_x.n * chosen) for of_x, of_y in both]
    return np.asarray([bounded(value, (0, 1), "mutual_knn") for value in values])


def _permuted(found: Neighbors, codes: Indices | None) -> PermutedSide:
    what = "permuted", None if codes is None else codes.tobytes()
    return derived(
        what,
        found.weights,
        lambda: sparse_side(found.rows, found.columns, found.weights, found.n, codes),
    )


@METRICS.register(
    "mutual_knn",
    family="neighbors",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    invariant_to=("rotation", "isotropic_scale", "translation"),
    min_n=4,
    settings=_mutual_settings,
    chance=lambda n, codes, settings: settings["k"] / (n - 1),
    null=NullModel(
        draw=_mutual_draw, exact=_mutual_null, within_mean=_mutual_within_mean, moments=_mutual_moments
    ),
    deletions=_mutual_deletions,
    squares=4,
    queried=Queried(ask_mutual),
)
def mutual_knn(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return the mean share of nearest neighbours that both sides have in common.

    $\frac{1}{nk}\sum_i |N_k(x_i) \cap N_k(y_i)|$, with cosine neighbours after centring, where a row is not
    its own neighbour. If neighbours are tied at the border, it is the expectation over all ways of breaking
    the ties, independently for each side; ties therefore lower even the score of x with itself, which is 1
    without them.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].
        k: the number of neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [0, 1]; chance is k/(n−1), the exact mean over all re-pairings.

    Raises:
        InputError: not finite matrices of equal length; or k is not within 1 … n−2.
        DegenerateError: a side has no variance, or there are fewer than 4 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987.
    """
    a, b = pair_to_center(x, y, 4)
    chosen = check_k(k, len(a))
    of_x, of_y = cosine_neighbors(a, chosen, "x"), cosine_neighbors(b, chosen, "y")
    return bounded(of_x.shared(of_y) / (len(a) * chosen), (0, 1), "mutual_knn")


def _in_range(x: Matrix) -> Matrix:
    """Return rows [n, d] whose products are within the range of float64."""
    return x if SmallMean.of(x) is not None else derived("in range", x, lambda: in_range(x))


@dataclass(frozen=True, slots=True)
class _Local:
    """One side of CKNNA.

    Args:
        neighbors: the neighbours of each row by the kernel, whose entries are their products.
        errors: the largest rounding error of each of these entries [m].
    """

    neighbors: Neighbors
    errors: Vector

    @classmethod
    def of(cls, x: Matrix, k: int, name: str) -> _Local:
        return derived(("products' neighbours", k), x, lambda: cls._of(x, k, name))

    @classmethod
    def _of(cls, x: Matrix, k: int, name: str) -> _Local:
        check_varies(x, name)
        rows = _in_range(x)
        return cls.found(product_neighbors(rows, k), rows)

    @classmethod
    def found(cls, neighbors: Neighbors, x: Matrix) -> _Local:
        """Return the side of these rows [n, d], whose neighbours were found."""
        size, rounding = np.sqrt(lengths(x)), unit_rounding(x.shape[1])
        return cls(neighbors, rounding * (size[neighbors.rows] * size[neighbors.columns]))

    def norm(self, name: str) -> float:
        r"""Return $\sqrt{\mathrm{HSIC}_1(M \circ K, M \circ K)}$ of this side alone, times √(n(n−3)).

        Raises:
            DegenerateError: it is not above 0.
        """
        n, found = self.neighbors.n, self.neighbors
        # Song's estimator is for symmetric kernels, for which it cannot be negative. A mask is not symmetric.
        pairs, total, both = self._sums(found.weights * found.products)
        terms = pairs, total**2 / ((n - 1) * (n - 2)), -2 / (n - 2) * both
        hsic = sum(terms)
        rounding = n * np.finfo(np.float64).eps * sum(map(abs, terms))
        if hsic <= rounding + float(np.square(found.weights * self.errors).sum()):
            raise DegenerateError(
                f"cknna: the unbiased HSIC of {name}'s neighbourhoods with themselves is not above 0, "
                "so there is nothing to divide by; use a larger k or more samples"
            )
        return float(np.sqrt(hsic))

    def _sums(self, values: Vector) -> tuple[float, float, float]:
        """Return tr(AA) and the sums of A and of AA, for a matrix A with these values at the neighbours."""
        n, found = self.neighbors.n, self.neighbors
        if n <= FEW:
            own = found.dense(values)
            return float(np.vdot(own, own.T)), float(own.sum()), float(own.sum(axis=0) @ own.sum(axis=1))
        back = found.find(found.columns * n + found.rows)
        columns, rows = np.bincount(found.columns, values, n), np.bincount(found.rows, values, n)
        return float(values @ _or_zero(values, back)), float(values.sum()), float(columns @ rows)

    def coincidences(self, *, products_first: bool) -> Vector:
        """Return the sums of u_ij v_kl over all rows that coincide in a certain way and no other.

        u are the products of neighbours and v their weights, or the other way round. The ways are (k, l) =
        (i, j), (k, l) = (j, i), k = i, l = j, k = j, l = i, and none [7].
        """
        n, found = self.neighbors.n, self.neighbors
        u, v = found.weights * found.products, found.weights
        if not products_first:
            u, v = v, u
        (u_row, u_column), (v_row, v_column) = (
            [np.bincount(at, values, n) for at in (found.rows, found.columns)] for values in (u, v)
        )
        same = float(u @ v)
        turned = float(u @ _or_zero(v, found.find(found.columns * n + found.rows)))
        row, column = float(u_row @ v_row) - same, float(u_column @ v_column) - same
        follow, lead = float(u_column @ v_row) - turned, float(u_row @ v_column) - turned
        some = np.array([same, turned, row, column, follow, lead])
        return np.append(some, float(u.sum() * v.sum()) - some.sum())


def _numerators(x: _Local, y: _Local, permutations: Indices) -> Vector:
    r"""Return $\mathrm{HSIC}_1(M \circ K, M \circ L)$ for y[p] and each permutation p, times n(n−3).

    Only x's neighbours have to be looked up on the other side, and few of them are neighbours there, too.
    """
    here, there = x.neighbors, y.neighbors
    n, rows, columns = here.n, here.rows, here.columns
    find = there.find if len(permutations) < MANY else there.table().take
    back = _or_zero(here.weights, here.find(columns * n + rows))
    result = np.empty(len(permutations))
    for number, p in enumerate(permutations):
        at = find(p[rows] * n + p[columns])
        common = np.flatnonzero(at >= 0)
        at, i, j = at[common], rows[common], columns[common]
        both = here.weights[common] * there.weights[at]
        left = both * here.products[common]
        right = both * there.products[at]
        # The transposed entry of M∘L is 0 unless the two rows are each other's neighbours.
        turned = find(p[j] * n + p[i])
        mutual = left * back[common] * _or_zero(there.weights, turned) * _or_zero(there.products, turned)
        product = np.bincount(j, left, n) @ np.bincount(i, right, n)
        result[number] = mutual.sum() + left.sum() * right.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * product
    return result


def cknna_mean(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    """Return the exact mean of CKNNA over all re-pairings.

    The numerator is a sum of products of two entries of each side. For each way in which their rows can
    coincide, all choices of as many different rows of the other side are equally likely.
    """
    a, b = pair_to_center(x, y, 5)
    chosen = check_k(k, len(a), MIN_K)
    side_x, side_y = _Local.of(a, chosen, "x"), _Local.of(b, chosen, "y")
    of_x = side_x.coincidences(products_first=True)
    of_y = side_y.coincidences(products_first=False)
    n = len(a)
    two, three = n * (n - 1), n * (n - 1) * (n - 2)
    orders = np.array([two, two, three, three, three, three, three * (n - 3)], dtype=np.float64)
    same, turned, row, column, follow, lead, apart = of_x * of_y / orders
    total = same + turned + row + column + follow + lead + apart
    mean = turned + total / ((n - 1) * (n - 2)) - 2 / (n - 2) * (turned + follow)
    return float(mean / (side_x.norm("x") * side_y.norm("y")))


def _or_zero(values: Vector, at: Indices) -> Vector:
    """Return the values at these positions, and 0 for position −1."""
    return np.where(at < 0, 0.0, values[at])


def _cknnas(x: ArrayLike, y: ArrayLike, permutations: Indices | None, k: int | None) -> Vector:
    a, b = pair_to_center(x, y, 5)
    chosen = check_k(k, len(a), MIN_K)
    side_x, side_y = _Local.of(a, chosen, "x"), _Local.of(b, chosen, "y")
    scale = side_x.norm("x") * side_y.norm("y")  # re-pairing does not change it
    orders = np.arange(len(a), dtype=np.intp)[None] if permutations is None else permutations
    scores: Vector = _numerators(side_x, side_y, orders) / scale
    return scores


def _cknna_deletions(x: Matrix, y: Matrix, blocks: Sequence[Indices], k: int | None = None) -> Vector | None:
    """Return the values without each block; None for FEW rows."""
    if len(x) <= FEW:
        return None
    chosen, values = check_k(k, len(x), MIN_K), np.empty(len(blocks))
    a, b = _in_range(x), _in_range(y)
    both = zip(
        product_neighbors_left(a, blocks, chosen), product_neighbors_left(b, blocks, chosen), strict=True
    )
    for number, (block, (of_x, of_y)) in enumerate(zip(blocks, both, strict=True)):
        rows_x, rows_y = np.delete(a, block, axis=0), np.delete(b, block, axis=0)
        check_varies(rows_x, "x")
        check_varies(rows_y, "y")
        side_x, side_y = _Local.found(of_x, rows_x), _Local.found(of_y, rows_y)
        identity = np.arange(of_x.n, dtype=np.intp)[None]
        values[number] = _numerators(side_x, side_y, identity)[0] / (side_x.norm("x") * side_y.norm("y"))
    return values


def _cknna_draw(x: Matrix, y: Matrix, permutations: Indices, k: int | None = None) -> Vector:
    return _cknnas(x, y, permutations, k)


def _cknna_settings(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the number of neighbours, fixed at its value for the full n."""
    return {"k": check_k(k, n, MIN_K)}


@METRICS.register(
    "cknna",
    family="neighbors",
    pairing=True,
    invariant_to=("rotation", "isotropic_scale"),
    min_n=5,
    settings=_cknna_settings,
    null=NullModel(draw=_cknna_draw),
    deletions=_cknna_deletions,
    squares=1.7,
    queried=Queried(ask_cknna, further=True),
)
def cknna(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return CKNNA as published: debiased CKA restricted to the neighbours that both sides share.

    $$\frac{\mathrm{HSIC}_1(M \circ K, M \circ L)}{\sqrt{\mathrm{HSIC}_1(M_X \circ K, M_X \circ K)\,
    \mathrm{HSIC}_1(M_Y \circ L, M_Y \circ L)}}, \quad K = XX^\top,\ L = YY^\top,\ M = M_X \circ M_Y$$

    $M_X$ has a 1 for each of the k nearest neighbours of a row by K, without the row itself, and $M_Y$ by L.
    Neighbours that are tied at the border share the remaining places. Rows are taken as they are, neither
    centred nor normalised, as in the authors' code, which gets rows of unit length, as it does in a run. With
    both diagonals set to 0,
    $\mathrm{HSIC}_1(A, B) \propto \mathrm{tr}(AB) + \frac{\mathbf 1^\top A \mathbf 1\,
    \mathbf 1^\top B \mathbf 1}{(n-1)(n-2)} - \frac{2}{n-2}\mathbf 1^\top AB\mathbf 1$.
    A mask is not symmetric, so the score is slightly asymmetric, too: exchanging x and y transposes the last
    product.

    Args:
        x: vision side [n, dx], n ≥ 5.
        y: text side [n, dy].
        k: the number of neighbours; max(2, min(10, (n−1)//3)) by default.

    Returns:
        1 for equal sides without ties; for independent data a little less than k/(n−1), the share of
        neighbours that both sides have in common by chance. It is not a cosine, because the masks of
        numerator and denominator differ, so no bound holds for all data.

    Raises:
        InputError: not finite matrices of equal length; or k is not within 2 … n−2.
        DegenerateError: the HSIC of a side with itself is not above 0; a side has no variance; or fewer than
            5 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987, and its code, platonic-rep, which adds 1e-6 to the denominator;
        Song et al. (2012), JMLR 13, eq. 5.
    """
    return bounded(float(_cknnas(x, y, None, k)[0]), (-np.inf, np.inf), "cknna")
