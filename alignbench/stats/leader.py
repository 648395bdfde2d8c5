"""How far behind the leader of several models chance alone can put one of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from alignbench.errors import InputError
from alignbench.stats.interval import t_quantile
from alignbench.stats.splits import rng_for

LEVEL = 0.05
DRAWS = 100_000


@lru_cache(maxsize=1024)
def leader_quantile(models: int, freedom: int, level: float = LEVEL) -> float:
    r"""Return the ratio of difference to error that a leader's largest lead exceeds with probability `level`.

    It is the studentised range, but with the paired error of each difference instead of one error for all:
    the upper quantile of $\max_i (z_{(1)} - z_i) / s_i$ over `models` equal and independent normal z, where
    $z_{(1)}$ is the largest and $s_i$ estimates the error of that very difference with `freedom` degrees of
    freedom. For two models that is the two-sided quantile of Student's t. A leader that is the largest of
    many is ahead by luck alone, which this quantile allows for, and correlation between the models is in the
    errors. Scores that are correlated in groups, or of unequal errors, exceed it less often than `level`.

    The quantile is that of 100,000 draws with a fixed seed, so `level` is met within .001 or so.

    Args:
        models: how many are compared, the leader included.
        freedom: of each error.
        level: the probability that any of `models` equal ones seems to be behind the leader.

    Raises:
        InputError: fewer than two models, no degree of freedom, or a level that is no probability.

    Source:
        Tukey (1953), The problem of multiple comparisons; Hayter (1984), Annals of Statistics 12, for unequal
        errors; Hsu (1996), Multiple Comparisons, chapter 4, for comparisons with the best.
    """
    if models < 2 or freedom < 1 or not 0 < level < 1:
        raise InputError(
            "leader_quantile: expected at least two models, freedom of at least 1 and a level between 0 "
            f"and 1, got {models}, {freedom} and {level}"
        )
    if models == 2:
        return t_quantile(1 - level / 2, freedom)
    rng = rng_for(0, "leader", str(models), str(freedom))
    scores = rng.standard_normal((DRAWS, models))
    scores.sort(axis=1)
    leads = scores[:, -1:] - scores[:, :-1]
    # Errors share the leader's part: given its length, those of the differences are noncentral chi-squared.
    shared = np.sqrt(2 * rng.standard_gamma(freedom / 2, (DRAWS, 1)))
    squares = (rng.standard_normal(leads.shape) + shared) ** 2
    squares += 2 * rng.standard_gamma((freedom - 1) / 2, leads.shape)
    largest = (leads / np.sqrt(squares / freedom)).max(axis=1)
    return float(np.quantile(largest, 1 - level))


def pair_level(models: int, freedom: int, level: float = LEVEL) -> float:
    """Return the two-sided level of the test of one pair that gives `level` over all models."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -leader_quantile(models, freedom, level)))
