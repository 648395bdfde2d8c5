"""Procrustes similarity: how well an orthogonal map takes one side to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import LEAST_LEFT, bounded, pair_to_center
from alignbench.metrics.derived import derived
from alignbench.metrics.kernels import INVARIANCES, centered_side, centered_sides
from alignbench.metrics.products import product
from alignbench.metrics.single import mostly_in_single
from alignbench.metrics.small_means import SmallMean, small_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of an eigenvalue, as a share of the largest one
LOST = 1e-9  # the share of a sum of singular values that rounding may change
LEAST_LOST = 1e-11  # the same, of scores that are not drawn
LARGE = 100  # singular values from which float32 takes less time
FULL = 0.85  # of the rows: from this rank of both sides, their triangular form takes less time
WORTH = 1.5  # columns a row from which many rows are worth rotating


def narrow(x: Matrix) -> Matrix:
    """Return rows with the same Gram matrix: `x` rotated, without its empty directions, [n, min(n, d)].

    Of many rows of about as many columns, it is `x` itself: to rotate them would take longer than it saves.
    """
    if _is_narrow(x):
        return x
    triangle: Matrix = np.asarray(np.linalg.qr(x.T, mode="r"))
    return triangle.T


def _is_narrow(x: Matrix) -> bool:
    n, d = map(int, x.shape)
    return n >= d or (n > FEW and d < WORTH * n)


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    """Return both sides, centred and narrowed, each with unit Frobenius norm."""
    a, b = (_unit(side) for side in centered_sides(x, y, 3))
    return a, b


def _unit(centered: Matrix) -> Matrix:
    def compute() -> Matrix:
        side = narrow(centered)
        unit: Matrix = side / np.linalg.norm(side)
        return unit

    return derived("narrow", centered, compute)


def _with_means(x: ArrayLike, y: ArrayLike) -> tuple[SmallMean, SmallMean]:
    """Return both sides with their means: as they are if these are small, or else centred and narrowed.

    Many rows are not copied then, which takes a quarter of the time of what has 5,000 rows.
    """
    a, b = (_with_mean(side, name) for side, name in zip(pair_to_center(x, y, 3), "xy", strict=True))
    return a, b


def _with_mean(x: Matrix, name: str) -> SmallMean:
    found = small_mean(x) if _is_narrow(x) else None
    if found is not None:
        return found
    unit = _unit(centered_side(x, name))
    return SmallMean(unit, np.zeros(unit.shape[1]), square=0.0, size=1.0)


def _cross(a: SmallMean, b: SmallMean) -> Matrix:
    """Return XᵀY [dx, dy] of the centred sides."""
    return a.out_of_cross(b, product(a.rows.T, b.rows))


def _by_size(cross: Matrix, size: float, other_size: float) -> Matrix:
    """Return XᵀY over the sides' norms, in the place of `cross`, given their squared norms."""
    cross /= np.sqrt(size) * np.sqrt(other_size)
    return cross


def _nuclear(matrix: Matrix) -> float:
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def _draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    a, b = _sides(x, y)
    if len(a) <= FEW:
        return np.asarray([_nuclear(a.T @ b[p]) for p in permutations])
    a, b = _of_full_rank(a), _of_full_rank(b)
    value, by_squares = derived("nuclear", (a, b), lambda: _nuclear(a.T @ b)), True

    def exact(some: NDArray[np.intp]) -> NDArray[np.float64]:
        nonlocal by_squares
        scores = np.empty(len(some))
        for number, p in enumerate(some):
            product = a.T @ b[p]
            score = _nuclear_by_squares(product) if by_squares else None
            by_squares = score is not None
            scores[number] = _nuclear(product) if score is None else score
        return scores

    return mostly_in_single(_forms_in_single(a, b), exact, permutations, value)


def _deletions(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> NDArray[np.float64] | None:
    """Return the scores without each block from XᵀY and the squared norms; None for few rows."""
    if len(x) <= FEW:
        return None
    sides = a, b = _with_means(x, y)
    cross, scores = _cross(a, b), np.empty(len(blocks))
    for number, block in enumerate(blocks):
        count = len(x) - len(block)
        taken = rows, others = [side.rows[block] - side.mean for side in sides]
        means = mean, other_mean = [-part.sum(axis=0) / count for part in taken]
        left = cross - rows.T @ others - count * np.outer(mean, other_mean)
        sizes = [
            side.centered_size - np.vdot(part, part) - count * middle @ middle
            for side, part, middle in zip(sides, taken, means, strict=True)
        ]
        if any(size < LEAST_LEFT * side.centered_size for size, side in zip(sizes, sides, strict=True)):
            return None  # the block was nearly all that varies, so digits were lost
        score = _nuclear_by_squares(_by_size(left, *sizes))
        scores[number] = _nuclear(left) if score is None else score
    # Sums of roots of squares may pass 1 by more than rounding, but by less than LOST.
    return np.minimum(scores, 1.0)


def _of_full_rank(side: Matrix) -> Matrix:
    """Return rows with the same Gram matrix and as few columns as their rank, which is below n."""

    def compute() -> Matrix:
        # Columns in the order of their size: float32 keeps more digits of such products.
        left, values, _ = np.linalg.svd(side, full_matrices=False)
        real = values > max(side.shape) * np.finfo(np.float64).eps * values[0]
        rows: Matrix = left[:, real] * values[real]
        return rows

    return derived("full rank", side, compute)


def nuclear_norm(matrix: Matrix) -> float:
    """Return the sum of the singular values: by their squares where this costs none of 11 digits."""
    value = _nuclear_by_squares(matrix, LEAST_LOST)
    return _nuclear(matrix) if value is None else value


def _nuclear_by_squares(matrix: Matrix, most: float = LOST) -> float | None:
    """Return the sum of the singular values in half the time, by their squares; None if this loses digits."""
    shorter = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares = np.maximum(np.linalg.eigvalsh(shorter @ shorter.T), 0.0)
    values, error = np.sqrt(squares), ROUNDING * squares[-1]
    least = max(float(np.sqrt(error)), float(np.finfo(np.float64).tiny))
    lost = (error / np.maximum(values, least)).sum()
    return float(values.sum()) if lost <= most * values.sum() else None


def _forms_in_single(a: Matrix, b: Matrix) -> Iterator[Callable[[NDArray[np.intp]], NDArray[np.float64]]]:
    """Yield what computes draws in float32, the quicker form first, which may lose more digits."""
    if min(a.shape[1], b.shape[1]) < LARGE:
        return
    if a.shape[1] == b.shape[1] >= FULL * len(a):
        yield _of_each(_by_kernel(a, b))
    yield _of_each(_by_product(a, b))


def _of_each(
    score: Callable[[NDArray[np.intp]], float],
) -> Callable[[NDArray[np.intp]], NDArray[np.float64]]:
    return lambda permutations: np.asarray([score(p) for p in permutations])


def _by_product(a: Matrix, b: Matrix) -> Callable[[NDArray[np.intp]], float]:
    """Return what computes the sum of the singular values of Aᵀ B[p] in float32, by their squares."""
    single_a, single_b = a.astype(np.float32), b.astype(np.float32)

    def score(p: NDArray[np.intp]) -> float:
        product = single_a.T @ single_b[p]
        shorter = product if product.shape[0] <= product.shape[1] else product.T
        return _sum_of_roots(shorter @ shorter.T, lower=True)

    return score


def _by_kernel(a: Matrix, b: Matrix) -> Callable[[NDArray[np.intp]], float]:
    r"""Return what `_by_product` returns, for sides of equal rank.

    With $A^\top = QR$ and $K = BB^\top$, the squares are the eigenvalues of $R\,K[p][:, p]\,R^\top$. As R is
    triangular and K symmetric, this takes n³ operations instead of 3n³, if the rank is about n.
    """
    from scipy.linalg import get_lapack_funcs

    n, rank = a.shape
    triangle = np.zeros((n, n), dtype=np.float32, order="F")
    triangle[:rank] = np.linalg.qr(a.T, mode="r")
    kernel = (b @ b.T).astype(np.float32)
    (congruent,) = get_lapack_funcs(("sygst",), (triangle,))

    def score(p: NDArray[np.intp]) -> float:
        permuted = kernel[p].take(p, axis=1).T  # symmetric, in the order of columns that LAPACK has
        squares, _ = congruent(permuted, triangle, itype=2, lower=0, overwrite_a=True)
        return _sum_of_roots(squares[:rank, :rank], lower=False)

    return score


def _sum_of_roots(matrix: NDArray[np.float32], *, lower: bool) -> float:
    """Return the sum of the roots of the eigenvalues of a matrix, of which one triangle is read.

    The upper one takes less time. If the columns are in the order of their size, the lower one keeps more
    digits of the small eigenvalues.
    """
    from scipy.linalg import eigh  # numpy takes no less time than for float64

    squares = eigh(matrix, lower=lower, eigvals_only=True, overwrite_a=True, check_finite=False)
    return float(np.sqrt(np.maximum(squares, 0.0)).sum(dtype=np.float64))


@METRICS.register(
    "procrustes_similarity",
    family="shape",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=INVARIANCES,
    min_n=3,
    null=NullModel(draw=_draw, draws=199, max_groups=500),
    deletions=_deletions,
    streamed=lambda sample: sample.procrustes,
)
def procrustes_similarity(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the cosine of the angular Procrustes distance: the best fit of the sides by rotation.

    $\frac{\|X^\top Y\|_*}{\|X\|\,\|Y\|}$ of the centred sides, where $\|\cdot\|_*$ is the sum of singular
    values. It is biased upward if n is small relative to the dimensions, more than CKA.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy].

    Returns:
        A value in [0, 1]; 1 if one side is the other rotated, scaled and shifted.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Williams, Kunz, Kornblith, Linderman (2021), arXiv 2110.14739.
    """
    a, b = _with_means(x, y)
    cross = _by_size(_cross(a, b), a.centered_size, b.centered_size)
    return bounded(_nuclear(cross), (0, 1), "procrustes_similarity")
