"""Mean, variance and third moment of ⟨K, PLPᵀ⟩ over all permutations P, also within classes; exact."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.blocks import FEW
from alignbench.metrics.derived import derived
from alignbench.metrics.partitions import Partition, coarser, join, normal, patterns, weight
from alignbench.metrics.permuted_side import PermutedSide
from alignbench.metrics.permuted_symmetric import is_symmetric, symmetric_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.permuted_side import SecondSums

    Matrix = NDArray[np.float64]
    Axes = Sequence[int]

_LETTERS = 26  # axes of loops count down from here, those of classes up from 0


@dataclass(frozen=True, slots=True)
class ProductMoments:
    r"""Moments of a score over permutations.

    Args:
        mean: the mean.
        variance: the variance.
        third: the third central moment.
        spread: the squared coefficient of variation, over permutations, of the sum of the squared terms. If
            it is large, the score depends on how a few rows happen to be paired.
        step: the distance of neighbouring values, if there are only whole multiples of it.
    """

    mean: float
    variance: float
    third: float
    spread: float
    step: float = 0.0

    @property
    def skewness(self) -> float:
        """Third central moment over the cubed standard deviation; NaN without variance."""
        return self.third / self.variance**1.5 if self.variance > 0 else float("nan")

    def scaled(self, factor: float, shift: float = 0.0) -> ProductMoments:
        """Return the moments of the score times `factor`, plus `shift`."""
        return ProductMoments(
            self.mean * factor + shift,
            self.variance * factor**2,
            self.third * factor**3,
            self.spread,
            self.step * abs(factor),
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
    mean, variance = _mean_and_variance(a.second, b.second)
    sums_of_squares, their_variance = _mean_and_variance(a.squares, b.squares)
    third = _moment(a.second, 3, (lambda *p: _third_sum(a, *p), lambda *p: _third_sum(b, *p)))
    spread = their_variance / sums_of_squares**2 if sums_of_squares > 0 else 0.0
    return ProductMoments(mean, variance, third, spread)


def kernel_product(
    kernels: Iterable[Matrix], codes: NDArray[np.intp] | None, scale: float | None = None
) -> ProductMoments:
    """Return the moments of ⟨A, PBPᵀ⟩ / scale for the two `kernels`.

    Args:
        kernels: both matrices [n, n]; if they are made one after the other, only one is in memory.
        codes: class numbers 0 … c−1 [n]; None for permutations of all rows.
        scale: what the product is divided by; by default, ‖A‖‖B‖.
    """
    sides, size = [], 1.0
    for kernel in kernels:
        sides.append(permuted_side(kernel, codes))
        size *= float(np.linalg.norm(kernel)) if scale is None else 1.0
        del kernel
    return product_moments(*sides).scaled(1 / (size if scale is None else scale))


def permuted_side(
    kernel: Matrix, codes: NDArray[np.intp] | None, alike: PermutedSide | None = None
) -> PermutedSide:
    """Return `PermutedSide.of` these, computed once; for `alike`, see `symmetric_side`."""

    def compute() -> PermutedSide:
        if len(kernel) > FEW and is_symmetric(kernel):
            return symmetric_side(kernel, codes, alike)
        return PermutedSide.of(kernel, codes)

    return derived(("permuted", None if codes is None else codes.tobytes()), kernel, compute)


def _mean_and_variance(a: SecondSums, b: SecondSums) -> tuple[float, float]:
    pairs = np.outer(a.sizes, a.sizes) - np.diag(a.sizes)
    mean: float = (pairs * a.means * b.means).sum() + (a.sizes * a.diagonal * b.diagonal).sum()
    return mean, _moment(a, 2, (lambda *p: _second_sum(a, *p), lambda *p: _second_sum(b, *p)))


def _moment(
    sums: SecondSums, order: int, sides: Sequence[Callable[[Partition, int], tuple[Matrix, Axes]]]
) -> float:
    """Return the central moment of this order, 2 or 3.

    Args:
        sums: what both sides have in common: the sizes of classes and the factors of products of loops.
        order: the order of the moment.
        sides: (partition, number of loops) -> the sum of each side over the partition's blocks, for each
            class of each block, and what each axis is. An axis for the class of a block is the first slot of
            the block; that of loop number t is −1 − t.
    """
    total: float = 0
    for loops in range(order + 1):
        known = patterns(order - loops, loops)
        terms = (
            _term(
                sums,
                (p, q),
                loops,
                classes,
                [side(part, loops) for side, part in zip(sides, (p, q), strict=True)],
            )
            for p in known
            for q in known
            for classes in coarser(join(p, q))
        )
        total += Fraction(comb(order, loops), 2**loops) * sum(terms)
    return total


def _term(
    sums: SecondSums,
    both: tuple[Partition, Partition],
    loops: int,
    classes: Partition,
    found: Sequence[tuple[Matrix, Axes]],
) -> float:
    """Return the contribution of a partition of each side's slots, over all classes of their blocks.

    Args:
        sums: see `_moment`.
        both: the partition of each side.
        loops: how many of the slots are loops, at the end.
        classes: slots are of one class if, and only if, they share a block of this partition.
        found: each side's sum over its partition.
    """
    operands: list[Any] = []
    for array, axes in found:
        operands += [array, [classes[axis] if axis >= 0 else axis + _LETTERS for axis in axes]]
    for loop in range(loops):
        operands += [sums.scales, [classes[len(classes) - loops + loop], _LETTERS - 1 - loop]]
    for block in range(max(classes) + 1):
        slots = [slot for slot, other in enumerate(classes) if other == block]
        inside = [normal([partition[slot] for slot in slots]) for partition in both]
        factors = [weight(*inside, n) for n in sums.sizes.tolist()]
        operands += [np.asarray(factors, dtype=found[0][0].dtype), [block]]
        for other in range(block):
            operands += [1 - np.eye(len(sums.sizes), dtype=np.intp), [other, block]]
    result: float = np.einsum(*operands, [])
    return result


def _second_sum(side: SecondSums, p: Partition, loops: int) -> tuple[Matrix, Axes]:
    if loops:
        return side.loops, [0, -1, -2]
    return side.residuals[int(p != (0, 1, 0, 1))], [0, 1]


def _third_sum(side: PermutedSide, p: Partition, loops: int) -> tuple[Matrix, Axes]:
    sums = side.third
    edges = [(p[slot], p[slot + 1]) for slot in range(0, len(p) - loops, 2)]
    ends = p[len(p) - loops :]
    first = [p.index(block) for block in range(max(p) + 1)]
    free = [-1 - loop for loop in range(loops)]
    if loops == 3:
        return sums.loops, [first[0], *free]
    if loops == 2:
        return sums.edges, [*first, *(free if ends[0] == 0 else free[::-1])]
    if loops == 1:
        into = sum(edge[1] == ends[0] for edge in edges)
        return sums.doubles[into], [first[ends[0]], first[1 - ends[0]], *free]
    if max(p) == 1:
        back = sum(edge == (1, 0) for edge in edges)
        return sums.triples[int(back > 0)], first if back < 2 else first[::-1]
    out = [sum(edge[0] == block for edge in edges) for block in range(3)]
    if out == [1, 1, 1]:
        follow = dict(edges)
        return sums.triangles[1], [first[0], first[follow[0]], first[follow[follow[0]]]]
    return sums.triangles[0], [first[out.index(degree)] for degree in (2, 1, 0)]
