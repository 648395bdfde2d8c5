"""Centred kernel alignment: linear, RBF, debiased and calibrated, with the exact permutation null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, check_pair, standardized
from alignbench.metrics.nulls import (
    KernelMoments,
    kernel_moments,
    matched_norms,
    matched_products,
    permutation_moments,
    within_class_mean,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

KERNEL_INVARIANCES = ("rotation", "isotropic_scale", "translation")
GRAM_LIMIT = 1024  # below, n x n matrices are cheap, and free of the feature form's cancellation
NULL_GRAM_LIMIT = 2000


def _sides(x: ArrayLike, y: ArrayLike, min_n: int) -> tuple[Matrix, Matrix]:
    a, b = check_pair(x, y, min_n)
    return standardized(a, "x"), standardized(b, "y")


def _cross(x: Matrix, y: Matrix) -> float:
    """Return ⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖² by whichever form takes fewer operations."""
    n, dx, dy = len(x), x.shape[1], y.shape[1]
    if x is y:
        return float(np.square(x @ x.T if n < dx else x.T @ x).sum())
    if n * (dx + dy) < dx * dy:
        return float(np.vdot(x @ x.T, y @ y.T))
    return float(np.square(x.T @ y).sum())


def _moments(x: Matrix) -> KernelMoments:
    lengths = np.einsum("ij,ij->i", x, x)
    return KernelMoments(len(x), float(lengths.sum()), _cross(x, x), float(lengths @ lengths))


def _linear(x: Matrix, y: Matrix) -> float:
    return bounded(_cross(x, y) / np.sqrt(_cross(x, x) * _cross(y, y)), (0, 1), "linear_cka")


def linear_cka_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    r"""Return mean and standard deviation of linear CKA over all n! re-pairings, exactly and without drawing.

    $\mu_0 = \frac{TU}{(n-1)\,\|A\|\|B\|}$ with $T, U$ the traces of the centred Gram matrices; cost O(n·d²).
    The standard deviation exists from n = 4 on (NaN at 3). The null is skewed: p-values need drawn
    permutations.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].

    Raises:
        InputError, DegenerateError, TooFewSamplesError: see `alignbench.metrics.checks`; n ≥ 3.

    Source:
        Kazi-Aoual et al. (1995), for the RV coefficient, which linear CKA is.
    """
    a, b = (_moments(side) for side in _sides(x, y, 3))
    mean, std = permutation_moments(a, b)
    scale = float(np.sqrt(a.squared * b.squared))
    return mean / scale, std / scale


def linear_cka_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    r"""Return the mean of linear CKA over all permutations inside the classes, exactly.

    Its numerator is $\|\sum_c n_c \bar x_c \bar y_c^\top\|^2 + \sum_c T_c U_c/(n_c - 1)$, with the globally
    centred class means and the traces of the scatter within each class.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        codes: class numbers 0 … c−1 [n].
    """
    a, b = _sides(x, y, 3)
    member = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    counts = member.sum(axis=0)
    mean_a, mean_b = (member.T @ a) / counts[:, None], (member.T @ b) / counts[:, None]
    trace_a = member.T @ np.square(a - mean_a[codes]).sum(axis=1)
    trace_b = member.T @ np.square(b - mean_b[codes]).sum(axis=1)
    means = _cross(mean_a * np.sqrt(counts)[:, None], mean_b * np.sqrt(counts)[:, None])
    numerator = means + float((trace_a * trace_b / np.maximum(counts - 1, 1)).sum())
    return float(numerator / np.sqrt(_cross(a, a) * _cross(b, b)))


def _linear_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    a, b = _sides(x, y, 3)
    scale = float(np.sqrt(_cross(a, a) * _cross(b, b)))
    if len(a) <= NULL_GRAM_LIMIT:
        products = matched_products(a @ a.T, b @ b.T, permutations)
    else:
        products = matched_norms(a, b, permutations)
    scores: Matrix = products / scale
    return scores


LINEAR_NULL = NullModel(draw=_linear_draw, exact=linear_cka_null, within_mean=linear_cka_within_mean)


@METRICS.register(
    "linear_cka",
    family="cka",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=KERNEL_INVARIANCES,
    min_n=3,
    null=LINEAR_NULL,
    interval="jackknife",
)
def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return linear centred kernel alignment: the pairwise similarity structure that both sides share.

    $\frac{\langle A, B\rangle}{\|A\|\,\|B\|}$ with $A = HXX^\top H$, $B = HYY^\top H$. Biased upward:
    independent data score high where n is small against the dimensions; see `linear_cka_null`,
    `debiased_cka`.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy], row i the partner of x's row i.

    Returns:
        A value in [0, 1]; 1 where one side is the other rotated, scaled and shifted.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side without variance, or fewer than 3 rows.

    Source:
        Kornblith et al. (2019), arXiv 1905.00414; Escoufier's RV coefficient (1973).

    Example:
        >>> linear_cka([[0, 0], [1, 0], [0, 1]], [[0.0, 0], [0, 2], [2, 0]])
        1.0
    """
    return _linear(*_sides(x, y, 3))


def _headroom(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    mean, std = linear_cka_null(x, y)
    if 1 - mean < 1e-6:
        raise DegenerateError(
            f"calibrated_cka: every pairing scores {mean:.9f}: nothing is above chance; use more samples"
        )
    return mean, std


def _calibrated_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    mean, std = _headroom(x, y)
    return 0.0, std / (1 - mean)


def _calibrated_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    mean, _ = _headroom(x, y)
    return (linear_cka_within_mean(x, y, codes) - mean) / (1 - mean)


def _calibrated_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    mean, _ = _headroom(x, y)
    return (_linear_draw(x, y, permutations) - mean) / (1 - mean)


@METRICS.register(
    "calibrated_cka",
    family="cka",
    pairing=True,
    bounds=(-np.inf, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=KERNEL_INVARIANCES,
    min_n=5,
    null=NullModel(draw=_calibrated_draw, exact=_calibrated_null, within_mean=_calibrated_within_mean),
    interval="jackknife",
)
def calibrated_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return linear CKA on the scale from chance (0) to identity (1): comparable across n and dimensions.

    $(\mathrm{CKA} - \mu_0)/(1 - \mu_0)$ with the exact mean $\mu_0$ over all re-pairings.

    Args:
        x: vision side [n, dx], n ≥ 5.
        y: text side [n, dy].

    Returns:
        A value ≤ 1; below 0 where the pairing is worse than chance.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side without variance, fewer than 5 rows, or chance is 1.

    Source:
        `linear_cka_null` for the mean; the adjustment for chance is Hubert and Arabie's (1985).
    """
    a, b = _sides(x, y, 5)
    mean, _ = _headroom(a, b)
    return (_linear(a, b) - mean) / (1 - mean)


def u_centered(kernel: Matrix) -> Matrix:
    r"""Return the U-centred kernel [n, n], n ≥ 4: zero diagonal, and rows that sum to zero without it.

    $\tilde K_{ij} = K_{ij} - \frac{r_i}{n-2} - \frac{r_j}{n-2} + \frac{\sum r}{(n-1)(n-2)}$, r the
    off-diagonal row sums.

    Source:
        Székely and Rizzo (2014), arXiv 1310.2926, eq. 3.1; Song et al. (2012), JMLR 13.
    """
    n = len(kernel)
    result: Matrix = kernel - np.diag(np.diagonal(kernel))
    rows = result.sum(axis=1)
    result = result - rows[:, None] / (n - 2) - rows / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
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


def _feature_hsic(x: Matrix, y: Matrix) -> float:
    """Return n(n−3)·HSIC₁ of linear kernels without an n x n matrix; x, y centred."""
    n = len(x)
    a, b = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    product = _cross(x, y) - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))
    return float(product)


def _debiased_norm(hsic: float, biased: float, side: str) -> float:
    if hsic <= 1e-20 * biased:
        raise DegenerateError(
            f"debiased_cka: {side}'s distances are all equal, so there is no structure to compare"
        )
    return float(np.sqrt(hsic))


def _debiased_kernels(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """Return both sides' U-centred linear kernels, each of unit norm."""
    kernels = []
    for side, name in ((x, "x"), (y, "y")):
        kernel = u_centered(side @ side.T)
        kernels.append(kernel / _debiased_norm(float(np.vdot(kernel, kernel)), _cross(side, side), name))
    return kernels[0], kernels[1]


def _debiased_null(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return 0 and √(2/(n(n−3))): U-centred kernels have no trace, so the data don't matter."""
    n = len(_sides(x, y, 4)[0])
    return 0.0, float(np.sqrt(2 / (n * (n - 3))))


def _debiased_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp]) -> float:
    return within_class_mean(*_debiased_kernels(*_sides(x, y, 4)), codes)


def _debiased_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
    a, b = _sides(x, y, 4)
    n = len(a)
    if n <= NULL_GRAM_LIMIT:
        return matched_products(*_debiased_kernels(a, b), permutations)
    lengths_a, lengths_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    diagonal = lengths_b[permutations] @ lengths_a
    constant = lengths_a.sum() * lengths_b.sum() / ((n - 1) * (n - 2))
    hsic = matched_norms(a, b, permutations) - n / (n - 2) * diagonal + constant
    scores: Matrix = hsic / np.sqrt(_feature_hsic(a, a) * _feature_hsic(b, b))
    return scores


@METRICS.register(
    "debiased_cka",
    family="cka",
    pairing=True,
    bounds=(-1, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=KERNEL_INVARIANCES,
    min_n=4,
    null=NullModel(draw=_debiased_draw, exact=_debiased_null, within_mean=_debiased_within_mean),
    interval="jackknife",
)
def debiased_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return debiased linear CKA: 0 on average for independent data, whatever n and the dimensions.

    $\frac{\langle \tilde A, \tilde B\rangle}{\|\tilde A\|\,\|\tilde B\|}$ with U-centred Gram matrices, in
    features $\mathrm{HSIC}_1 \propto \|X^\top Y\|^2 - \frac{n}{n-2}\sum a_i b_i + \frac{\sum a \sum
    b}{(n-1)(n-2)}$, a and b the squared lengths of the centred rows.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].

    Returns:
        A value in [−1, 1]; below 0 is chance.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side whose points are all equally far apart, or fewer than 4 rows.

    Source:
        Song et al. (2012), JMLR 13; Murphy, Zylberberg, Fyshe (2024), arXiv 2405.01012.
    """
    a, b = _sides(x, y, 4)
    n = len(a)
    if n > max(GRAM_LIMIT, a.shape[1], b.shape[1]) or n > NULL_GRAM_LIMIT:
        hsic = [_feature_hsic(a, a), _feature_hsic(b, b)]
        norms = [_cross(a, a), _cross(b, b)]
        if all(value > 1e-3 * norm for value, norm in zip(hsic, norms, strict=True)):
            return bounded(_feature_hsic(a, b) / np.sqrt(hsic[0] * hsic[1]), (-1, 1), "debiased_cka")
    return bounded(float(np.vdot(*_debiased_kernels(a, b))), (-1, 1), "debiased_cka")


def squared_distances(x: Matrix) -> Matrix:
    """Return all squared Euclidean distances [n, n]; those of equal points (up to rounding) are exactly 0."""
    lengths = np.einsum("ij,ij->i", x, x)
    result: Matrix = np.maximum(lengths[:, None] + lengths - 2 * (x @ x.T), 0.0)
    result = (result + result.T) / 2
    np.fill_diagonal(result, 0.0)
    result[result < 1e-13 * result.max()] = 0.0
    return result


def rbf_kernel(x: Matrix, fraction: float = 1.0, median: Literal["nonzero", "all"] = "nonzero") -> Matrix:
    r"""Return $K = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$ with σ = fraction · √median of the squared distances.

    Args:
        x: [n, d], with variance.
        fraction: the multiple of the median distance.
        median: of the non-zero distances of the upper triangle, or of all n² with the diagonal (as some
            papers do).
    """
    if not fraction > 0:
        raise InputError(f"fraction: expected a number above 0, got {fraction}")
    distances = squared_distances(x)
    chosen = distances[np.triu_indices(len(x), 1)] if median == "nonzero" else distances.ravel()
    if median == "nonzero":
        chosen = chosen[chosen > 0]
    middle = float(np.median(chosen))
    if middle == 0:
        raise DegenerateError(
            "rbf_kernel: the median distance is 0: most rows are equal; use median='nonzero'"
        )
    kernel: Matrix = np.exp(-distances / (2 * fraction**2 * middle))
    return kernel


def _rbf_kernels(x: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Matrix, Matrix]:
    """Return both sides' doubly centred kernels."""
    kernels = []
    for side in _sides(x, y, 3):
        kernel = rbf_kernel(side, **options)
        kernel = kernel - kernel.mean(axis=0)
        kernels.append(kernel - kernel.mean(axis=1, keepdims=True))
    return kernels[0], kernels[1]


def _norms(a: Matrix, b: Matrix) -> float:
    return float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))


def _rbf_null(x: ArrayLike, y: ArrayLike, **options: Any) -> tuple[float, float]:
    a, b = _rbf_kernels(x, y, **options)
    mean, std = permutation_moments(kernel_moments(a), kernel_moments(b))
    return mean / _norms(a, b), std / _norms(a, b)


def _rbf_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp], **options: Any) -> float:
    a, b = _rbf_kernels(x, y, **options)
    return within_class_mean(a, b, codes) / _norms(a, b)


def _rbf_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp], **options: Any) -> NDArray[np.float64]:
    a, b = _rbf_kernels(x, y, **options)
    return matched_products(a, b, permutations) / _norms(a, b)


def _rbf_settings(
    n: int, dims: tuple[int, ...], *, fraction: float = 1.0, median: str = "nonzero"
) -> dict[str, Any]:
    return {"fraction": fraction, "median": median}


@METRICS.register(
    "rbf_cka",
    family="cka",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=KERNEL_INVARIANCES,
    min_n=3,
    settings=_rbf_settings,
    null=NullModel(draw=_rbf_draw, exact=_rbf_null, within_mean=_rbf_within_mean),
    interval="jackknife",
)
def rbf_cka(
    x: ArrayLike, y: ArrayLike, *, fraction: float = 1.0, median: Literal["nonzero", "all"] = "nonzero"
) -> float:
    r"""Return CKA with Gaussian kernels: it sees shared neighbourhoods that a linear kernel misses.

    As `linear_cka` with $K = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$; biased upward in the same way.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy].
        fraction: σ in median distances.
        median: of which distances, see `rbf_kernel`.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side without variance, or fewer than 3 rows.

    Source:
        Kornblith et al. (2019), arXiv 1905.00414.
    """
    a, b = _rbf_kernels(x, y, fraction=fraction, median=median)
    return bounded(float(np.vdot(a, b)) / _norms(a, b), (0, 1), "rbf_cka")
