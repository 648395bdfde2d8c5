"""Parts of composites that are at the same end of their scale for every model of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import Score

DEAD = "dead"
END = 1e-3  # from 0 or 1; CORAL similarity is called saturated at the same distance


def flag_dead(scores: Iterable[Score]) -> list[Score]:
    """Return the scores, flagged `dead` if a part is at its floor or its ceiling for all pairs of the run.

    Such a part tells no model from another and shifts every sum alike; params["dead_parts"] names it. A
    single pair is never flagged, and neither is a metric of pairs, whose parts are no terms of a sum.
    """
    known = list(scores)
    composites: dict[tuple[str, ...], list[Score]] = {}
    for score in known:
        if _is_sum(score):
            key = (score.experiment, score.metric, score.data_type, score.variant)
            composites.setdefault(key, []).append(score)
    dead = {key: names for key, group in composites.items() if (names := _dead_parts(group))}
    flagged = []
    for score in known:
        dead_here = dead.get((score.experiment, score.metric, score.data_type, score.variant))
        if dead_here and _is_sum(score):
            score = replace(score.flagged(DEAD), params={**score.params, "dead_parts": dead_here})
        flagged.append(score)
    return flagged


def _is_sum(score: Score) -> bool:
    of_pairs = score.metric in METRICS and METRICS.get(score.metric).kind == "pair"
    return score.value is not None and bool(score.params.get("parts")) and not of_pairs


def _dead_parts(scores: Sequence[Score]) -> list[str]:
    if len(scores) < 2:
        return []
    parts = [score.params["parts"] for score in scores]
    names = [name for name in parts[0] if all(name in values for values in parts)]
    columns = {name: [values[name] for values in parts] for name in names}
    return [name for name, column in columns.items() if max(column) <= END or min(column) >= 1 - END]
