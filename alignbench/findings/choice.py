"""Which of a run's scores encoders are ranked by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alignbench.types import jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import Run, Score

RANKED_BY = ("calibrated_cka", "debiased_cka", "eas_adjusted", "ncoral", "mrr", "elas", "image_gain")
PAIRING_BLIND = frozenset({"ncoral"})
DIRECTION = "image_to_text"


def is_cross_modal(score: Score) -> bool:
    """Return whether the score is of one encoder with one LLM."""
    return score.encoder is not None and score.llm is not None


def losses_of(run: Run | Mapping[str, Any]) -> tuple[str, ...]:
    """Return the losses that a run trained with, the first one first; none where that is not known."""
    options = run.get("options") if not hasattr(run, "options") else run.options
    return tuple(map(str, (options or {}).get("losses") or ()))


def variant_of(scores: Iterable[Score], metric: str | None, losses: Sequence[str] = ()) -> str:
    """Return the variant of a metric that encoders are ranked by: all by one and the same.

    That is one with values; from image to text; of the run's first loss; else the first by name.
    """

    def order(score: Score) -> tuple[bool, bool, int, str]:
        loss = score.params.get("loss")
        place = losses.index(loss) if loss in losses else len(losses)
        elsewhere = score.params.get("direction", DIRECTION) != DIRECTION
        return (score.value is None, elsewhere, place, score.variant)

    own = [score for score in scores if score.metric == metric]
    return min(own, key=order).variant if own else ""


def of_metric(scores: Iterable[Score], metric: str | None, variant: str) -> dict[str, Score]:
    """Return encoder -> its score by this variant of `metric`; of several not the one for fidelity only."""

    def order(score: Score) -> tuple[bool, str, str]:
        settings = json.dumps(jsonable(score.params), sort_keys=True)
        return ("fidelity" in score.flags, score.experiment, settings)

    found: dict[str, Score] = {}
    for score in scores:
        if score.metric == metric and score.variant == variant:
            encoder = str(score.encoder)
            found[encoder] = min(found.get(encoder, score), score, key=order)
    return found
