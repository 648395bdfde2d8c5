"""Neighbours by the products of rows as they are, of all rows and without each block."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.candidates import Candidates, nearest_of_candidates
from alignbench.metrics.derived import derived
from alignbench.metrics.distances import unit_rounding
from alignbench.metrics.nearest import Neighbors, nearest_by_products
from alignbench.metrics.neighbors_left import of_rows_left
from alignbench.metrics.sums import gram, lengths, products_of_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


def product_neighbors(x: Matrix, k: int) -> Neighbors:
    """Return the k rows of x [n, d] with the largest products with each row, itself excluded, uncentred."""
    size, rounding, near = np.sqrt(lengths(x)), unit_rounding(x.shape[1]), _candidates(x, k)
    if near is None:
        return _neighbors_of_products(products_of_rows(x), size, rounding, k)

    def products(rows: Indices) -> Iterator[tuple[Indices, Matrix]]:
        for some in row_blocks(len(rows), len(x)):
            yield rows[some], x[rows[some]] @ x.T

    def search(rows: Indices) -> Neighbors:
        return _neighbors_of_products(products(rows), size, rounding, k)

    return nearest_of_candidates(near, _reach(size, rounding), k, search)


def _candidates(x: Matrix, k: int) -> Candidates | None:
    return derived(("candidates", k), x, lambda: Candidates.of(products_of_rows(x), len(x), k))


def product_neighbors_left(x: Matrix, blocks: Sequence[Indices], k: int) -> Iterator[Neighbors]:
    """Yield `product_neighbors` of the rows of x [n, d] that are not in a block, for each block."""
    size, rounding = np.sqrt(lengths(x)), unit_rounding(x.shape[1])
    near = _candidates(x, k)
    products = cache(lambda: gram(x))
    for block in blocks:
        left = np.delete(np.arange(len(x)), block)

        def search(rows: Indices, left: Indices = left) -> Neighbors:
            return _neighbors_of_products(of_rows_left(products(), left, rows), size[left], rounding, k)

        if near is None:
            yield search(np.arange(len(left)))
        else:
            reach = _reach(size[left], rounding)
            yield nearest_of_candidates(near.take(left), reach, k, search)


def _neighbors_of_products(
    products_of: Iterable[tuple[slice | NDArray[np.intp], Matrix]], size: Matrix, rounding: float, k: int
) -> Neighbors:
    """Return `product_neighbors`, given the products of all rows.

    Args:
        products_of: see `nearest_by_products`.
        size: the length of each row [n].
        rounding: the rounding error of a product, as a share of both lengths.
        k: the number of neighbours.
    """

    def exact(products: Matrix, numbers: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        return -products, rounding * np.outer(size[numbers], size)

    return nearest_by_products(products_of, _reach(size, rounding), exact, k)


def _reach(size: Matrix, rounding: float) -> Matrix:
    """Return the most that the errors of two products of a row amount to [n]; see `nearest_by_products`."""
    reach: Matrix = 2 * rounding * size * size.max()
    return reach
