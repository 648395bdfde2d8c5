"""Mean, variance and third moment of ⟨K, PLPᵀ⟩ over all permutations P, also within classes; exact."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.partitions import Partition, coarser, join, normal, patterns, weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_BLOCK = 512  # rows of a product of two n x n matrices that are in memory at once


@dataclass(frozen=True, slots=True)
class ProductMoments:
    """The first three moments of ⟨K, PLPᵀ⟩ over permutations P: mean, variance and third central moment."""

    mean: float
    variance: float
    third: float

    @property
    def skewness(self) -> float:
        """Third central moment over the cubed standard deviation; NaN without variance."""
        return self.third / self.variance**1.5 if self.variance > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class PermutedSide:
    r"""The sums over one n x n matrix K that its products with a re-paired matrix depend on.

    For rows i of a class c and j of a class d, $k_{ij} = m_{cd} + a_{id} + b_{jc} + r_{ij}$ off the diagonal,
    where effects a and b of rows and columns sum to 0 over a class, and so do the rows and columns of the
    residual r in each block. The products of these parts are uncorrelated over permutations within the
    classes. The effects of a row, with its entry on the diagonal minus their mean, are its t *loops* u: a
    permutation moves them without regard to other rows.

    Args:
        sizes: the number of rows of each class [c].
        means: the mean of each block off the diagonal [c, c].
        diagonal: the mean of each class's diagonal [c].
        scales: twice the factor of each product of two loops [c, t].
        loops2, loops3: Σ of products of two and three loops of a row [c, t, t], [c, t, t, t].
        edges: Σ rᵢⱼ uᵢ uⱼ for i of class c and j of class d [c, d, t, t].
        double: Σ rᵢⱼ² and Σ rᵢⱼrⱼᵢ [2, c, d].
        double_loops: Σ rᵢⱼ²uᵢ, Σ rᵢⱼrⱼᵢuᵢ and Σ rⱼᵢ²uᵢ [3, c, d, t].
        triple: Σ rᵢⱼ³ and Σ rᵢⱼ²rⱼᵢ [2, c, d].
        triangles: Σ rᵢⱼrⱼₖrᵢₖ and Σ rᵢⱼrⱼₖrₖᵢ [2, c, d, e].
    """

    sizes: NDArray[np.intp]
    means: Matrix
    diagonal: Matrix
    scales: Matrix
    loops2: Matrix
    loops3: Matrix
    edges: Matrix
    double: Matrix
    double_loops: Matrix
    triple: Matrix
    triangles: Matrix

    @classmethod
    def of(cls, kernel: Matrix, codes: NDArray[np.intp] | None = None) -> PermutedSide:
        """Return the sums of a matrix [n, n], which need not be symmetric.

        It takes O(n³) operations, all of them in products of matrices, and three matrices [n, n] of memory.

        Args:
            kernel: [n, n].
            codes: class numbers 0 … c−1 [n], none of them empty; None for permutations of all rows.
        """
        residual = np.array(kernel)
        if codes is None:
            sizes = np.asarray([len(kernel)])
        else:
            order = np.argsort(codes, kind="stable")
            residual = residual[order].take(order, axis=1)
            sizes = np.bincount(codes)
        starts = np.cumsum(sizes) - sizes
        diagonal = np.array(np.diagonal(residual))
        np.fill_diagonal(residual, 0)
        means, row_effects, column_effects = _effects(residual, sizes, starts)
        of_row = np.repeat(np.arange(len(sizes)), sizes)
        residual -= means[:, of_row][of_row] + row_effects[:, of_row]
        residual -= column_effects[:, of_row].T
        np.fill_diagonal(residual, 0)
        diagonal_means = np.add.reduceat(diagonal, starts) / sizes
        loops, scales = _loops(row_effects, column_effects, diagonal - diagonal_means[of_row], sizes, of_row)
        return cls(
            sizes,
            means,
            diagonal_means,
            scales,
            **_loop_sums(loops, residual, starts),
            **_residual_sums(loops, residual, starts),
        )


def product_moments(a: PermutedSide, b: PermutedSide) -> ProductMoments:
    r"""Return the moments of $\sum_{ij} k_{ij} l_{\pi(i)\pi(j)}$ over all permutations within the classes.

    $E\prod = \sum_{p, q} w(p, q)\, K_p L_q$, where $K_p$ is the sum over all rows in which the slots of a
    block of p share their row, and w is `weight`. As all parts but the constant sum to 0 over any slot, only
    partitions without a block of one slot have such a sum: one for the square of loops, two for the square of
    residuals, and 19 for the third moment.

    Args:
        a: one side.
        b: the other side, with the same classes.

    Source:
        Mantel (1967), Cancer Research 27, 209-220, for mean and variance of one class; Kazi-Aoual et al.
        (1995), CSDA 20, 643-656, for the third moment of doubly centred kernels.
    """
    n = a.sizes
    pairs = np.outer(n, n) - np.diag(n)
    mean = (pairs * a.means * b.means).sum() + (n * a.diagonal * b.diagonal).sum()
    return ProductMoments(mean, _moment(a, b, 2), _moment(a, b, 3))


def _effects(matrix: Matrix, sizes: NDArray[np.intp], starts: NDArray[np.intp]) -> tuple[Matrix, ...]:
    """Return means [c, c], row effects [n, c] and column effects [n, c] of a matrix without diagonal."""
    of_row = np.repeat(np.arange(len(sizes)), sizes)
    rows, columns = np.add.reduceat(matrix, starts, axis=1), np.add.reduceat(matrix, starts, axis=0).T
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    means = np.add.reduceat(rows, starts, axis=0) / np.maximum(pairs, 1)
    own = np.arange(len(sizes)) == of_row[:, None]
    others = sizes - own  # how many entries a row has in each class
    rows = rows - others * means[of_row]
    columns = columns - others * means.T[of_row]
    size = sizes[of_row][:, None]
    total, difference = (rows + columns) / np.maximum(size - 2, 1), (rows - columns) / size
    row_effects = np.where(own, (total + difference) / 2, rows / sizes)
    column_effects = np.where(own, (total - difference) / 2, columns / sizes)
    return means, row_effects, column_effects


def _loops(
    row_effects: Matrix,
    column_effects: Matrix,
    diagonal: Matrix,
    sizes: NDArray[np.intp],
    of_row: NDArray[np.intp],
) -> tuple[Matrix, Matrix]:
    """Return all loops of each row [n, t], t = 2c + 1, and twice the factors of their products [c, t].

    Within a class of n rows, Σ (aᵢ + bⱼ)(a'ᵢ + b'ⱼ) over i ≠ j is (n − 2)/2 Σ (aᵢ + bᵢ)(a'ᵢ + b'ᵢ) +
    n/2 Σ (aᵢ − bᵢ)(a'ᵢ − b'ᵢ).
    """
    own = np.arange(len(sizes)) == of_row[:, None]
    first = np.where(own, row_effects + column_effects, row_effects)
    second = np.where(own, row_effects - column_effects, column_effects)
    loops = np.concatenate([first, second, diagonal[:, None]], axis=1)
    own = np.eye(len(sizes), dtype=bool)
    both = np.broadcast_to(2 * sizes, own.shape)
    twice = [np.where(own, sizes - 2, both), np.where(own, sizes, both), np.full((len(sizes), 1), 2)]
    return loops, np.concatenate(twice, axis=1)


def _loop_sums(loops: Matrix, residual: Matrix, starts: NDArray[np.intp]) -> dict[str, Matrix]:
    """Return `loops2`, `loops3` and `edges` of a side."""
    parts, width = np.split(loops, starts[1:]), loops.shape[1]
    squares = [(part[:, :, None] * part[:, None]).reshape(len(part), -1) for part in parts]
    cubes = [part.T @ square for part, square in zip(parts, squares, strict=True)]
    across = [part.T @ rows for part, rows in _by_class(loops, residual, starts)]
    edges = [
        [left @ part for left, part in zip(np.split(row, starts[1:], axis=1), parts, strict=True)]
        for row in across
    ]
    return {
        "loops2": np.asarray([part.T @ part for part in parts]),
        "loops3": np.asarray(cubes).reshape(-1, width, width, width),
        "edges": np.asarray(edges),
    }


def _residual_sums(loops: Matrix, residual: Matrix, starts: NDArray[np.intp]) -> dict[str, Matrix]:
    """Return `double`, `double_loops`, `triple` and `triangles` of a side."""

    def rows(matrix: Matrix) -> Matrix:
        return np.add.reduceat(matrix, starts, axis=1)

    def blocks(of_rows: Matrix) -> Matrix:
        return np.add.reduceat(of_rows, starts, axis=0)

    squares = residual * residual
    into = np.add.reduceat(squares, starts, axis=0).T
    out, triple = rows(squares), blocks(rows(squares * residual))
    mixed = blocks(rows(squares * residual.T))
    del squares
    mutual = rows(residual * residual.T)
    return {
        "double": np.asarray([blocks(out), blocks(mutual)]),
        "double_loops": np.asarray(
            [
                [part.T @ sums for part, sums in _by_class(loops, of_rows, starts)]
                for of_rows in (out, mutual, into)
            ]
        ).swapaxes(2, 3),
        "triple": np.asarray([triple, mixed]),
        "triangles": _triangles(residual, starts),
    }


def _by_class(a: Matrix, b: Matrix, starts: NDArray[np.intp]) -> zip[tuple[Matrix, Matrix]]:
    return zip(np.split(a, starts[1:]), np.split(b, starts[1:]), strict=True)


def _triangles(residual: Matrix, starts: NDArray[np.intp]) -> Matrix:
    """Return Σ rᵢⱼrⱼₖrᵢₖ and Σ rᵢⱼrⱼₖrₖᵢ for i, j, k of each three classes [2, c, c, c]."""
    n, count = len(residual), len(starts)
    ends = [*starts[1:], n]
    sums = np.zeros((2, count, count, count), dtype=residual.dtype)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        for top in range(start, end, _BLOCK):
            rows = slice(top, min(top + _BLOCK, end))
            for j, (low, high) in enumerate(zip(starts, ends, strict=True)):
                paths = residual[rows, low:high] @ residual[low:high]
                for number, closing in enumerate((residual[rows], residual[:, rows].T)):
                    closed = (paths * closing).sum(axis=0)
                    sums[number, i, j] += np.add.reduceat(closed, starts)
    return sums


def _moment(a: PermutedSide, b: PermutedSide, order: int) -> float:
    """Return the central moment of this order, 2 or 3."""
    total: float = 0
    for loops in range(order + 1):
        known = patterns(order - loops, loops)
        terms = (_term(a, b, p, q, loops) for p in known for q in known)
        total += Fraction(comb(order, loops), 2**loops) * sum(terms)
    return total


def _term(a: PermutedSide, b: PermutedSide, p: Partition, q: Partition, loops: int) -> float:
    """Return the contribution of the sums over p of one side and over q of the other, over all classes."""
    return sum(_of_classes(a, b, p, q, loops, classes) for classes in coarser(join(p, q)))


def _of_classes(
    a: PermutedSide, b: PermutedSide, p: Partition, q: Partition, loops: int, classes: Partition
) -> float:
    """Return the part of `_term` in which slots are of one class if, and only if, they share a block."""
    operands: list[Any] = []
    for side, partition in ((a, p), (b, q)):
        array, axes = _sum_over(side, partition, loops)
        operands += [array, [classes[axis] if axis >= 0 else axis + _LETTERS for axis in axes]]
    for loop in range(loops):
        operands += [a.scales, [classes[len(p) - loops + loop], _LETTERS - 1 - loop]]
    for block in range(max(classes) + 1):
        slots = [slot for slot, other in enumerate(classes) if other == block]
        inside = [normal([partition[slot] for slot in slots]) for partition in (p, q)]
        factors = [weight(*inside, n) for n in a.sizes.tolist()]
        operands += [np.asarray(factors, dtype=a.double.dtype), [block]]
        for other in range(block):
            operands += [1 - np.eye(len(a.sizes), dtype=np.intp), [other, block]]
    result: float = np.einsum(*operands, [])
    return result


_LETTERS = 26


def _sum_over(side: PermutedSide, p: Partition, loops: int) -> tuple[Matrix, Sequence[int]]:
    """Return the sums over a partition's blocks, for each class of each block, and what each axis is.

    An axis for the class of a block is the first slot of the block; the one of loop number t is −1 − t.
    """
    edges = [(p[slot], p[slot + 1]) for slot in range(0, len(p) - loops, 2)]
    ends = p[len(p) - loops :]
    first = [p.index(block) for block in range(max(p) + 1)]
    free = [-1 - loop for loop in range(loops)]
    if not edges:
        return (side.loops2 if loops == 2 else side.loops3), [first[0], *free]
    if len(edges) == 1:
        order = free if ends[0] == edges[0][0] else free[::-1]
        return side.edges, [*(first[block] for block in edges[0]), *order]
    if len(edges) == 2:
        if not loops:
            return side.double[int(edges[0] != edges[1])], first
        at = ends[0]
        into = sum(edge[1] == at for edge in edges)
        return side.double_loops[into], [first[at], first[1 - at], *free]
    if max(p) == 1:
        back = sum(edge == (1, 0) for edge in edges)
        return side.triple[int(back > 0)], first if back < 2 else first[::-1]
    out = [sum(edge[0] == block for edge in edges) for block in range(3)]
    if out == [1, 1, 1]:
        follow = dict(edges)
        return side.triangles[1], [first[0], first[follow[0]], first[follow[follow[0]]]]
    return side.triangles[0], [first[out.index(degree)] for degree in (2, 1, 0)]
