"""Scores of many representations with many others: one kernel per layer; a score is a product of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.checks import check_min_n
from alignbench.metrics.cka_debiased import debiased_kernel
from alignbench.metrics.nearest import default_k, neighbor_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def _knn_kernel(x: Matrix) -> Matrix:
    k = default_k(len(x))
    kernel: Matrix = neighbor_weights(x, k) / np.sqrt(len(x) * k)
    return kernel


KERNELS: dict[str, Callable[[Matrix], Matrix]] = {
    "debiased_cka": debiased_kernel,
    "mutual_knn": _knn_kernel,
}
"""Metric -> its matrix [n, n] of one side; the metric is the inner product of both sides' matrices."""


def layer_kernels(x: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Return a metric's matrix of each layer: [l, n, n]; NaN for a layer without variance.

    Args:
        x: layers [n, l, d], n ≥ 4.
        name: a key of `KERNELS`.

    Raises:
        TooFewSamplesError: fewer than 4 rows.
    """
    check_min_n(len(x), 4, "layers")
    n, count, _ = x.shape
    kernels = np.full((count, n, n), np.nan)
    for layer in range(count):
        try:
            kernels[layer] = KERNELS[name](np.asarray(x[:, layer], dtype=np.float64))
        except DegenerateError:
            continue  # CLS is the same for all images before the first layer
    return kernels


def cell_products(a: NDArray[np.float64], b: NDArray[np.float64]) -> Matrix:
    """Return the inner product of each of [lx, n, n] with each of [ly, n, n]: [lx, ly]."""
    products: Matrix = a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    return products
