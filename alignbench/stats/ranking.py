"""Tie groups: who can't be told apart from the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats.interval import jackknife_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def paired_p(
    difference: float,
    deletions: Sequence[float],
    error: Callable[[Sequence[float]], float] = jackknife_error,
) -> float:
    """Return the two-sided p of a difference of two scores, from its values without each shared block.

    Args:
        difference: of the two scores.
        deletions: the difference without each block; of trained scores, in each split.
        error: gives the standard error of `difference` from these.
    """
    from scipy.special import stdtr

    spread = error(deletions)
    if spread <= 1e-12 * max(1.0, abs(difference)):
        return 1.0 if abs(difference) <= 1e-12 else 0.0
    return float(2 * stdtr(len(deletions) - 1, -abs(difference) / spread))


def holm_rejects(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
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
    deletions: Mapping[str, Sequence[float]],
    higher_is_better: bool = True,
    *,
    level: float = 0.05,
    error: Callable[[Sequence[float]], float] = jackknife_error,
) -> list[list[str]]:
    """Return the names in groups, best first, by the leader rule.

    Group 1 is the best and all whose paired difference with it covers 0 (shared deletions, Holm over the
    comparisons with it); these are taken out and the rule is applied to the rest. Without deletions, nobody
    can be told from anybody: one group.

    Args:
        values: score by name.
        deletions: by name the scores without each shared block, as `evaluate` gives them, all of one length;
            of trained scores those in each shared split.
        higher_is_better: whether the best is the largest.
        level: of the family-wise test.
        error: gives the standard error of a difference from its values without each block, or in each split
            (then it is `corrected_error` with the ratio of the splits).

    Raises:
        InputError: the deletions are not of the same blocks.
    """
    lengths = {len(deletions.get(name, ())) for name in values}
    if len(lengths) > 1:
        raise InputError(f"deletions: expected the same blocks for all names, got {sorted(lengths)} of them")
    rest = sorted(values, key=lambda name: (-values[name] if higher_is_better else values[name], name))
    if lengths <= {0, 1}:
        return [rest] if rest else []
    groups = []
    while rest:
        leader, others = rest[0], rest[1:]
        p_values = [
            paired_p(
                values[leader] - values[name],
                (np.asarray(deletions[leader]) - np.asarray(deletions[name])).tolist(),
                error,
            )
            for name in others
        ]
        apart = holm_rejects(p_values, level)
        groups.append([leader, *(name for name, is_apart in zip(others, apart, strict=True) if not is_apart)])
        rest = [name for name, is_apart in zip(others, apart, strict=True) if is_apart]
    return groups
