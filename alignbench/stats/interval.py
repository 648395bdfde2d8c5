"""Intervals: delete-block jackknife, Wilson, and the bootstrap over groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import codes_of, count_of
from alignbench.errors import InputError
from alignbench.stats.splits import assign, rng_for
from alignbench.types import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_GROUPS = 20
MAX_JACKKNIFE_BLOCKS = 100
CONSERVATIVE_BLOCKS = 10


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def deletion_blocks(groups: NDArray[np.str_], method: str, seed: int) -> list[NDArray[np.intp]]:
    """Return the rows of each block that a delete-block interval leaves out.

    They depend only on groups and seed, so values of two models without the same block can be paired.

    Args:
        groups: the group of each row.
        method: "jackknife": one block per group, at most 100; "blocks": 10 blocks.
        seed: the seed of the blocks.
    """
    count = count_of(groups)
    parts = min(count, MAX_JACKKNIFE_BLOCKS if method == "jackknife" else CONSERVATIVE_BLOCKS)
    block = assign(groups, parts, seed, "block")
    return [np.flatnonzero(block == number) for number in range(parts)]


def jackknife_error(deletions: Sequence[float] | NDArray[np.float64]) -> float:
    r"""Return the delete-block standard error $\sqrt{\frac{G-1}{G}\sum_g(\theta_{(g)} - \bar\theta)^2}$.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, eq. 11.5; Künsch (1989) for blocks.
    """
    values = np.asarray(deletions, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"deletions: expected at least two values, got shape {values.shape}")
    g = len(values)
    return float(np.sqrt((g - 1) / g * np.square(values - values.mean()).sum()))


def jackknife_interval(
    value: float,
    deletions: Sequence[float] | NDArray[np.float64],
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    method: str = "delete-block jackknife",
    level: float = 0.95,
) -> Interval:
    """Return value ± t₍G−1₎ · standard error, cut to the score's bounds.

    Args:
        value: the value on all groups.
        deletions: the values without each of the G blocks.
        bounds: the score's bounds.
        method: the interval's name, to which G is added.
        level: the confidence level.
    """
    half = t_quantile(0.5 + level / 2, len(deletions) - 1) * jackknife_error(deletions)
    low, high = max(value - half, bounds[0]), min(value + half, bounds[1])
    return Interval(low, high, f"{method}, G={len(deletions)}", level)


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's interval for a share of `n` groups, such as a recall@k (hits may be fractional).

    Source:
        Wilson (1927), Journal of the American Statistical Association 22.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"wilson_interval: expected 0 <= successes <= n and n >= 1, got {successes} of {n}")
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    share = successes / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return Interval(max(0.0, center - half), min(1.0, center + half), "Wilson over groups", level)


def bootstrap_interval(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int = 42,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return the percentile interval of a mean over queries (such as MRR), from resampling whole groups.

    Don't use it for kernel scores: a repeated row is its own partner, which looks like alignment.

    Args:
        values: one value per query [n].
        groups: the group of each query; by default, each query is its own.
        seed: the seed of the resampling.
        draws: the number of resamples.
        level: the confidence level.
    """
    numbers = np.asarray(values, dtype=np.float64)
    names = np.arange(len(numbers)) if groups is None else np.asarray(groups)
    if numbers.ndim != 1 or names.shape != numbers.shape or not len(numbers):
        raise InputError(
            f"values and groups: expected one of each a query, got {numbers.shape} and {names.shape}"
        )
    member = codes_of(names)
    sums, counts = np.bincount(member, numbers), np.bincount(member)
    chosen = rng_for(seed, "bootstrap").integers(len(sums), size=(draws, len(sums)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, (0.5 - level / 2, 0.5 + level / 2))
    return Interval(float(low), float(high), f"bootstrap over groups, {draws} draws", level)
