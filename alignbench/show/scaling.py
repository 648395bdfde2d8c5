"""How many samples the order of encoders takes, as a run says it at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.scaling.names import STANDS
from alignbench.findings.numbers import and_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alignbench.types import Score


def scaling_sentences(
    scores: Iterable[Score], show: Callable[[str], str], escape: Callable[[str], str] = str
) -> list[str]:
    """Return for each LLM from which n on samples order the encoders as all groups do, by each metric.

    Args:
        scores: the run's scores.
        show: returns the name of a model as it is shown.
        escape: makes other text fit for the place where it is shown.
    """
    by_llm: dict[str, list[Score]] = {}
    for score in scores:
        if score.metric == STANDS:
            by_llm.setdefault(str(score.llm), []).append(score)
    sentences = []
    for llm, found in by_llm.items():
        stands = [f"{s.value:.0f} by {escape(s.variant)}" for s in found if s.value is not None]
        if stands:
            sentences.append(
                f"With {show(llm)}, samples order the encoders as all {found[0].n} groups do from n = "
                f"{and_list(stands)} on."
            )
        unknown: dict[str, list[str]] = {}
        for score in found:
            if score.value is None:
                unknown.setdefault(str(score.reason), []).append(escape(score.variant))
        sentences += [
            f"With {show(llm)}, no such n by {and_list(metrics)}: {escape(reason)}."
            for reason, metrics in unknown.items()
        ]
    return sentences
