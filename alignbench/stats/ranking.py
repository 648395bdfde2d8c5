"""Tie groups: which models can't be told apart from the best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.stats.interval import jackknife_error
from alignbench.stats.leader import LEVEL, leader_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from alignbench.stats.joint import Joint

ROUNDING = 1e-12


def paired_ratio(difference: float, error: float) -> float:
    """Return the unsigned ratio of a difference to its error; 0 for no difference, infinite without error."""
    if error <= ROUNDING * max(1.0, abs(difference)):
        return 0.0 if abs(difference) <= ROUNDING else math.inf
    return abs(difference) / error


def paired_p(
    difference: float,
    deletions: Sequence[float],
    error: Callable[[Sequence[float]], float] = jackknife_error,
) -> float:
    """Return the two-sided p of a difference of two scores, from its values without each shared block.

    Args:
        difference: of the two scores.
        deletions: the difference without each block or, for trained scores, in each split.
        error: computes the standard error of `difference` from these.
    """
    from scipy.special import stdtr

    return float(2 * stdtr(len(deletions) - 1, -paired_ratio(difference, error(deletions))))


def holm_rejects(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects at family-wise `level`.

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6.
    """
    rejects = [False] * len(p_values)
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > level / (len(p_values) - step):
            break
        rejects[index] = True
    return rejects


def tie_groups(
    values: Mapping[str, float],
    joint: Joint | None,
    higher_is_better: bool = True,
    *,
    level: float = LEVEL,
) -> list[list[str]]:
    """Return the names in groups, best first: each group is a leader and all that can't be told from it.

    A name is told from the leader if it is behind by more errors of their difference than `leader_quantile`
    allows for that many names. Those that are told apart are removed, and the rest is tested again with the
    quantile for fewer names, until no further name is told apart. So if the best are equal, one of them is
    wrongly told from the leader in at most 5% of samples. The groups behind are formed by the same rule from
    the remaining names, each at this level by itself. If nothing is known about how the scores vary together,
    nothing can be told apart, and there is one group.

    Args:
        values: score by name.
        joint: how the scores vary together; it has at least the same names.
        higher_is_better: whether the best is the largest.
        level: the probability that equal models are told apart.
    """
    rest = sorted(values, key=lambda name: (-values[name] if higher_is_better else values[name], name))
    if joint is None:
        return [rest] if rest else []
    groups = []
    while rest:
        groups.append(_tied_with_first(rest, values, joint, level))
        rest = [name for name in rest if name not in groups[-1]]
    return groups


def _tied_with_first(
    order: Sequence[str], values: Mapping[str, float], joint: Joint, level: float
) -> list[str]:
    leader, *group = order
    ratios = {
        name: paired_ratio(values[leader] - values[name], joint.error_between(leader, name)) for name in group
    }
    while group:
        allowed = leader_quantile(len(group) + 1, joint.freedom, level)
        tied = [name for name in group if ratios[name] <= allowed]
        if len(tied) == len(group):
            break
        group = tied
    return [leader, *group]
