"""Which encoder fits which LLM: the order, and which differences are none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from alignbench.stats import tie_groups
from alignbench.types import jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import ModelInfo, Score

RANKED_BY = ("calibrated_cka", "debiased_cka", "eas_adjusted", "ncoral")
PAIRING_BLIND = frozenset({"ncoral"})


@dataclass(frozen=True, slots=True)
class Ranking:
    """The encoders for one LLM, best first.

    Args:
        llm: which LLM they are ranked for.
        data_type: "all", or the one type that was ranked on.
        metric: what they are ranked by; None where none of `RANKED_BY` was recorded.
        higher_is_better: the metric's direction.
        n: the smallest number of groups that a ranked score is made of.
        order: the encoders, best first.
        tie_groups: `order` cut where a difference is more than chance: the first group is the best one and
            all that can't be told from it. None where there is no interval: ties are unknown then.
        unranked: encoder -> why it has no value.
    """

    llm: str
    data_type: str
    metric: str | None
    higher_is_better: bool
    n: int
    order: tuple[str, ...]
    tie_groups: tuple[tuple[str, ...], ...] | None
    unranked: Mapping[str, str]

    @property
    def best(self) -> str | None:
        """The encoder on top."""
        return self.order[0] if self.order else None

    @property
    def tied_with_best(self) -> tuple[str, ...]:
        """The encoders that can't be told from the best."""
        return tuple(e for e in self.tie_groups[0] if e != self.best) if self.tie_groups else ()

    @property
    def places(self) -> dict[str, int]:
        """Encoder -> place, from 1; those of one tie group share theirs (1, 1, 3)."""
        groups = self.tie_groups if self.tie_groups is not None else tuple((e,) for e in self.order)
        places: dict[str, int] = {}
        for group in groups:
            places.update(dict.fromkeys(group, len(places) + 1))
        return places

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        plain = asdict(self)
        plain["order"] = list(self.order)
        plain["tie_groups"] = None if self.tie_groups is None else [list(group) for group in self.tie_groups]
        plain["unranked"] = dict(self.unranked)
        return plain


def rank(scores: Iterable[Score]) -> list[Ranking]:
    """Rank the encoders for each LLM, LLMs in order of first appearance.

    By calibrated_cka where it was recorded, else by the first recorded of debiased_cka, eas_adjusted and
    ncoral; over all data together where that was scored, else by data type. Ties are those of
    `alignbench.stats.tie_groups`: paired differences over shared deletions, Holm-corrected.
    """
    by_llm: dict[str, list[Score]] = {}
    for score in scores:
        if is_cross_modal(score):
            by_llm.setdefault(str(score.llm), []).append(score)
    rankings = []
    for llm, own in by_llm.items():
        types = dict.fromkeys(score.data_type for score in own)
        for data_type in ["all"] if "all" in types else types:
            rankings.append(_rank_one(llm, data_type, [s for s in own if s.data_type == data_type]))
    return rankings


def is_cross_modal(score: Score) -> bool:
    """Return whether the score is of one encoder with one LLM."""
    return score.encoder is not None and score.llm is not None


def ranked_scores(ranking: Ranking, scores: Iterable[Score]) -> dict[str, Score]:
    """Return encoder -> the score that it is ranked by, best first, then those that have no value.

    Where nothing was recorded that encoders are ranked by, the scores of the first metric that was.
    """
    about = (ranking.llm, ranking.data_type)
    candidates = [s for s in scores if is_cross_modal(s) and (s.llm, s.data_type) == about]
    own = _of_metric(candidates, ranking.metric or next((s.metric for s in candidates), None))
    return {encoder: own[encoder] for encoder in (*ranking.order, *ranking.unranked) if encoder in own}


def _of_metric(scores: Iterable[Score], metric: str | None) -> dict[str, Score]:
    """Return encoder -> its score by `metric`; of several variants the one that is not for fidelity only."""
    found: dict[str, Score] = {}
    for score in scores:
        if score.metric == metric:
            encoder = str(score.encoder)
            if encoder not in found or ("fidelity" in found[encoder].flags and "fidelity" not in score.flags):
                found[encoder] = score
    return found


def _rank_one(llm: str, data_type: str, scores: Sequence[Score]) -> Ranking:
    recorded = {name: own for name in RANKED_BY if (own := _of_metric(scores, name))}
    with_values = [name for name, own in recorded.items() if any(s.value is not None for s in own.values())]
    metric = next(iter([*with_values, *recorded]), None)
    own = recorded.get(metric, {}) if metric else {}
    values = {encoder: score.value for encoder, score in own.items() if score.value is not None}
    higher_is_better = all(score.higher_is_better for score in own.values())
    order = sorted(values, key=lambda e: (-values[e] if higher_is_better else values[e], e))
    groups = _tie_groups({e: values[e] for e in order}, own, higher_is_better)
    if groups is not None:
        order = [encoder for group in groups for encoder in order if encoder in group]
    encoders = dict.fromkeys(str(score.encoder) for score in scores)
    return Ranking(
        llm=llm,
        data_type=data_type,
        metric=metric,
        higher_is_better=higher_is_better,
        n=min((own[e].n for e in order), default=0),
        order=tuple(order),
        tie_groups=groups,
        unranked={e: _why_not(own.get(e), metric) for e in encoders if e not in values},
    )


def _tie_groups(
    values: Mapping[str, float], own: Mapping[str, Score], higher_is_better: bool
) -> tuple[tuple[str, ...], ...] | None:
    """Return the tie groups, members best first; None where the scores share no deletions to pair by."""
    if len(values) < 2:
        return tuple((encoder,) for encoder in values)
    deletions = {encoder: own[encoder].deletions for encoder in values}
    lengths = {len(values_without) for values_without in deletions.values()}
    if len(lengths) != 1 or lengths <= {0, 1}:
        return None
    order = list(values)
    return tuple(
        tuple(sorted(group, key=order.index)) for group in tie_groups(values, deletions, higher_is_better)
    )


def _why_not(score: Score | None, metric: str | None) -> str:
    if metric is None:
        return f"none of {', '.join(RANKED_BY)} was recorded"
    if score is None:
        return f"{metric} was not recorded"
    return score.reason or "not applicable"


def _by_size(value: object) -> tuple[float, str]:
    """Return what sorts numbers by their size, and all else by its name."""
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def in_order(scores: Iterable[Score], models: Iterable[ModelInfo] = ()) -> list[Score]:
    """Return the scores by experiment, metric and models, models as the run selected them.

    So no table or file depends on the order in which workers delivered.
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
