"""The sums over one matrix that its products with a re-paired matrix depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

SINGLE = 2000  # above this many rows, paths of two edges are products in float32
_BLOCK = 128  # rows of an n x n matrix whose products are in memory at once


@dataclass(frozen=True, slots=True)
class SecondSums:
    """What mean and variance of a product depend on; `PermutedSide` says what the letters are.

    Args:
        sizes: the number of rows of each class [c].
        means: the mean of each block off the diagonal [c, c].
        diagonal: the mean of each class's diagonal [c].
        scales: twice the factor of each product of two loops [c, t].
        loops: Σ of products of two loops of a row [c, t, t].
        residuals: Σ rᵢⱼ² and Σ rᵢⱼrⱼᵢ for i of class c and j of class d [2, c, d].
    """

    sizes: Indices
    means: Matrix
    diagonal: Matrix
    scales: Matrix
    loops: Matrix
    residuals: Matrix


@dataclass(frozen=True, slots=True)
class ThirdSums:
    """What the third moment of a product depends on in addition.

    Args:
        loops: Σ of products of three loops of a row [c, t, t, t].
        edges: Σ rᵢⱼuᵢuⱼ for i of class c and j of class d [c, d, t, t].
        doubles: Σ rᵢⱼ²uᵢ, Σ rᵢⱼrⱼᵢuᵢ and Σ rⱼᵢ²uᵢ [3, c, d, t].
        triples: Σ rᵢⱼ³ and Σ rᵢⱼ²rⱼᵢ [2, c, d].
        triangles: Σ rᵢⱼrⱼₖrᵢₖ and Σ rᵢⱼrⱼₖrₖᵢ for k of class e [2, c, d, e].
    """

    loops: Matrix
    edges: Matrix
    doubles: Matrix
    triples: Matrix
    triangles: Matrix


@dataclass(frozen=True, slots=True)
class PermutedSide:
    r"""One n x n matrix K as far as its products with a re-paired matrix depend on it.

    For rows i of a class c and j of a class d, $k_{ij} = m_{cd} + a_{id} + b_{jc} + r_{ij}$ off the diagonal,
    where effects a and b of rows and columns sum to 0 over a class, and so do the rows and columns of the
    residual r in each block. Over permutations within the classes, the products of these parts are
    uncorrelated. The effects of a row and its entry on the diagonal, minus their mean, are its t *loops* u: a
    permutation moves them without regard to other rows.

    Args:
        second: the sums for mean and variance.
        third: the sums for the third moment.
        squares: those for mean and variance of the squared entries, after the means of each block and of the
            diagonal were subtracted.
    """

    second: SecondSums
    third: ThirdSums
    squares: SecondSums

    @classmethod
    def of(cls, kernel: Matrix, codes: Indices | None = None) -> PermutedSide:
        """Return the sums of a matrix [n, n], which need not be symmetric.

        It takes O(n³) operations, all of them in products of matrices, and three matrices [n, n] of memory.

        Args:
            kernel: [n, n].
            codes: class numbers 0 … c−1 [n], none of them empty; None for permutations of all rows.
        """
        if codes is None:
            sizes, matrix = np.asarray([len(kernel)]), np.array(kernel)
        else:
            order = np.argsort(codes, kind="stable")
            sizes, matrix = np.bincount(codes), kernel[order].take(order, axis=1)
        classes = Classes.of(sizes, matrix.dtype)
        means, diagonal = classes.center(matrix)
        squares = _Dense.of(matrix * matrix, classes).second()
        parts = _Dense.of(matrix, classes)
        second = replace(parts.second(), means=means, diagonal=diagonal)
        return cls(second, parts.third(parts.triangles()), squares)


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of rows that are sorted by class.

    Args:
        sizes: the number of rows of each class [c].
        starts: the first row of each class [c].
        of_row: the class of each row [n].
        member: whether a row is of a class, as 0 or 1 [n, c].
    """

    sizes: Indices
    starts: Indices
    of_row: Indices
    member: Matrix

    @classmethod
    def of(cls, sizes: Indices, dtype: np.dtype[Any]) -> Classes:
        """Return classes of these sizes, whose `member` has this type."""
        of_row = np.repeat(np.arange(len(sizes)), sizes)
        member = (of_row[:, None] == np.arange(len(sizes))).astype(dtype)
        return cls(sizes, np.cumsum(sizes) - sizes, of_row, member)

    def split(self, rows: Matrix) -> list[Matrix]:
        """Return the rows of each class."""
        return np.split(rows, self.starts[1:])

    def center(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Subtract the means [c, c] of all blocks and [c] of their diagonals from a matrix; return both."""
        entries = np.array(np.diagonal(matrix))
        diagonal = entries @ self.member / self.sizes
        np.fill_diagonal(matrix, 0)
        pairs = np.outer(self.sizes, self.sizes) - np.diag(self.sizes)
        means = self.member.T @ (matrix @ self.member) / np.maximum(pairs, 1)
        for rows, of_class in zip(self.split(matrix), means, strict=True):
            rows -= of_class[self.of_row]
        np.fill_diagonal(matrix, entries - diagonal[self.of_row])
        return means, diagonal

    def effects(self, rows: Matrix, columns: Matrix) -> tuple[Matrix, Matrix, list[Matrix]]:
        """Return the effects of rows and of columns [n, c], and both as loops without the diagonal.

        Args:
            rows: the sums of each row over classes, without the diagonal and after the blocks' means [n, c].
            columns: those of each column [n, c].
        """
        own = np.arange(len(self.sizes)) == self.of_row[:, None]
        size = self.sizes[self.of_row][:, None]
        both, apart = (rows + columns) / np.maximum(size - 2, 1), (rows - columns) / size
        of_rows = np.where(own, (both + apart) / 2, rows / self.sizes)
        of_columns = np.where(own, (both - apart) / 2, columns / self.sizes)
        return of_rows, of_columns, [np.where(own, both, of_rows), np.where(own, apart, of_columns)]


@dataclass(frozen=True, slots=True)
class Parts(ABC):
    """The parts of a matrix, and what is summed over its residual; see `PermutedSide`.

    Args:
        classes: the classes of its rows.
        means: see `SecondSums`.
        diagonal: see `SecondSums`.
        loops: the loops of each row [n, t].
    """

    classes: Classes
    means: Matrix
    diagonal: Matrix
    loops: Matrix

    @abstractmethod
    def squared(self) -> list[Matrix]:
        """Return the sums over classes of rᵢⱼ² and rᵢⱼrⱼᵢ [n, c] each."""

    @abstractmethod
    def squared_and_cubed(self) -> list[Matrix]:
        """Return the sums over classes of rᵢⱼ², rᵢⱼrⱼᵢ, rⱼᵢ², rᵢⱼ³ and rᵢⱼ²rⱼᵢ [n, c] each."""

    @abstractmethod
    def turned(self, vectors: list[Matrix]) -> list[Matrix]:
        """Return Σ rᵢⱼuᵢ over the rows i of each class [n, t], given the vectors of these rows [n_c, t]."""

    @abstractmethod
    def triangles(self) -> Matrix:
        """Return the triangles of the residual; see `ThirdSums`."""

    def scales(self) -> Matrix:
        """Return twice the factors of products of loops [c, t].

        Within a class of n rows, Σ (aᵢ + bⱼ)(a'ᵢ + b'ⱼ) over i ≠ j is (n − 2)/2 Σ (aᵢ + bᵢ)(a'ᵢ + b'ᵢ) +
        n/2 Σ (aᵢ − bᵢ)(a'ᵢ − b'ᵢ).
        """
        sizes = self.classes.sizes
        own = np.eye(len(sizes), dtype=bool)
        factors = [np.where(own, sizes - 2, 2 * sizes), np.where(own, sizes, 2 * sizes)]
        return np.concatenate([*factors, np.full((len(sizes), 1), 2)], axis=1)

    def second(self) -> SecondSums:
        """Return what mean and variance depend on."""
        return SecondSums(
            self.classes.sizes,
            self.means,
            self.diagonal,
            self.scales(),
            np.asarray([loops.T @ loops for loops in self.classes.split(self.loops)]),
            np.asarray([self.classes.member.T @ of_rows for of_rows in self.squared()]),
        )

    def third(self, triangles: Matrix) -> ThirdSums:
        """Return what the third moment depends on in addition, given the triangles."""
        split, member = self.classes.split, self.classes.member
        loops, width = split(self.loops), self.loops.shape[1]
        pairs = [(u[:, :, None] * u[:, None]).reshape(len(u), -1) for u in loops]
        edges = [
            [part.T @ v for part, v in zip(split(turned), loops, strict=True)]
            for turned in self.turned(loops)
        ]
        *doubles, cubes, mixed = self.squared_and_cubed()
        return ThirdSums(
            np.asarray([u.T @ pair for u, pair in zip(loops, pairs, strict=True)]).reshape(-1, *[width] * 3),
            np.asarray(edges),
            np.asarray([[q.T @ u for q, u in zip(split(sums), loops, strict=True)] for sums in doubles]),
            np.asarray([member.T @ of_rows for of_rows in (cubes, mixed)]),
            triangles,
        )


@dataclass(frozen=True, slots=True)
class _Dense(Parts):
    """The parts of a matrix whose residual is in memory [n, n]."""

    residual: Matrix

    @classmethod
    def of(cls, matrix: Matrix, classes: Classes) -> _Dense:
        """Return the parts of a matrix [n, n], which is overwritten by its residual."""
        means, diagonal = classes.center(matrix)
        varied = np.array(np.diagonal(matrix))
        np.fill_diagonal(matrix, 0)
        of_rows, of_columns, loops = classes.effects(matrix @ classes.member, matrix.T @ classes.member)
        for block, of_class in zip(classes.split(matrix.T), of_rows.T, strict=True):
            block -= of_class
        for block, of_class in zip(classes.split(matrix), of_columns.T, strict=True):
            block -= of_class
        np.fill_diagonal(matrix, 0)
        every = np.concatenate([*loops, varied[:, None]], axis=1)
        return cls(classes, means, diagonal, every, matrix)

    def _sums(self, *products: Callable[[Matrix, Matrix], Matrix]) -> list[Matrix]:
        """Return, for each product of a block of rows and the same columns, its rows' sums over classes."""
        found = []
        for top in range(0, len(self.residual), _BLOCK):
            rows = self.residual[top : top + _BLOCK]
            columns = self.residual[:, top : top + _BLOCK].T.copy()
            found.append([product(rows, columns) @ self.classes.member for product in products])
        return [np.concatenate(of_blocks) for of_blocks in zip(*found, strict=True)]

    def squared(self) -> list[Matrix]:
        return self._sums(lambda rows, _: rows * rows, np.multiply)

    def squared_and_cubed(self) -> list[Matrix]:
        return self._sums(
            lambda rows, _: rows * rows,
            np.multiply,
            lambda _, columns: columns * columns,
            lambda rows, _: rows * rows * rows,
            lambda rows, columns: rows * rows * columns,
        )

    def turned(self, vectors: list[Matrix]) -> list[Matrix]:
        blocks = self.classes.split(self.residual)
        return [block.T @ u for block, u in zip(blocks, vectors, strict=True)]

    def triangles(self) -> Matrix:
        """Return the triangles; above SINGLE rows, their paths of two edges are products in float32."""
        exact, member = self.residual, self.classes.member
        quick = exact if len(exact) <= SINGLE else exact.astype(np.float32)
        count = len(self.classes.sizes)
        found = np.zeros((2, count, count, count), dtype=exact.dtype)
        for top in range(0, len(exact), _BLOCK):
            block = slice(top, top + _BLOCK)
            closings = exact[block], exact[:, block].T.copy()
            for j, (low, size) in enumerate(zip(self.classes.starts, self.classes.sizes, strict=True)):
                paths = quick[block, low : low + size] @ quick[low : low + size]
                for number, closing in enumerate(closings):
                    found[number, :, j] += member[block].T @ ((paths * closing) @ member)
        return found
