"""A race: models are scored on more and more of the data, and whoever is clearly not the best is dropped.

Only one mistake is guarded against: that the best model is dropped. At a look, every model is compared with
the leader by the difference of the two scores on the same samples. The looks share the error level of the
race by a spending function, and the models of a look share that look's part of it by Holm's procedure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from alignbench.errors import InputError
from alignbench.stats.interval import MIN_GROUPS, t_quantile
from alignbench.stats.joint import joint_of_deletions
from alignbench.stats.leader import LEVEL
from alignbench.stats.ranking import holm_rejects, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from alignbench.stats.joint import Joint

Ending = Literal["one is left", "margin", "all pairs", "budget"]
"""Why a race ended: one model was left, all that were left differ by less than the margin, all data were
used, or the budget does not allow another look."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The score of a model at a look, and its values without each block, which all models share."""

    value: float
    deletions: Sequence[float]


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a model is behind the leader of a look.

    Args:
        lead: the difference of the two scores, at least 0.
        error: its standard error, from the same samples.
        p: the one-sided p of the model being at least as good as the leader.
        reach: the largest difference in either direction that the data still allow at the level of the look.
        dropped: whether the model is dropped.
    """

    lead: float
    error: float
    p: float
    reach: float
    dropped: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the first samples shows.

    Args:
        groups: the number of groups of samples.
        level: the look's part of the error level.
        leader: the model with the best score; None if no model has one.
        values: model -> its score.
        behind: model -> how far it is behind the leader; all but the leader.
        unscored: model -> why it has no score and leaves the race.
    """

    groups: int
    level: float
    leader: str | None
    values: Mapping[str, float]
    behind: Mapping[str, Behind]
    unscored: Mapping[str, str] = field(default_factory=dict)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The models that are worse than the leader by more than chance."""
        return tuple(name for name, one in self.behind.items() if one.dropped)

    @property
    def stays(self) -> tuple[str, ...]:
        """The models that may be the best, in the order of their scores."""
        return tuple(name for name in self.values if name == self.leader or not self.behind[name].dropped)

    def within(self, margin: float) -> bool:
        """Return whether no model that stays can differ from the leader by `margin` or more."""
        return all(self.behind[name].reach < margin for name in self.stays if name != self.leader)


@dataclass(frozen=True, slots=True)
class Race:
    """A race from its first look to its end.

    Args:
        looks: the looks; the number of groups grows from one to the next.
        ending: why there are no further looks.
    """

    looks: tuple[Look, ...]
    ending: Ending

    @property
    def survivors(self) -> tuple[str, ...]:
        """The models that may be the best, in the order of their scores at the last look."""
        return self.looks[-1].stays if self.looks else ()

    @property
    def entries(self) -> int:
        """How many scores of groups the race took: each model counts the groups of its last look."""
        last: dict[str, int] = {}
        for look in self.looks:
            last |= dict.fromkeys((*look.values, *look.unscored), look.groups)
        return sum(last.values())


def look_sizes(groups: int, least: int = MIN_GROUPS) -> list[int]:
    """Return how many groups each look has: all, half, a quarter, ..., at least `least`; ascending.

    Raises:
        InputError: there are fewer than `least` groups.
    """
    if groups < least:
        raise InputError(f"a race needs at least {least} groups of samples, got {groups}; use more samples")
    sizes = [groups]
    while (half := math.ceil(groups / 2 ** len(sizes))) >= least:
        sizes.append(half)
    return sizes[::-1]


def spent(look: int, looks: int, error: float = LEVEL) -> float:
    """Return how much of the error level the first `look` of `looks` looks spend: error · look / looks.

    Samples double from look to look, so it is spent evenly over the logarithm of their number: as much for
    the first, cheap looks, which save the most, as for the last. The parts add up to the error level whatever
    the scores of different looks have in common (Bonferroni).
    """
    return error * look / looks


def judge(
    entries: Mapping[str, Entry],
    groups: int,
    level: float,
    higher_is_better: bool = True,
    unscored: Mapping[str, str] | None = None,
) -> Look:
    """Return which models are worse than the leader of a look by more than chance.

    The one-sided p of each difference comes from Student's t with the jackknife error of the difference, and
    Holm's procedure shares `level` among them. For the best model to be dropped at the first step, one of the
    m others, none of which is better, must be ahead of it with p ≤ level / m: the probability is at most
    `level`. Later steps count only models that are not told apart yet.

    Args:
        entries: model -> its score, with the values without each shared block.
        groups: the number of groups.
        level: the probability that the best model is dropped.
        higher_is_better: whether the best is the largest.
        unscored: model -> why it has no score.

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6; Maron and Moore (1994), Advances in Neural
        Information Processing Systems 6, for races of models.
    """
    sign = -1.0 if higher_is_better else 1.0
    order = sorted(entries, key=lambda name: (sign * entries[name].value, name))
    values = {name: float(entries[name].value) for name in order}
    behind: dict[str, Behind] = {}
    if len(order) > 1:
        joint = joint_of_deletions({name: entries[name].deletions for name in order})
        behind = _behind(order, values, joint, level)
    return Look(groups, level, order[0] if order else None, values, behind, dict(unscored or {}))


def _behind(
    order: Sequence[str], values: Mapping[str, float], joint: Joint, level: float
) -> dict[str, Behind]:
    from scipy.special import stdtr

    leader, *others = order
    leads = [abs(values[leader] - values[name]) for name in others]
    errors = [joint.error_between(leader, name) for name in others]
    # The leader is ahead by definition, so p is one-sided.
    p_values = [
        float(stdtr(joint.freedom, -paired_ratio(lead, error)))
        for lead, error in zip(leads, errors, strict=True)
    ]
    reach = t_quantile(1 - level / len(others), joint.freedom)
    dropped = holm_rejects(p_values, level)
    return {
        name: Behind(lead, error, p, lead + reach * error, gone)
        for name, lead, error, p, gone in zip(others, leads, errors, p_values, dropped, strict=True)
    }


def run_race(
    models: Sequence[str],
    sizes: Sequence[int],
    score: Callable[[Sequence[str], int], Mapping[str, Entry | str]],
    *,
    error: float = LEVEL,
    margin: float = 0.0,
    higher_is_better: bool = True,
    affordable: Callable[[Sequence[str], int], bool] = lambda models, groups: True,
) -> Race:
    """Return the race of several models.

    Args:
        models: the models.
        sizes: the number of groups of each look, ascending.
        score: returns model -> its score on the first so many groups, or why it has none; only the models
            that are still in the race are asked for.
        error: the probability that the best model is dropped at any look.
        margin: end when all models that are left differ by less than this, at the level of the look.
        higher_is_better: whether the best is the largest.
        affordable: whether these models may be scored on so many groups; asked before each look.

    Raises:
        InputError: there are fewer than two models, no looks, or a number is out of its range.
    """
    if len(models) < 2 or not sizes:
        raise InputError(f"a race takes at least two models and one look, got {len(models)} and {len(sizes)}")
    if not (0 < error < 1 and 0 <= margin < math.inf):
        raise InputError(f"a race: expected 0 < error < 1 and margin >= 0, got {error} and {margin}")
    looks: list[Look] = []
    left = tuple(models)
    for number, groups in enumerate(sizes, start=1):
        if not affordable(left, groups):
            return Race(tuple(looks), "budget")
        scored = score(left, groups)
        look = judge(
            {name: one for name, one in scored.items() if isinstance(one, Entry)},
            groups,
            spent(number, len(sizes), error) - spent(number - 1, len(sizes), error),
            higher_is_better,
            {name: one for name, one in scored.items() if isinstance(one, str)},
        )
        looks.append(look)
        left = look.stays
        if len(left) < 2:
            return Race(tuple(looks), "one is left")
        if look.within(margin):
            return Race(tuple(looks), "margin")
    return Race(tuple(looks), "all pairs")
