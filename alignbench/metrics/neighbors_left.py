"""Nearest neighbours without each block of rows, from the nearest ones of all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.candidates import Candidates, nearest_of_candidates
from alignbench.metrics.checks import Centering, centered_beside
from alignbench.metrics.distances import unit_rounding
from alignbench.metrics.kernels import centered_side
from alignbench.metrics.nearest import (
    Neighbors,
    angular_distances,
    cosine_neighbors,
    cosines_of_rows,
    directions,
    nearest_by_products,
    noise_of,
    reach_of,
)
from alignbench.metrics.sums import gram, lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.distances import Points

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
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
    side = _Centered.of(x, k, name)
    for block in blocks:
        yield side.without(block)


@dataclass(frozen=True, eq=False)
class _Centered:
    """Rows, and what leaving out any block of them needs.

    Args:
        x: the rows [n, d].
        k: the number of neighbours.
        name: the side, for messages.
        centered: the rows minus their mean, scaled [n, d].
        given: their lengths before they were centred, in the same scale [n].
        size: those after that [n].
        near: the largest cosines; None where all are looked at.
    """

    x: Matrix
    k: int
    name: str
    centered: Matrix
    given: Vector
    size: Vector
    near: Candidates | None

    @classmethod
    def of(cls, x: Matrix, k: int, name: str) -> _Centered:
        """Return these rows."""
        centered = centered_side(x, name)
        given, size = (np.sqrt(lengths(side)) for side in (centered_beside(x, name)[1], centered))
        near = Candidates.of(cosines_of_rows(centered, size), len(x), k) if size.all() else None
        return cls(x, k, name, centered, given, size, near)

    @cached_property
    def products(self) -> Matrix:
        """The products of all centred rows [n, n]."""
        return gram(self.centered)

    def without(self, block: Indices) -> Neighbors:
        """Return the neighbours of the rows that are not in a block."""
        rounding = unit_rounding(self.x.shape[1])
        left = np.delete(np.arange(len(self.x)), block)
        size, given = self.size[left], self.given[left]
        mean = self.centered[left].mean(axis=0)
        along, square = self.centered[left] @ mean, float(mean @ mean)
        distance = np.sqrt(np.maximum(size**2 - 2 * along + square, 0.0))
        if not (size + np.sqrt(square) < FARTHEST * distance).all():
            return cosine_neighbors(self.x[left], self.k, self.name)
        lost = ((size + np.sqrt(square)) / distance) ** 2
        reach = reach_of(noise_of(given, distance, rounding)) + 16 * rounding * (lost + lost.max())

        @cache
        def points() -> Points:
            side = Centering.of(self.x[left], self.name)
            return directions(side.source, lengths(side.source), side.mean, side.rest)

        def exact(_: Matrix, rows: Indices) -> tuple[Matrix, Matrix]:
            return angular_distances(points().take(rows), points())

        def search(rows: Indices) -> Neighbors:
            return nearest_by_products(cosines(rows), reach, exact, self.k)

        def cosines(rows: Indices) -> Iterator[tuple[Indices, Matrix]]:
            for numbers, some in of_rows_left(self.products, left, rows):
                some -= along[numbers, None] - square
                some -= along
                some /= distance
                some /= distance[numbers, None]
                yield numbers, some

        if self.near is None:
            return search(np.arange(len(left)))
        near = self.near.take(left)
        products = near.products * (size[:, None] * size[near.columns])
        products += square - along[:, None] - along[near.columns]
        products /= distance[:, None] * distance[near.columns]
        least = bound_left(near.least, size, distance, along, square)
        return nearest_of_candidates(replace(near, products=products, least=least), reach, self.k, search)


def bound_left(least: Vector, size: Vector, distance: Vector, along: Vector, square: float) -> Vector:
    r"""Return what bounds the cosines of each row once a block is left out [m].

    A cosine c becomes $(c\,|x_i||x_j| - x_i\delta - x_j\delta + \delta\delta) / (d_i d_j)$; each
    part is bounded over all j.

    Args:
        least: what bounded the cosines of all rows [m].
        size: the lengths |x| [m].
        distance: the lengths d without the block [m].
        along: xδ [m].
        square: δδ.
    """
    share, rest = size / distance, square - along
    bound: Vector = np.maximum(least * share.max(), least * share.min()) * share
    bound += np.maximum(rest / distance.max(), rest / distance.min()) / distance
    bound += (-along / distance).max() / distance
    return bound


def of_rows_left(products: Matrix, left: Indices, rows: Indices) -> Iterator[tuple[Indices, Matrix]]:
    """Yield some of the rows that are left, and their products with all that are left.

    Args:
        products: those of all rows [n, n].
        left: which rows are left [m].
        rows: which of these are wanted.
    """
    for some in row_blocks(len(rows), len(left)):
        yield rows[some], products[left[rows[some]]].take(left, axis=1)
