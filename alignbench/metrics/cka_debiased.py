"""Debiased CKA: the cosine of U-centred kernels, 0 on average for independent data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW, row_blocks
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.deletions import deletion_sums
from alignbench.metrics.derived import derived
from alignbench.metrics.kernels import GRAM_LIMIT, INVARIANCES, centered_gram, centered_sides, linear_sums
from alignbench.metrics.nulls import matched_norms, matched_products, within_class_mean
from alignbench.metrics.permuted import ProductMoments, permuted_side, product_moments
from alignbench.metrics.sums import LinearSums, lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.permuted_side import PermutedSide
    from alignbench.metrics.samples import Sample

    Matrix = NDArray[np.float64]


def u_centered(kernel: Matrix) -> Matrix:
    r"""Return the U-centred kernel [n, n], n ≥ 4: zero diagonal, and rows that sum to zero without it.

    $\tilde K_{ij} = K_{ij} - \frac{r_i}{n-2} - \frac{r_j}{n-2} + \frac{\sum r}{(n-1)(n-2)}$, where r are the
    off-diagonal row sums.

    Source:
        Székely and Rizzo (2014), arXiv 1310.2926, eq. 3.1; Song et al. (2012), JMLR 13.
    """
    n = len(kernel)
    result: Matrix = np.array(kernel, dtype=np.float64, order="C")
    np.fill_diagonal(result, 0.0)
    rows = result.sum(axis=1)
    for some in row_blocks(n, n):
        block = result[some]
        block -= rows[some, None] / (n - 2)
        block -= rows / (n - 2)
        block += rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(result, 0.0)
    return result


def unbiased_hsic(k: Matrix, l: Matrix) -> float:  # noqa: E741
    r"""Return HSIC₁, the unbiased estimator, of two kernel matrices [n, n], n ≥ 4.

    $\frac{1}{n(n-3)} \langle \tilde K, \tilde L\rangle$ with U-centred kernels.

    Source:
        Song, Smola, Gretton, Bedo, Borgwardt (2012), JMLR 13, eq. 4.
    """
    if k.shape != l.shape or k.ndim != 2 or k.shape[0] != k.shape[1] or len(k) < 4:
        raise InputError(f"kernels: expected two of shape [n, n], n >= 4, got {k.shape} and {l.shape}")
    n = len(k)
    return float(np.vdot(u_centered(k), u_centered(l))) / (n * (n - 3))


def _debiased_norm(hsic: float, biased: float, side: str) -> float:
    if hsic <= 1e-20 * biased:
        raise DegenerateError(
            f"debiased_cka: {side}'s distances are all equal, so there is no structure to compare"
        )
    return float(np.sqrt(hsic))


def debiased_kernel(x: ArrayLike, name: str = "x") -> Matrix:
    """Return the U-centred linear kernel [n, n] with unit norm: debiased CKA is the inner product of two.

    Raises:
        DegenerateError: all points are equally far apart.
    """
    return _kernel(pair_to_center(x, x, 4)[0], name)


def _kernel(x: Matrix, name: str) -> Matrix:
    biased = centered_gram(x, name)
    kernel = u_centered(biased)
    norm = _debiased_norm(float(np.vdot(kernel, kernel)), float(np.vdot(biased, biased)), name)
    kernel /= norm
    return kernel


def debiased_kernels(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """Return both sides' U-centred linear kernels, each with unit norm."""
    return _kept_kernel(x, "x"), _kept_kernel(y, "y")


def _kept_kernel(x: Matrix, name: str) -> Matrix:
    return derived("debiased", x, lambda: _kernel(x, name))


def _debiased_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return 0 and √(2/(n(n−3))): U-centred kernels have no trace, so the data do not matter."""
    n = len(centered_sides(x, y, 4)[0])
    return 0.0, float(np.sqrt(2 / (n * (n - 3))))


def _debiased_streamed_null(sample: Sample) -> tuple[float, float, float | None]:
    n = sample.cells.n
    return 0.0, float(np.sqrt(2 / (n * (n - 3)))), None


def _debiased_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    return within_class_mean(*debiased_kernels(*pair_to_center(x, y, 4)), codes)


def _debiased_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    n = len(x)
    if n <= GRAM_LIMIT:
        return matched_products(*debiased_kernels(*pair_to_center(x, y, 4)), permutations)
    a, b = centered_sides(x, y, 4)
    squared_a, squared_b = lengths(a), lengths(b)
    diagonal = squared_b[permutations] @ squared_a
    constant = squared_a.sum() * squared_b.sum() / ((n - 1) * (n - 2))
    hsic = matched_norms(a, b, permutations) - n / (n - 2) * diagonal + constant
    scores: Matrix = hsic / LinearSums.of_features(a, b).debiased_norm()
    return scores


def _debiased_moments(x: Matrix, y: Matrix, codes: NDArray[np.intp] | None) -> ProductMoments:
    def permuted(side: Matrix, name: str) -> PermutedSide:
        # The kernel of linear CKA differs in a factor and in effects of rows and columns alone.
        return permuted_side(_kept_kernel(side, name), codes, permuted_side(centered_gram(side, name), codes))

    a, b = pair_to_center(x, y, 4)
    return product_moments(permuted(a, "x"), permuted(b, "y"))


def _debiased_deletions(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> Matrix:
    values = np.empty(len(blocks))
    for number, sums in enumerate(deletion_sums(x, y, blocks)):
        score = sums.debiased_cka()
        if score is None:
            score = debiased_cka(np.delete(x, blocks[number], axis=0), np.delete(y, blocks[number], axis=0))
        values[number] = score
    return values


@METRICS.register(
    "debiased_cka",
    family="cka",
    pairing=True,
    bounds=(-1, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=INVARIANCES,
    min_n=4,
    null=NullModel(
        draw=_debiased_draw,
        exact=_debiased_null,
        within_mean=_debiased_within_mean,
        moments=_debiased_moments,
        streamed=_debiased_streamed_null,
    ),
    interval="jackknife",
    deletions=_debiased_deletions,
    squares=7,
    streamed=lambda sample: sample.debiased_cka,
)
def debiased_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return debiased linear CKA: 0 on average for independent data, for any n and dimensions.

    $\frac{\langle \tilde A, \tilde B\rangle}{\|\tilde A\|\,\|\tilde B\|}$ with U-centred Gram matrices; in
    terms of features, $\mathrm{HSIC}_1 \propto \|X^\top Y\|^2 - \frac{n}{n-2}\sum a_i b_i + \frac{\sum a \sum
    b}{(n-1)(n-2)}$, where a and b are the squared lengths of the centred rows.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].

    Returns:
        A value in [−1, 1]; chance is about 0.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: the points of a side are all equally far apart, or there are fewer than 4 rows.

    Source:
        Song et al. (2012), JMLR 13; Murphy, Zylberberg, Fyshe (2024), arXiv 2405.01012.
    """
    a, b = pair_to_center(x, y, 4)
    if len(a) > FEW:
        score = linear_sums(a, b, 4).debiased_cka()
        if score is not None:
            return score
    return bounded(float(np.vdot(*debiased_kernels(a, b))), (-1, 1), "debiased_cka")
