"""Whether another score names another best encoder than the one that encoders are ranked by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.findings.choice import of_metric, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from alignbench.stats import Standings
    from alignbench.types import Score

RANKED = "calibrated_cka"  # the ranking that others are held beside
_LOCAL = "calibrated_mutual_knn"


@dataclass(frozen=True, slots=True)
class _Witness:
    """A score whose order is held beside that of the ranking.

    Args:
        name: the score that is named.
        says: how the sentence begins.
        metrics: metrics of this order; the first that was recorded is used. One is a linear map of the other,
            the same for all encoders.
    """

    name: str
    says: str
    metrics: tuple[str, ...]


_WITNESSES = (
    _Witness(_LOCAL, "By nearest neighbours", ("mutual_knn", _LOCAL)),
    _Witness("debiased_cka", "Without the bias against encoders of many directions", ("debiased_cka",)),
)


@dataclass(frozen=True, slots=True)
class OtherBest:
    """The answer by another score, where it is another one.

    Args:
        metric: the score.
        says: how a sentence about it begins.
        best: the encoders that may be the best by it, none of which may be so by calibrated CKA.
        values: encoder -> its value, for these and for those that may be the best by calibrated CKA.
    """

    metric: str
    says: str
    best: tuple[str, ...]
    values: Mapping[str, float]


def other_answers(
    scores: Sequence[Score],
    metric: str | None,
    standing: Standings,
    judge: Callable[[Mapping[str, Score]], Standings],
) -> tuple[OtherBest, ...]:
    """Return the answers by neighbours and by debiased CKA where they differ from that by calibrated CKA.

    Answers agree if an encoder may be the best by both, ties included. Without ties that are known, and
    where no encoder beats shuffled pairs, there is nothing to compare.

    Args:
        scores: the scores of all encoders with one LLM on one data type.
        metric: the metric that the encoders are ranked by.
        standing: their order by it.
        judge: (encoder -> score) -> the order and the ties.
    """
    if metric != RANKED:
        return ()
    found = (_other(witness, scores, standing, judge) for witness in _WITNESSES)
    return tuple(answer for answer in found if answer is not None)


def _other(
    witness: _Witness,
    scores: Sequence[Score],
    standing: Standings,
    judge: Callable[[Mapping[str, Score]], Standings],
) -> OtherBest | None:
    recorded = (of_metric(scores, name, variant_of(scores, name)) for name in witness.metrics)
    by_encoder = next(filter(None, recorded), {})
    if not by_encoder:
        return None
    other = judge(by_encoder)
    known = None not in (standing.tie_groups, other.tie_groups)
    if not (known and standing.answer and other.answer) or set(standing.answer) & set(other.answer):
        return None
    shown = (*other.answer, *standing.answer)
    return OtherBest(witness.name, witness.says, other.answer, _values(by_encoder, shown))


def _values(scores: Mapping[str, Score], encoders: Iterable[str]) -> dict[str, float]:
    """Return encoder -> its value, that of `mutual_knn` calibrated, for those that have one."""
    values = {}
    for encoder in encoders:
        score = scores.get(encoder)
        if score is None or score.value is None:
            continue
        chance = score.chance if score.metric == "mutual_knn" else 0.0
        if chance is not None:
            values[encoder] = (score.value - chance) / (1 - chance)
    return values
