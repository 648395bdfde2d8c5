"""Whether nearest neighbours name another best encoder than the score that encoders are ranked by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.findings.choice import of_metric, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from alignbench.stats import Standings
    from alignbench.types import Score

BESIDE = "calibrated_cka"  # the ranking that is compared with the one by neighbours
LOCAL = "calibrated_mutual_knn"
_SAME_ORDER = ("mutual_knn", LOCAL)  # one is a linear map of the other, the same for all encoders


@dataclass(frozen=True, slots=True)
class LocalBest:
    """The answer by nearest neighbours, where it is another one.

    Args:
        best: the encoders that may be the best by neighbours, none of which may be so by calibrated CKA.
        values: encoder -> its calibrated_mutual_knn, for these and for those that may be the best by CKA.
    """

    best: tuple[str, ...]
    values: Mapping[str, float]


def local_best(
    scores: Sequence[Score],
    metric: str | None,
    standing: Standings,
    judge: Callable[[Mapping[str, Score]], Standings],
) -> LocalBest | None:
    """Return the best encoders by calibrated_mutual_knn; None where they agree with those by calibrated CKA.

    Answers agree if an encoder may be the best by both, ties included. Without ties that are known, and
    where no encoder beats shuffled pairs, there is nothing to compare.

    Args:
        scores: the scores of all encoders with one LLM on one data type.
        metric: the metric that the encoders are ranked by.
        standing: their order by it.
        judge: (encoder -> score) -> the order and the ties.
    """
    recorded = (of_metric(scores, name, variant_of(scores, name)) for name in _SAME_ORDER)
    local = next(filter(None, recorded), {})
    if metric != BESIDE or not local:
        return None
    by_neighbours = judge(local)
    known = None not in (standing.tie_groups, by_neighbours.tie_groups)
    if not (known and standing.answer and by_neighbours.answer):
        return None
    if set(standing.answer) & set(by_neighbours.answer):
        return None
    return LocalBest(by_neighbours.answer, _calibrated(local, (*by_neighbours.answer, *standing.answer)))


def _calibrated(local: Mapping[str, Score], encoders: Iterable[str]) -> dict[str, float]:
    """Return encoder -> calibrated_mutual_knn, for those of the encoders that have it."""
    values = {}
    for encoder in encoders:
        score = local.get(encoder)
        if score is None or score.value is None:
            continue
        chance = 0.0 if score.metric == LOCAL else score.chance
        if chance is not None:
            values[encoder] = (score.value - chance) / (1 - chance)
    return values
