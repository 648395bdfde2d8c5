"""Made-up scores of experiments that a run has only if asked for: predictors, scaling, choose, matches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.experiments.choose.course import Course
from alignbench.experiments.choose.record import scores_of
from alignbench.experiments.scaling.names import AT_N, STANDS
from alignbench.stats.race import Entry, run_race
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alignbench.types import Score

SIZES = (30, 60, 90)


def asked_scores(make: Callable[..., Score], encoders: Sequence[str], llms: Sequence[str]) -> list[Score]:
    """Return the scores of these experiments, made by `make_score`."""
    scores = _matched(make, encoders)
    for llm in llms:
        scores += _proposed(make, encoders, llm)
        scores += _scaled(make, encoders, llm)
        scores += _raced(make, encoders, llm)
    return scores


def _matched(make: Callable[..., Score], encoders: Sequence[str]) -> list[Score]:
    null = Null("targets of other pairs", 0.02, 0.005, p=0.001)
    about: dict[str, Any] = {"experiment": "correspondence", "chance": 0.01, "null": null}
    scores = [make("c_score", 0.5 - 0.1 * i, name, None, **about) for i, name in enumerate(encoders)]
    return [replace(score, params={**score.params, "ceiling": 0.8}) for score in scores]


def matches(encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Return what each encoder finds in two pairs of images: the first of three points only."""
    rng = np.random.default_rng(5)
    points = rng.uniform(0.1, 0.9, size=(6, 2))
    about = {"pair": np.repeat([0, 1], 3), "source": points, "truth": points[::-1], "right": np.eye(6)[0]}
    images = rng.integers(0, 256, size=(2, 2, 24, 24, 3), dtype=np.uint8)
    found = np.clip(points[::-1] + 0.2 * (1 - np.eye(6)[0])[:, None], 0, 1)
    return [{"encoder": np.array(name), "images": images, "found": found, **about} for name in encoders]


def _proposed(make: Callable[..., Score], encoders: Sequence[str], llm: str) -> list[Score]:
    null = Null("permutation of groups", 0.2, 0.02, p=0.001)
    return [
        make(metric, 0.6 - 0.03 * i, encoder, llm, null=null, experiment="predictors")
        for metric in ("cycle_knn", "lcs_knn")
        for i, encoder in enumerate(encoders)
    ]


def _scaled(make: Callable[..., Score], encoders: Sequence[str], llm: str) -> list[Score]:
    def at(size: int, encoder: str, value: float) -> Score:
        score = make(
            AT_N, value, encoder, llm, n=size, experiment="scaling", variant=f"mutual_knn, n = {size}"
        )
        draws = () if size == SIZES[-1] else (value - 3 / size, value + 2 / size)
        return replace(score, repeats=draws, params={**score.params, "of": "mutual_knn"})

    scores = [at(n, encoder, 0.4 - 0.02 * i - n / 900) for n in SIZES for i, encoder in enumerate(encoders)]
    stands = make(STANDS, 60.0, None, llm, experiment="scaling", variant="mutual_knn", unit="groups")
    params = {
        **stands.params,
        "of": "mutual_knn",
        "told_apart": [["a", "b"]],
        "shares": {"30": 0.5, "60": 1.0},
    }
    return [*scores, replace(stands, params=params)]


def _raced(make: Callable[..., Score], encoders: Sequence[str], llm: str) -> list[Score]:
    """Return a race in which the encoders behind the third drop out at the first look."""
    found: dict[tuple[str, int], Score] = {}

    def look(names: Sequence[str], groups: int) -> dict[str, Entry | str]:
        noise = np.random.default_rng(groups).normal(size=(len(names), 30))
        entries: dict[str, Entry | str] = {}
        for name, deletions in zip(names, noise, strict=True):
            value = 0.5 - 0.01 * encoders.index(name) - 0.3 * (encoders.index(name) > 2)
            values = value + 0.02 * (deletions - deletions.mean()) / groups
            entries[name] = Entry(value, values.tolist())
            found[name, groups] = make("debiased_cka", value, name, llm, n=groups, experiment="choose")
        return entries

    if len(encoders) < 2:
        return []
    race = run_race(encoders, SIZES, look)
    course: dict[str, Any] = {"metric": "debiased_cka", "llm": llm, "groups": SIZES[-1], "error": 0.05}
    embedded, whole = race.entries, len(encoders) * SIZES[-1]
    counted: dict[str, Any] = {"embedded": embedded, "computed": embedded, "given": 0, "whole": whole}
    made = Course(race=race, scores=found, margin=0.0, budget=None, **counted, **course)
    return scores_of(made, 42)
