"""The final: projectors of those encoders that are left, by the experiments that train them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.e2e import EXPERIMENT as E2E
from alignbench.experiments.vlm import EXPERIMENT as VLM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.types import Score
    from alignbench.weights.custom import Custom

FINALS = {"e2e": E2E, "vlm": VLM}


def trained(
    bench: Bench, kind: str, survivors: Sequence[str], llm: LLM | Custom
) -> tuple[list[Score], list[str]]:
    """Return the scores of trained projectors on all samples, and a sentence for each encoder without.

    Args:
        bench: the bench of the run.
        kind: "e2e" or "vlm".
        survivors: the labels of the encoders that are left.
        llm: the LLM.
    """
    own = bench.filed_under(kind)
    scores: list[Score] = []
    notes: list[str] = []
    for part in FINALS[kind].parts:
        [(parameter, option)] = part.sweep.items()
        for encoder in (one for one in bench.encoders if one.info.label in survivors):
            try:
                cell = (own.pair_of(encoder, llm),) if part.of == ("pair",) else (encoder, llm)
                for value in own.option(str(option)):
                    scores += part.computed(own, *cell, **{parameter: value}).scores
            except NotApplicableError as reason:
                notes.append(f"No final training of {encoder.info.label}: {reason}.")
    return scores, notes
