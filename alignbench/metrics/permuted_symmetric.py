"""The sums of `PermutedSide` for a symmetric matrix, a few rows at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.permuted_side import SINGLE, Classes, Parts, PermutedSide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alignbench.metrics.permuted_side import SecondSums

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Residual = NDArray[np.floating]

ASYMMETRY = 1e-13  # of a kernel, as a share of its largest entry: what centring it leaves
_BLOCK = 256  # rows and columns of a product of residuals, which has full speed and stays in the cache


def is_symmetric(matrix: Matrix) -> bool:
    """Return whether a matrix is symmetric up to rounding."""
    allowed = ASYMMETRY * max(float(matrix.max()), -float(matrix.min()))
    blocks = (slice(top, top + _BLOCK) for top in range(0, len(matrix), _BLOCK))
    return all(np.abs(matrix[b, b.start :] - matrix[b.start :, b].T).max() <= allowed for b in blocks)


def symmetric_side(
    kernel: Matrix, codes: Indices | None = None, alike: PermutedSide | None = None
) -> PermutedSide:
    """Return `PermutedSide.of` a symmetric matrix.

    It takes n³/3 operations, all of them in products of matrices, and another matrix [n, n] of memory, which
    is one of float32 above SINGLE rows.

    Args:
        kernel: [n, n], symmetric up to rounding.
        codes: class numbers 0 … c−1 [n], none of them empty; None for permutations of all rows.
        alike: the sums of a matrix whose residual is a positive multiple of this one's, as that of a matrix
            which differs from this one in effects of rows and columns alone; its triangles are taken, so
            that O(n²) operations remain.
    """
    n = len(kernel)
    order = np.arange(n) if codes is None else np.argsort(codes, kind="stable")
    classes = Classes.of(np.asarray([n]) if codes is None else np.bincount(codes), kernel.dtype)
    none = np.zeros((len(classes.sizes),) * 2)
    rows = _Rows(kernel, None if codes is None else order, classes, (none,))
    entries = np.diagonal(kernel)[order]
    residual = np.empty((n, n), np.float64 if n <= SINGLE else np.float32) if alike is None else None
    parts = _Symmetric.of(rows, entries, third=True, residual=residual)
    squared = replace(rows, means=(parts.means, none))
    squares = _Symmetric.of(squared, np.square(entries - parts.diagonal[classes.of_row])).second()
    second = parts.second()
    return PermutedSide(
        second, parts.third(parts.triangles() if alike is None else _taken(alike, second)), squares
    )


def _taken(alike: PermutedSide, second: SecondSums) -> Matrix:
    """Return the triangles of a matrix whose residual is a positive multiple of another one's."""
    squared, others = (float(sums.residuals[0].sum()) for sums in (second, alike.second))
    factor = (squared / others) ** 1.5 if others > 0 else 0.0
    return factor * alike.third.triangles


@dataclass(frozen=True, slots=True)
class _Rows:
    """Entries of a symmetric matrix off its diagonal, sorted by class, or their squares.

    Args:
        kernel: [n, n].
        order: its rows, sorted by class [n]; None if they are.
        classes: the classes of the sorted rows.
        means: what is subtracted from each block [c, c]; if there are two, entries are squared in between.
    """

    kernel: Matrix
    order: Indices | None
    classes: Classes
    means: tuple[Matrix, ...]

    def less(self, means: Matrix) -> _Rows:
        """Return these entries minus the means of each block [c, c]."""
        return replace(self, means=(*self.means[:-1], self.means[-1] + means))

    def blocks(self) -> Iterator[tuple[int, slice, Matrix]]:
        """Yield some rows of one class, which fit the cache: the class, which rows, and their entries."""
        n, of_row = len(self.kernel), self.classes.of_row
        for number, (low, size) in enumerate(zip(self.classes.starts, self.classes.sizes, strict=True)):
            for some in row_blocks(size, n):
                rows = slice(low + some.start, low + some.stop)
                if self.order is None:
                    block = self.kernel[rows].copy()
                else:
                    block = self.kernel[self.order[rows]].take(self.order, axis=1)
                for step, means in enumerate(self.means):
                    if step:
                        np.multiply(block, block, out=block)
                    block -= means[number][of_row]
                _clear_diagonal(block, rows)
                yield number, rows, block

    def sums(self) -> tuple[Matrix, Matrix]:
        """Return each row's sums over classes [n, c], and the means of blocks [c, c]."""
        member, sizes = self.classes.member, self.classes.sizes
        sums = np.concatenate([block @ member for _, _, block in self.blocks()])
        pairs = np.outer(sizes, sizes) - np.diag(sizes)
        return sums, member.T @ sums / np.maximum(pairs, 1)


def _clear_diagonal(block: Matrix, rows: slice) -> None:
    """Set those entries of some rows of a matrix to 0 that are on its diagonal."""
    block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0.0


@dataclass(frozen=True, slots=True)
class _Symmetric(Parts):
    """The parts of a symmetric matrix.

    Args:
        squares: Σ rᵢⱼ² over each class [n, c].
        cubes: Σ rᵢⱼ³ over each class [n, c]; 0 if there is no need of the third moment.
        forward: Σ rᵢⱼuᵢ over the rows i of each class [c, n, t]; likewise.
        residual: r over 2 to the power of `exponent`, sorted by class [n, n]; None if it is not needed.
        exponent: a power of two that keeps products of residuals within the range of float32.
    """

    squares: Matrix
    cubes: Matrix
    forward: Matrix
    residual: Residual | None
    exponent: int

    @classmethod
    def of(
        cls, rows: _Rows, entries: Vector, *, third: bool = False, residual: Residual | None = None
    ) -> _Symmetric:
        """Return the parts of the matrix of these entries off the diagonal, and on it [n].

        Args:
            rows: the entries off the diagonal.
            entries: those on the diagonal [n].
            third: whether the third moment is needed.
            residual: where the residual is stored [n, n]; None to leave it out.
        """
        classes = rows.classes
        member, sizes, of_row = classes.member, classes.sizes, classes.of_row
        diagonal = entries @ member / sizes
        exponent = int(np.frexp(max(float(rows.kernel.max()), -float(rows.kernel.min())))[1])
        means = rows.sums()[1]
        centered = rows.less(means)
        sums, rest = centered.sums()  # rounding has left a rest of the means
        effects, _, loops = classes.effects(*[sums - rest[of_row] * (sizes - (member > 0))] * 2)
        every = np.concatenate([*loops, (entries - diagonal[of_row])[:, None]], axis=1)
        squares, cubes = np.zeros_like(member), np.zeros_like(member)
        forward = np.zeros((len(sizes), *every.shape))
        for number, some, block in centered.blocks():
            for part, of_rows in zip(classes.split(block.T), effects[some].T, strict=True):
                part -= of_rows
            block -= effects[:, number]
            _clear_diagonal(block, some)
            if residual is not None:
                np.ldexp(block, -exponent, out=residual[some], casting="same_kind")
            power = block * block
            squares[some] = power @ member
            if third:
                forward[number] += block.T @ every[some]
                power *= block
                cubes[some] = power @ member
        return cls(classes, means, diagonal, every, squares, cubes, forward, residual, exponent)

    def squared(self) -> list[Matrix]:
        return [self.squares] * 2

    def squared_and_cubed(self) -> list[Matrix]:
        return [self.squares] * 3 + [self.cubes] * 2

    def turned(self, vectors: list[Matrix]) -> list[Matrix]:
        """Return `forward`, as these vectors are the loops of each class."""
        return list(self.forward)

    def triangles(self) -> Matrix:
        """Return the triangles; above SINGLE rows, their paths of two edges are products in float32.

        Each three blocks of rows are taken in one order alone, instead of six.
        """
        if self.residual is None:
            raise ValueError("triangles: the residual was not kept")
        count = len(self.classes.sizes)
        found = np.zeros((count, count, count))
        blocks = [
            (number, slice(low + some, low + min(some + _BLOCK, size)))
            for number, (low, size) in enumerate(zip(self.classes.starts, self.classes.sizes, strict=True))
            for some in range(0, size, _BLOCK)
        ]
        for place, (c, first) in enumerate(blocks):
            for e, last in blocks[place:]:
                closing = self.residual[first, last]
                for d, middle, weight in self._between((c, first), (e, last)):
                    paths = self.residual[first, middle] @ self.residual[middle, last]
                    found[c, d, e] += weight * np.einsum("ij,ij->", paths, closing, dtype=np.float64)
        every = np.asarray([found.transpose(order) for order in permutations(range(3))]).sum(axis=0)
        triangles: Matrix = np.ldexp(np.asarray([every, every]), 3 * self.exponent)
        return triangles

    def _between(
        self, first: tuple[int, slice], last: tuple[int, slice]
    ) -> Iterator[tuple[int, slice, float]]:
        """Yield the rows from one block to another, by class, each with a weight.

        All three blocks of a triangle may be exchanged, in six ways. If two of them are the same block, each
        order is there twice, and if all are the same, six times.
        """
        (c, low), (e, high) = first, last
        if low == high:
            yield c, low, 1 / 6
            return
        yield c, low, 1 / 2
        for d in range(c, e + 1):
            start = max(low.stop, int(self.classes.starts[d]))
            stop = min(high.start, int(self.classes.starts[d] + self.classes.sizes[d]))
            if start < stop:
                yield d, slice(start, stop), 1.0
        yield e, high, 1 / 2
