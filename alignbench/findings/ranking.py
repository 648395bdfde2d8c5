"""The ranking of encoders for an LLM: their order, which of them tie, and what would decide the ties."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.experiments.choose.record import AT_LOOK
from alignbench.findings.choice import RANKED_BY, is_cross_modal, of_metric, variant_of
from alignbench.findings.other_answers import OtherBest, other_answers
from alignbench.stats import Standings, standings
from alignbench.types import jsonable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from alignbench.types import Failure, ModelInfo, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking(Standings):
    """The encoders for one LLM, best first.

    Args:
        llm: the LLM that they are ranked for.
        data_type: "all", or the data type that they are ranked on.
        metric: the metric that they are ranked by; None if none of `RANKED_BY` was recorded.
        higher_is_better: the metric's direction.
        n: the smallest number of groups of a ranked score.
        unranked: encoder -> why it has no value.
        variant: the metric's variant, such as "image_to_text contrastive"; all are ranked by the same.
        scores: encoder -> the score that it is ranked by, best first, then those without a value; if none of
            `RANKED_BY` was recorded, the scores of the first recorded metric.
        beside: the answers by nearest neighbours and by debiased CKA, where they are other ones.
    """

    llm: str
    data_type: str
    metric: str | None
    higher_is_better: bool
    n: int
    unranked: Mapping[str, str]
    variant: str = ""
    scores: Mapping[str, Score] = field(default_factory=dict, repr=False)
    beside: tuple[OtherBest, ...] = ()

    @property
    def best(self) -> str | None:
        """The encoder with the best score."""
        return self.order[0] if self.order else None

    @property
    def tied_with_best(self) -> tuple[str, ...]:
        """The encoders that can't be told from the best."""
        return self.top[1:]

    @property
    def places(self) -> dict[str, int]:
        """Encoder -> place, from 1; encoders of a tie group share their place (1, 1, 3)."""
        groups = self.tie_groups if self.tie_groups is not None else tuple((e,) for e in self.order)
        places: dict[str, int] = {}
        for group in groups:
            places.update(dict.fromkeys(group, len(places) + 1))
        return places

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without what follows from scores elsewhere in a run's file."""
        left_out = {"scores", "beside"}
        return {f.name: jsonable(getattr(self, f.name)) for f in fields(self) if f.name not in left_out}


def rankings(
    scores: Iterable[Score],
    losses: Sequence[str] = (),
    failures: Sequence[Failure] = (),
    judge: Callable[[Mapping[str, Score]], Standings] = standings,
) -> list[Ranking]:
    """Rank the encoders for each LLM on each data type, "all" among them; LLMs in order of first appearance.

    They are ranked by calibrated_cka if it was recorded, else by the first recorded of debiased_cka,
    eas_adjusted, ncoral, mrr, elas and image_gain. Ties are those of `alignbench.stats.standings`.

    Args:
        scores: the run's scores.
        losses: the losses that the run trained with; encoders are ranked by the first.
        failures: the run's failed tests, which explain why an encoder has no value.
        judge: (encoder -> score) -> the order and the ties.
    """
    return [
        _rank_one(llm, data_type, of_llm, losses, failures, judge)
        for llm, of_llm in _by_llm(scores, failures).items()
        for data_type in dict.fromkeys(score.data_type for score in of_llm) or [ALL]
    ]


def leading(every: Iterable[Ranking]) -> list[Ranking]:
    """Return the rankings over all data, or by data type for an LLM that was not scored on all data."""
    every = list(every)
    together = {ranking.llm for ranking in every if ranking.data_type == ALL}
    return [r for r in every if r.data_type == ALL or r.llm not in together]


def _by_llm(scores: Iterable[Score], failures: Sequence[Failure] = ()) -> dict[str, list[Score]]:
    """Return LLM -> its scores; the list is empty if all its tests failed."""
    by_llm: dict[str, list[Score]] = {}
    for score in scores:
        # In a race, encoders are scored on different samples, and the race itself says which is the best.
        if is_cross_modal(score) and score.metric != AT_LOOK:
            by_llm.setdefault(str(score.llm), []).append(score)
    for failure in failures:
        for llm in failure.llms if failure.encoders else ():
            by_llm.setdefault(llm, [])
    return by_llm


def _rank_one(
    llm: str,
    data_type: str,
    scores: Sequence[Score],
    losses: Sequence[str],
    failures: Sequence[Failure],
    judge: Callable[[Mapping[str, Score]], Standings],
) -> Ranking:
    scores = [score for score in scores if score.data_type == data_type]
    variants = {name: variant_of(scores, name, losses) for name in RANKED_BY}
    recorded = {name: found for name in RANKED_BY if (found := of_metric(scores, name, variants[name]))}
    with_values = [
        name for name, of_name in recorded.items() if any(s.value is not None for s in of_name.values())
    ]
    metric = next(iter([*with_values, *recorded]), None)
    ranked = recorded.get(metric, {}) if metric else {}
    standing = judge(ranked)
    failed = [failure for failure in failures if llm in failure.llms]
    encoders = dict.fromkeys(str(score.encoder) for score in scores)
    encoders |= dict.fromkeys(encoder for failure in failed for encoder in failure.encoders)
    unranked = {e: _why_not(e, ranked.get(e), metric, failed) for e in encoders if e not in standing.order}
    known = ranked if metric else _of_first_metric(scores)
    return Ranking(
        llm=llm,
        data_type=data_type,
        metric=metric,
        higher_is_better=all(score.higher_is_better for score in ranked.values()),
        n=min((ranked[e].n for e in standing.order), default=0),
        unranked=unranked,
        variant=variants[metric] if metric else "",
        scores={e: known[e] for e in (*standing.order, *unranked) if e in known},
        beside=other_answers(scores, metric, standing, judge),
        **{f.name: getattr(standing, f.name) for f in fields(Standings)},
    )


def _of_first_metric(scores: Sequence[Score]) -> dict[str, Score]:
    """Return encoder -> its score by the metric that was recorded first."""
    metric = next((score.metric for score in scores), None)
    return of_metric(scores, metric, variant_of(scores, metric))


def _why_not(encoder: str, score: Score | None, metric: str | None, failed: Sequence[Failure]) -> str:
    if score is not None:
        return score.reason or "not applicable"
    failures = [failure for failure in failed if encoder in failure.encoders]
    # The test of the metric itself is more informative than that of another.
    if failure := min(failures, key=lambda f: f.metric != metric, default=None):
        return f"its test failed: {failure.reason}"
    if metric is None:
        return f"none of {', '.join(RANKED_BY)} was recorded"
    return f"{metric} was not recorded"


def _by_size(value: object) -> tuple[float, str]:
    """Return a key that sorts numbers by size and everything else by its text."""
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def in_order(scores: Iterable[Score], models: Iterable[ModelInfo] = ()) -> list[Score]:
    """Return the scores sorted by experiment, metric and models, with models in the run's order.

    Tables and files therefore don't depend on the order in which workers finish.
    """
    place = {name: i for i, model in enumerate(models) for name in (model.name, model.label)}

    def key(score: Score) -> tuple[Any, ...]:
        sides = tuple(place.get(name or "", -1) for name in (score.llm, score.encoder, score.other))
        return (
            score.experiment,
            score.metric,
            sides,
            [(name, _by_size(value)) for name, value in dict(score.params.get("at", {})).items()],
            score.key,
            json.dumps(jsonable(score.params), sort_keys=True),
        )

    return sorted(scores, key=key)
