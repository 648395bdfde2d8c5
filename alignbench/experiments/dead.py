"""Parts of composites that are the same for every model of a run, at the end of their scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import Score

DEAD = "dead"
END = 1e-3  # of a part from 0 to 1; that of CORAL's similarity is called saturated at the same distance


def flag_dead(scores: Iterable[Score]) -> list[Score]:
    """Return the scores, flagged `dead` where a part is at its floor or its ceiling for all pairs of the run.

    Such a part tells no model from another, and shifts every sum alike; params["dead_parts"] names it. Of a
    single pair nothing can be said.
    """
    known = list(scores)
    composites: dict[tuple[str, ...], list[Score]] = {}
    for score in known:
        if score.value is not None and score.params.get("parts"):
            key = (score.experiment, score.metric, score.data_type, score.variant)
            composites.setdefault(key, []).append(score)
    dead = {key: names for key, own in composites.items() if (names := _dead_parts(own))}
    found = []
    for score in known:
        dead_here = dead.get((score.experiment, score.metric, score.data_type, score.variant))
        if dead_here and score.value is not None and score.params.get("parts"):
            score = replace(score.flagged(DEAD), params={**score.params, "dead_parts": dead_here})
        found.append(score)
    return found


def _dead_parts(scores: Sequence[Score]) -> list[str]:
    if len(scores) < 2:
        return []
    parts = [score.params["parts"] for score in scores]
    names = [name for name in parts[0] if all(name in own for own in parts)]
    return [
        name
        for name in names
        if all(own[name] <= END for own in parts) or all(own[name] >= 1 - END for own in parts)
    ]
