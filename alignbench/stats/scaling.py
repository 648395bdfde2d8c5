"""How many groups an order of models takes: nested samples, and whether they give the order of all groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SMALLEST = 30
ENOUGH = 0.95
"""The share of samples that have to give the order of all groups."""


def sizes_up_to(n: int, smallest: int = SMALLEST) -> tuple[int, ...]:
    """Return the sizes of nested samples: the smallest, doubled as long as it is below n, and n itself."""
    sizes = []
    while smallest < n:
        sizes.append(smallest)
        smallest *= 2
    return (*sizes, n)


def told_apart(tie_groups: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Return all (better, worse) models of different tie groups, whose order is more than chance."""
    return [
        (better, worse)
        for i, group in enumerate(tie_groups)
        for better in group
        for behind in tie_groups[i + 1 :]
        for worse in behind
    ]


def agreement(
    order: Sequence[tuple[str, str]],
    values: Mapping[str, Sequence[float]],
    higher_is_better: bool = True,
) -> float:
    """Return the share of samples in which each better model is ahead of each worse one.

    Args:
        order: all (better, worse) models.
        values: model -> its value in each sample; the samples are the same for all models.
        higher_is_better: whether a larger value is ahead.
    """
    sign = 1 if higher_is_better else -1
    samples = min(len(drawn) for drawn in values.values())
    kept = (
        all(sign * values[better][i] > sign * values[worse][i] for better, worse in order)
        for i in range(samples)
    )
    return sum(kept) / samples


def stands_from(shares: Mapping[int, float], enough: float = ENOUGH) -> int | None:
    """Return the smallest size from which every share is large enough; None if even the last one is not.

    Args:
        shares: size of the samples -> the share of them that give the order of all groups.
        enough: the share that is enough.
    """
    smallest = None
    for size in sorted(shares, reverse=True):
        if shares[size] < enough:
            break
        smallest = size
    return smallest
