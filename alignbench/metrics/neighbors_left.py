"""Nearest neighbours without each block of rows, from the products of all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.checks import Centering
from alignbench.metrics.distances import unit_rounding
from alignbench.metrics.kernels import centered_side
from alignbench.metrics.nearest import (
    angular_distances,
    cosine_neighbors,
    directions,
    nearest_by_products,
    neighbors_of_products,
    reach_of,
)
from alignbench.metrics.sums import gram, lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.distances import Points
    from alignbench.metrics.nearest import Neighbors

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

FARTHEST = 30.0  # lengths of a row beside its distance from the mean, beyond which products have lost digits


def cosine_neighbors_left(
    x: Matrix, blocks: Sequence[Indices], k: int, name: str = "x"
) -> Iterator[Neighbors]:
    r"""Yield `cosine_neighbors` of the rows that are not in a block, for each block.

    With the products $g_{ij}$ of rows minus the mean of all, and the mean $\delta$ of those that are left,
    the products of rows minus their own mean are $g_{ij} - x_i\delta - x_j\delta + \delta\delta$.

    Args:
        x: [n, d].
        blocks: the rows of each block.
        k: the number of neighbours.
        name: the side, for messages.
    """
    centered = centered_side(x, name)
    products = gram(centered)
    size = np.sqrt(np.diagonal(products))
    for block in blocks:
        left = np.delete(np.arange(len(x)), block)
        mean = centered[left].mean(axis=0)
        along, square = centered[left] @ mean, float(mean @ mean)
        distance = np.sqrt(np.maximum(size[left] ** 2 - 2 * along + square, 0.0))
        if not (size[left] + np.sqrt(square) < FARTHEST * distance).all():
            yield cosine_neighbors(x[left], k, name)
            continue
        lost = ((size[left] + np.sqrt(square)) / distance) ** 2
        side = Centering.of(x[left], name)
        points = directions(side.source, lengths(side.source), side.mean, side.rest)
        reach = reach_of(points.noise) + 16 * unit_rounding(x.shape[1]) * (lost + lost.max())

        def cosines(
            left: Indices = left, along: Matrix = along, square: float = square, distance: Matrix = distance
        ) -> Iterator[tuple[slice, Matrix]]:
            for rows in row_blocks(len(left), len(left)):
                some = products[left[rows]].take(left, axis=1)
                some -= along[rows, None] - square
                some -= along
                some /= distance
                some /= distance[rows, None]
                yield rows, some

        def exact(_: Matrix, rows: Indices, points: Points = points) -> tuple[Matrix, Matrix]:
            return angular_distances(points.take(rows), points)

        yield nearest_by_products(cosines(), reach, exact, k)


def product_neighbors_left(x: Matrix, blocks: Sequence[Indices], k: int) -> Iterator[Neighbors]:
    """Yield `product_neighbors` of the rows of x [n, d] that are not in a block, for each block."""
    products, size = x @ x.T, np.sqrt(lengths(x))
    for block in blocks:
        left = np.delete(np.arange(len(x)), block)
        some = ((rows, products[left[rows]].take(left, axis=1)) for rows in row_blocks(len(left), len(left)))
        yield neighbors_of_products(some, size[left], unit_rounding(x.shape[1]), k)
