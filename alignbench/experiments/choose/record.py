"""A race as scores of a run, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alignbench.experiments.choose.course import EXPERIMENT
from alignbench.experiments.choose.words import said
from alignbench.stats.race import Behind, Look, Race
from alignbench.types import Score, jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.experiments.choose.course import Course

RACE, AT_LOOK = "race", "race_score"


@dataclass(frozen=True)
class RecordedRace:
    """A race as a run recorded it.

    Args:
        llm: the LLM.
        metric: the metric that decided.
        race: the looks and the decisions.
        scores: (encoder, number of groups) -> its score at that look.
        statement: the outcome in words.
        groups: the number of groups of all samples.
        used: the share of the embeddings that the race took.
    """

    llm: str
    metric: str
    race: Race
    scores: Mapping[tuple[str, int], Score]
    statement: str
    groups: int
    used: float

    @property
    def last_look(self) -> dict[str, Look]:
        """Encoder -> the last look that it took part in; first those that stayed longest, best first."""
        last: dict[str, Look] = {}
        for look in reversed(self.race.looks):
            for name in (*look.values, *look.unscored):
                last.setdefault(name, look)
        return last


def scores_of(course: Course, seed: int, notes: Sequence[str] = ()) -> list[Score]:
    """Return the scores of a race: its outcome, and every encoder's score at every look.

    Args:
        course: the race.
        seed: the seed of the run.
        notes: what else the reader should know.
    """
    race = course.race
    any_score = next(iter(course.scores.values()))
    outcome = Score(
        experiment=EXPERIMENT,
        metric=RACE,
        value=course.embedded / course.whole,
        encoder=None,
        llm=course.llm,
        dataset=any_score.dataset,
        n=race.looks[-1].groups,
        dims=(),
        seed=seed,
        higher_is_better=False,
        weights={name: kind for score in course.scores.values() for name, kind in score.weights.items()},
        params={
            "mode": "cross-modal",
            "metric": course.metric,
            "error_level": course.error,
            "margin": course.margin,
            "budget": None if course.budget is None else str(course.budget),
            "ending": race.ending,
            "survivors": list(race.survivors),
            "groups": course.groups,
            "embedded": course.embedded,
            "computed": course.computed,
            "given": course.given,
            "whole": course.whole,
            "looks": jsonable(race.looks),
            "statement": said(course, notes),
        },
    )
    at_looks = [
        replace(
            score,
            metric=AT_LOOK,
            variant=f"{course.metric} of {groups} groups",
            params={**score.params, "groups": groups},
        )
        for (_, groups), score in course.scores.items()
    ]
    return [outcome, *at_looks]


def races_of(scores: Iterable[Score]) -> list[RecordedRace]:
    """Return the races among the scores of a run, one for each LLM."""
    of_race = [score for score in scores if score.experiment == EXPERIMENT]
    return [
        RecordedRace(
            llm=str(score.llm),
            metric=str(score.params["metric"]),
            race=Race(tuple(map(_look, score.params["looks"])), score.params["ending"]),
            scores={
                (str(one.encoder), int(one.params["groups"])): one
                for one in of_race
                if one.metric == AT_LOOK and one.llm == score.llm
            },
            statement=str(score.params["statement"]),
            groups=int(score.params["groups"]),
            used=float(score.value or 0.0),
        )
        for score in of_race
        if score.metric == RACE
    ]


def _look(plain: Mapping[str, Any]) -> Look:
    behind = {name: Behind(**one) for name, one in plain["behind"].items()}
    return Look(**{**plain, "behind": behind})
