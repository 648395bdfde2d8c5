"""Linear centred kernel alignment, plain and calibrated, with its exact permutation null."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import pair_to_center
from alignbench.metrics.deletions import deletion_sums
from alignbench.metrics.derived import derived, digest
from alignbench.metrics.kernels import INVARIANCES, centered_gram, centered_sides, linear_sums
from alignbench.metrics.nulls import matched_products
from alignbench.metrics.permuted import ProductMoments, kernel_product
from alignbench.metrics.repaired import Repaired
from alignbench.metrics.sums import gram, inner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.samples import Sample

    Matrix = NDArray[np.float64]


def linear_cka_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    r"""Return mean and standard deviation of linear CKA over all n! re-pairings, exact and without drawing.

    $\mu_0 = \frac{TU}{(n-1)\,\|A\|\|B\|}$, where $T, U$ are the traces of the centred Gram matrices; the cost
    is O(n·d²). The standard deviation exists from n = 4 on (NaN at 3). The null is skewed, so p-values need
    drawn permutations.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].

    Raises:
        InputError, DegenerateError, TooFewSamplesError: see `alignbench.metrics.checks`; n ≥ 3.

    Source:
        Kazi-Aoual et al. (1995), for the RV coefficient, which equals linear CKA.
    """
    return linear_sums(x, y).linear_cka_null()


def linear_cka_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    r"""Return the exact mean of linear CKA over all permutations within the classes.

    Its numerator is $\|\sum_c n_c \bar x_c \bar y_c^\top\|^2 + \sum_c T_c U_c/(n_c - 1)$, with the globally
    centred class means and the traces of the scatter within each class.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        codes: class numbers 0 … c−1 [n].
    """
    a, b = centered_sides(x, y, 3)
    member = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    counts = member.sum(axis=0)
    mean_a, mean_b = (member.T @ a) / counts[:, None], (member.T @ b) / counts[:, None]
    trace_a = member.T @ np.square(a - mean_a[codes]).sum(axis=1)
    trace_b = member.T @ np.square(b - mean_b[codes]).sum(axis=1)
    means = inner(mean_a * np.sqrt(counts)[:, None], mean_b * np.sqrt(counts)[:, None])
    numerator = means + float((trace_a * trace_b / np.maximum(counts - 1, 1)).sum())
    return float(numerator / np.sqrt(inner(a, a) * inner(b, b)))


def linear_cka_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return linear CKA of x and y[p] for each permutation p; only the numerator is recomputed."""
    if len(x) <= FEW:
        a, b = centered_sides(x, y, 3)
        return matched_products(gram(a), gram(b), permutations) / float(np.sqrt(inner(a, a) * inner(b, b)))
    # The next score with these permutations gets them, as the composites do.
    return derived(
        ("drawn", digest(permutations)), (x, y), lambda: Repaired.of(x, y).linear_cka(permutations)
    )


def _linear_deletions(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> Matrix:
    return np.asarray([sums.linear_cka() for sums in deletion_sums(x, y, blocks)])


def _linear_moments(x: Matrix, y: Matrix, codes: NDArray[np.intp] | None) -> ProductMoments:
    a, b = pair_to_center(x, y, 3)
    return kernel_product((centered_gram(side, name) for side, name in ((a, "x"), (b, "y"))), codes)


def _streamed_null(sample: Sample) -> tuple[float, float, float | None]:
    return *sample.sums.linear_cka_null(), sample.within_mean


LINEAR_NULL = NullModel(
    draw=linear_cka_draw,
    exact=linear_cka_null,
    within_mean=linear_cka_within_mean,
    moments=_linear_moments,
    streamed=_streamed_null,
)


@METRICS.register(
    "linear_cka",
    family="cka",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=INVARIANCES,
    min_n=3,
    null=LINEAR_NULL,
    interval="jackknife",
    deletions=_linear_deletions,
    squares=4,
    streamed=lambda sample: sample.sums.linear_cka(),
)
def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return linear centred kernel alignment: the similarity structure of pairs that both sides share.

    $\frac{\langle A, B\rangle}{\|A\|\,\|B\|}$ with $A = HXX^\top H$, $B = HYY^\top H$. It is biased upward:
    independent data score high if n is small relative to the dimensions; see `linear_cka_null` and
    `debiased_cka`.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy]; row i is the partner of x's row i.

    Returns:
        A value in [0, 1]; 1 if one side is the other rotated, scaled and shifted.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Kornblith et al. (2019), arXiv 1905.00414; Escoufier's RV coefficient (1973).

    Examples:
        >>> linear_cka([[0, 0], [1, 0], [0, 1]], [[0.0, 0], [0, 2], [2, 0]])
        1.0
    """
    return linear_sums(x, y).linear_cka()


def _calibrated_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    mean, std = linear_sums(x, y).headroom()
    return 0.0, std / (1 - mean)


def _calibrated_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    mean, _ = linear_sums(x, y).headroom()
    return (linear_cka_within_mean(x, y, codes) - mean) / (1 - mean)


def _calibrated_moments(x: Matrix, y: Matrix, codes: NDArray[np.intp] | None) -> ProductMoments:
    mean, _ = linear_sums(x, y).headroom()
    return _linear_moments(x, y, codes).scaled(1 / (1 - mean), -mean / (1 - mean))


def calibrated_cka_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return calibrated CKA of x and y[p] for each permutation p."""
    return calibrated(x, y, linear_cka_draw(x, y, permutations))


def calibrated(x: Matrix, y: Matrix, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibrated CKA of re-paired sides, given their linear CKA: re-pairing leaves the scale."""
    mean, _ = linear_sums(x, y).headroom()
    return (drawn - mean) / (1 - mean)


def _calibrated_streamed_null(sample: Sample) -> tuple[float, float, float | None]:
    mean, std = sample.sums.headroom()
    within = sample.within_mean
    return 0.0, std / (1 - mean), None if within is None else (within - mean) / (1 - mean)


def _calibrated_deletions(x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]]) -> Matrix:
    return np.asarray([sums.calibrated_cka() for sums in deletion_sums(x, y, blocks)])


@METRICS.register(
    "calibrated_cka",
    family="cka",
    pairing=True,
    bounds=(-np.inf, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=INVARIANCES,
    min_n=5,
    null=NullModel(
        draw=calibrated_cka_draw,
        exact=_calibrated_null,
        within_mean=_calibrated_within_mean,
        moments=_calibrated_moments,
        streamed=_calibrated_streamed_null,
    ),
    interval="jackknife",
    deletions=_calibrated_deletions,
    squares=4,
    streamed=lambda sample: sample.sums.calibrated_cka(),
)
def calibrated_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return linear CKA on a scale from chance (0) to identity (1).

    $(\mathrm{CKA} - \mu_0)/(1 - \mu_0)$ with the exact mean $\mu_0$ over all re-pairings. Chance is 0 for any
    n and widths; above it, the score is lower than `debiased_cka` where the effective dimensions
    $\mathrm{tr}(A)^2/\|A\|^2$ of the sides differ and are not small beside n.

    Args:
        x: vision side [n, dx], n ≥ 5.
        y: text side [n, dy].

    Returns:
        A value ≤ 1; negative if the pairing is worse than chance.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, there are fewer than 5 rows, or chance is 1.

    Source:
        `linear_cka_null` for the mean; the adjustment for chance is that of Hubert and Arabie (1985).
    """
    return linear_sums(x, y, 5).calibrated_cka()
