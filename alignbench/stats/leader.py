"""How far chance alone can put one of several models behind the leader."""

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

    It is the studentised range, but with the paired error of each difference instead of one common error: the
    upper quantile of $\max_i (z_{(1)} - z_i) / s_i$ over `models` equal and independent normal z, where
    $z_{(1)}$ is the largest and $s_i$ estimates the error of that difference with `freedom` degrees of
    freedom. For two models, it is the two-sided quantile of Student's t. The largest of many values is ahead
    by luck alone; this quantile allows for that, and the errors account for correlation between the models.
    Scores that are correlated in groups, or have unequal errors, exceed it less often than `level`.

    The quantile comes from 100,000 draws with a fixed seed, so `level` holds within about .001.

    Args:
        models: the number of models, including the leader.
        freedom: the degrees of freedom of each error.
        level: the probability that any of `models` equal models seems to be behind the leader.

    Raises:
        InputError: there are fewer than two models, there is no degree of freedom, or the level is not a
            probability.

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
