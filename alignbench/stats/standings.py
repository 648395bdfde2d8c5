"""Which of several models is best, and which can't be told from it: the only place that decides this."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats.best import probability_best
from alignbench.stats.interval import MIN_GROUPS
from alignbench.stats.joint import Joint, joint_of_deletions, joint_of_repeats
from alignbench.stats.leader import LEVEL
from alignbench.stats.needed import needed_of_ties
from alignbench.stats.ranking import tie_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.types import Score


@dataclass(frozen=True, slots=True)
class Standings:
    """The order of several models by one score.

    Args:
        order: the models that have a value, best first.
        tie_groups: `order`, cut where a difference is more than chance; None if the scores can't be compared
            in pairs, so that ties are unknown.
        beats_shuffled: the models whose score shuffled pairs reach in at most 5% of cases, or that have no
            such test.
        probability_best: model -> the probability that it is the best of these; None if ties are unknown or
            there is only one model.
        samples_needed: model that ties with the best -> about how many groups would tell the two apart; None
            if they hardly differ.
    """

    order: tuple[str, ...]
    tie_groups: tuple[tuple[str, ...], ...] | None = None
    beats_shuffled: tuple[str, ...] = ()
    probability_best: Mapping[str, float] | None = None
    samples_needed: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def top(self) -> tuple[str, ...]:
        """The leader and all models that can't be told from it; the leader alone if ties are unknown."""
        return self.tie_groups[0] if self.tie_groups else self.order[:1]

    @property
    def answer(self) -> tuple[str, ...]:
        """The same, but empty if none of these beats shuffled pairs: then nothing is the best."""
        return self.top if set(self.top) & set(self.beats_shuffled) else ()

    @property
    def winner(self) -> str | None:
        """The best model, if none ties with it and it beats shuffled pairs."""
        return self.answer[0] if self.tie_groups is not None and len(self.answer) == 1 else None


def standings(scores: Mapping[str, Score]) -> Standings:
    """Return the order of several models by their scores, and which of them tie.

    Args:
        scores: model -> its score, all of one metric on the same data; scores without a value don't count.
    """
    scores = {name: score for name, score in scores.items() if score.value is not None}
    values = {name: float(score.value or 0.0) for name, score in scores.items()}
    higher_is_better = all(score.higher_is_better for score in scores.values())
    sign = -1.0 if higher_is_better else 1.0
    order = tuple(sorted(values, key=lambda name: (sign * values[name], name)))
    beating = tuple(name for name in order if beats_shuffled(scores[name]))
    if len(order) < 2:
        return Standings(order, tuple((name,) for name in order), beating)
    joint = joint_of(scores)
    if joint is None:
        return Standings(order, None, beating)
    groups = tie_groups(values, joint, higher_is_better)
    best, *tied = groups[0]
    needed = needed_of_ties(best, tied, values, joint, min(score.n for score in scores.values()))
    return Standings(
        order=tuple(name for group in groups for name in group),
        tie_groups=tuple(map(tuple, groups)),
        beats_shuffled=beating,
        probability_best=probability_best({name: values[name] for name in order}, joint, higher_is_better),
        samples_needed={n: math.ceil(count) if math.isfinite(count) else None for n, count in needed.items()},
    )


def beats_shuffled(score: Score) -> bool:
    """Return whether the score's own null gives no reason to doubt it; True if there is no null."""
    return score.null is None or score.null.p is None or score.null.p <= LEVEL


def joint_of(scores: Mapping[str, Score]) -> Joint | None:
    """Return how two or more scores vary together.

    It is None if they share neither deletions nor repeats, or have too few groups for an interval.
    """
    sizes = {score.n for score in scores.values()}
    if len(scores) < 2 or len(sizes) > 1 or min(sizes) < MIN_GROUPS:
        return None
    blocks = {len(score.deletions) for score in scores.values()}
    if len(blocks) == 1 and min(blocks) > 1:
        return joint_of_deletions({name: score.deletions for name, score in scores.items()})
    layouts = {_layout(score) for score in scores.values()}
    if len(layouts) == 1 and (layout := layouts.pop()) is not None:
        splits, seeds, ratio = layout
        tables = {n: np.reshape(s.repeats, (splits, seeds)).tolist() for n, s in scores.items()}
        return joint_of_repeats(tables, ratio)
    return None


def _layout(score: Score) -> tuple[int, int, float] | None:
    """Return splits, seeds and the ratio of held-out to training groups; None if repeats don't match."""
    splits, seeds, ratio = (score.params.get(name) for name in ("splits", "seeds", "test_to_train"))
    if not (isinstance(splits, int) and isinstance(seeds, int) and isinstance(ratio, int | float)):
        return None
    fits = splits > 1 and seeds > 0 and len(score.repeats) == splits * seeds
    return (splits, seeds, float(ratio)) if fits and 0 < ratio < math.inf else None
