"""CKA with Gaussian kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.metrics.bandwidths import NearbyKernels
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.deletions import without
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import Points, squared_distances
from alignbench.metrics.downdating import DOWNDATED_FROM
from alignbench.metrics.kernels import (
    INVARIANCES,
    doubly_centered,
    norms,
    rbf_kernel,
)
from alignbench.metrics.nulls import (
    kernel_moments,
    matched_products,
    permutation_moments,
    within_class_mean,
)
from alignbench.metrics.permuted import ProductMoments, kernel_product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]


def _rbf_kernels(x: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Matrix, Matrix]:
    """Return both sides' doubly centred kernels."""
    a, b = pair_to_center(x, y, 3)
    return _kernel(a, "x", **options), _kernel(b, "y", **options)


def _kernel(x: Matrix, name: str, **options: Any) -> Matrix:
    """Return the doubly centred kernel of a side."""

    def compute() -> Matrix:
        distances = squared_distances(Points.where_they_are(x, name))
        kernel = rbf_kernel(distances, out=distances, **options)
        return doubly_centered(kernel, out=kernel)

    return derived(("rbf", *sorted(options.items())), x, compute)


def _distances(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = pair_to_center(x, y, 3)
    return squared_distances(Points.where_they_are(a, "x")), squared_distances(Points.where_they_are(b, "y"))


def _rbf_null(x: ArrayLike, y: ArrayLike, **options: Any) -> tuple[float, float]:
    a, b = _rbf_kernels(x, y, **options)
    mean, std = permutation_moments(kernel_moments(a), kernel_moments(b))
    return mean / norms(a, b), std / norms(a, b)


def _rbf_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp], **options: Any) -> float:
    a, b = _rbf_kernels(x, y, **options)
    return within_class_mean(a, b, codes) / norms(a, b)


def _rbf_draw(x: Matrix, y: Matrix, permutations: NDArray[np.intp], **options: Any) -> NDArray[np.float64]:
    a, b = _rbf_kernels(x, y, **options)
    return matched_products(a, b, permutations) / norms(a, b)


def _rbf_moments(x: Matrix, y: Matrix, codes: NDArray[np.intp] | None, **options: Any) -> ProductMoments:
    return kernel_product(_rbf_kernels(x, y, **options), codes)


def _rbf_deletions(
    x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]], **options: Any
) -> NDArray[np.float64]:
    distances = _distances(x, y)
    quick = len(x) > DOWNDATED_FROM and options.get("median") == "nonzero"
    near = NearbyKernels.of(distances, options["fraction"]) if quick else None
    values = np.empty(len(blocks))
    for number, block in enumerate(blocks):
        value = None if near is None else near.cka_without(block)
        if value is None:
            a, b = (doubly_centered(rbf_kernel(without(side, block), **options)) for side in distances)
            value = float(np.vdot(a, b)) / norms(a, b)
        values[number] = value
    return values


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
    invariant_to=INVARIANCES,
    min_n=3,
    settings=_rbf_settings,
    null=NullModel(draw=_rbf_draw, exact=_rbf_null, within_mean=_rbf_within_mean, moments=_rbf_moments),
    interval="jackknife",
    deletions=_rbf_deletions,
    squares=6,
)
def rbf_cka(
    x: ArrayLike, y: ArrayLike, *, fraction: float = 1.0, median: Literal["nonzero", "all"] = "nonzero"
) -> float:
    r"""Return CKA with Gaussian kernels, which sees shared neighbourhoods that a linear kernel misses.

    Like `linear_cka` with $K = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$, and biased upward in the same way.

    Args:
        x: vision side [n, dx], n ≥ 3.
        y: text side [n, dy].
        fraction: σ as a multiple of the median distance.
        median: the distances that the median is taken over; see `rbf_kernel`.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance, or there are fewer than 3 rows.

    Source:
        Kornblith et al. (2019), arXiv 1905.00414.
    """
    a, b = _rbf_kernels(x, y, fraction=fraction, median=median)
    return bounded(float(np.vdot(a, b)) / norms(a, b), (0, 1), "rbf_cka")
