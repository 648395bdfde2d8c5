"""The choice of the scores by which encoders are ranked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alignbench.types import jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import Score

RANKED_BY = ("calibrated_cka", "debiased_cka", "eas_adjusted", "ncoral", "mrr", "elas", "image_gain")
PAIRING_BLIND = frozenset({"ncoral"})
DIRECTION = "image_to_text"


def is_cross_modal(score: Score) -> bool:
    """Return whether the score is of one encoder with one LLM."""
    return score.encoder is not None and score.llm is not None


def losses_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the losses that a run trained with, in its order; empty if they are unknown."""
    return tuple(map(str, (run.get("options") or {}).get("losses") or ()))


def variant_of(scores: Iterable[Score], metric: str | None, losses: Sequence[str] = ()) -> str:
    """Return the variant of a metric by which all encoders are ranked.

    Variants with values come first; among these, variants from image to text, then those of the run's first
    loss, then the first by name.
    """

    def order(score: Score) -> tuple[bool, bool, int, str]:
        loss = score.params.get("loss")
        place = losses.index(loss) if loss in losses else len(losses)
        other_direction = score.params.get("direction", DIRECTION) != DIRECTION
        return (score.value is None, other_direction, place, score.variant)

    of_this_metric = [score for score in scores if score.metric == metric]
    return min(of_this_metric, key=order).variant if of_this_metric else ""


def of_metric(scores: Iterable[Score], metric: str | None, variant: str) -> dict[str, Score]:
    """Return encoder -> its score by this variant of `metric`; scores flagged "fidelity" come last."""

    def order(score: Score) -> tuple[bool, str, str]:
        settings = json.dumps(jsonable(score.params), sort_keys=True)
        return ("fidelity" in score.flags, score.experiment, settings)

    by_encoder: dict[str, Score] = {}
    for score in scores:
        if score.metric == metric and score.variant == variant:
            encoder = str(score.encoder)
            by_encoder[encoder] = min(by_encoder.get(encoder, score), score, key=order)
    return by_encoder
