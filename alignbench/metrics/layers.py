"""Scores of many representations with many others: one kernel per layer; a score is a product of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.checks import check_min_n, check_varies
from alignbench.metrics.cka_debiased import debiased_kernel
from alignbench.metrics.nearest import default_k, neighbor_weights
from alignbench.metrics.nearest_products import product_neighbors
from alignbench.rows import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

PRH_K = 10


def _knn_kernel(x: Matrix) -> Matrix:
    k = default_k(len(x))
    kernel: Matrix = neighbor_weights(x, k) / np.sqrt(len(x) * k)
    return kernel


def _prh_kernel(x: Matrix) -> Matrix:
    check_varies(x, "layer")
    kernel: Matrix = product_neighbors(unit_rows(x), PRH_K).dense() / np.sqrt(len(x) * PRH_K)
    return kernel


KERNELS: dict[str, Callable[[Matrix], Matrix]] = {
    "debiased_cka": debiased_kernel,
    "mutual_knn": _knn_kernel,
}
"""Metric -> its matrix [n, n] of one side; the metric is the inner product of both sides' matrices."""

PRH: dict[str, Callable[[Matrix], Matrix]] = {"prh_mutual_knn": _prh_kernel}
"""The same under the choices of Huh et al. (2024) and their code: 10 neighbours by cosine, not centred."""


def clipped(x: Matrix, quantile: float = 0.95) -> Matrix:
    r"""Return layers [n, l, d] without outliers: all values within ±q, the mean quantile of a row's sizes.

    $q = \frac 1n \sum_i Q_{.95}(|x_{i\cdot\cdot}|)$, linearly interpolated.

    Source:
        platonic-rep, the code of Huh et al. (2024), arXiv 2405.07987: `remove_outliers` without `exact`.
    """
    limit = float(np.quantile(np.abs(x).reshape(len(x), -1), quantile, axis=1).mean())
    return np.clip(x, -limit, limit)


def chance_level(name: str, n: int) -> float:
    r"""Return the mean of a cell over all re-pairings of n rows: $k / (n-1)$ for neighbours, else 0.

    Debiased kernels add up to 0. Each row has k neighbours among n − 1 others, and a re-pairing makes any of
    them equally often one of the other side's k.

    Args:
        name: a key of `KERNELS` or `PRH`.
        n: the number of rows.
    """
    k = {"mutual_knn": default_k(n), "prh_mutual_knn": PRH_K}.get(name, 0)
    return k / (n - 1)


def layer_kernels(x: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Return a metric's matrix of each layer: [l, n, n]; NaN for a layer without variance.

    Args:
        x: layers [n, l, d], n ≥ 4.
        name: a key of `KERNELS` or `PRH`.

    Raises:
        TooFewSamplesError: fewer than 4 rows, or 12 for `PRH`.
    """
    check_min_n(len(x), PRH_K + 2 if name in PRH else 4, "layers")
    kernel = {**KERNELS, **PRH}[name]
    n, count, _ = x.shape
    kernels = np.full((count, n, n), np.nan)
    for layer in range(count):
        try:
            kernels[layer] = kernel(np.asarray(x[:, layer], dtype=np.float64))
        except DegenerateError:
            continue  # CLS is the same for all images before the first layer
    return kernels


def cell_products(a: NDArray[np.float64], b: NDArray[np.float64]) -> Matrix:
    """Return the inner product of each of [lx, n, n] with each of [ly, n, n]: [lx, ly]."""
    products: Matrix = a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    return products
