"""Sums over set partitions: how likely rows that fall together on one side fall together on the other."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import factorial, perm
from typing import TypeAlias

Partition: TypeAlias = tuple[int, ...]
"""The block of each slot; blocks are numbered in the order of their first slot."""


@cache
def partitions(slots: int) -> tuple[Partition, ...]:
    """Return all set partitions of some slots."""
    if slots == 0:
        return ((),)
    return tuple((*p, block) for p in partitions(slots - 1) for block in range(max(p, default=-1) + 2))


@cache
def patterns(edges: int, loops: int) -> tuple[Partition, ...]:
    """Return the partitions of the slots of `edges` entries kᵢⱼ (two slots each) and `loops` vectors uᵢ.

    The two slots of an entry are in two blocks, since the diagonal is 0, and no slot is alone in its block,
    since entries and vectors sum to 0 over any of their slots.
    """
    return tuple(
        p
        for p in partitions(2 * edges + loops)
        if all(p[2 * e] != p[2 * e + 1] for e in range(edges)) and all(p.count(block) > 1 for block in p)
    )


@cache
def join(p: Partition, q: Partition) -> Partition:
    """Return the finest partition in which slots are together that are together in `p` or in `q`."""
    joined = list(range(len(p)))
    for partition in (p, q):
        for slot, block in enumerate(partition):
            old, new = joined[slot], joined[partition.index(block)]
            joined = [new if b == old else b for b in joined]
    return normal(joined)


@cache
def coarser(p: Partition) -> tuple[Partition, ...]:
    """Return all partitions that unite blocks of `p`, and `p` itself."""
    return tuple(tuple(union[block] for block in p) for union in partitions(max(p) + 1))


def normal(blocks: list[int]) -> Partition:
    """Return the partition with its blocks numbered in the order of their first slot."""
    order = list(dict.fromkeys(blocks))
    return tuple(order.index(block) for block in blocks)


@cache
def weight(p: Partition, q: Partition, n: int) -> Fraction:
    r"""Return the factor of (Σ over p of one side) · (Σ over q of the other) in the mean over permutations.

    $\sum_{r \le p \wedge q} \mu(r, p)\,\mu(r, q) / (n)_{|r|}$ over all partitions r that are finer than both
    p and q, where μ is the Möbius function of set partitions and $(n)_m = n(n-1) \cdots (n-m+1)$. A sum over
    p is one in which the slots of a block share their row, and different blocks may do so, too.

    Source:
        Rota (1964), Zeitschrift für Wahrscheinlichkeitstheorie 2, 340-368, for the Möbius function.
    """
    fine = (r for r in partitions(len(p)) if _refines(r, p) and _refines(r, q) and max(r) < n)
    return sum((Fraction(_moebius(r, p) * _moebius(r, q), perm(n, max(r) + 1)) for r in fine), Fraction(0))


def _refines(fine: Partition, coarse: Partition) -> bool:
    return len(set(zip(fine, coarse, strict=True))) == max(fine) + 1


@cache
def _moebius(fine: Partition, coarse: Partition) -> int:
    """Return the product of (−1)^(m−1) (m−1)! over the coarse blocks, each made of m fine ones."""
    result = 1
    for block in set(coarse):
        inside = len({f for f, c in zip(fine, coarse, strict=True) if c == block})
        result *= (-1) ** (inside - 1) * factorial(inside - 1)
    return result
