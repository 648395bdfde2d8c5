"""Sensitivity: does the ranking survive another pooling, layer, fit or scaling?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.types import Score


def variants(bench: Bench, encoder: Encoder, llm: LLM) -> list[Score]:
    """Return the score of a pair under each variant that the models allow."""
    from alignbench.experiments.sensitivity.variants import sensitivity

    pair = bench.pair_of(encoder, llm)
    return sensitivity(encoder, llm, pair, bench.varied, bench.layers, bench.settings)


EXPERIMENT = Experiment(
    "sensitivity",
    "does the ranking survive other poolings, layers and scalings?",
    (
        Part(
            "sensitivity",
            variants,
            of=("encoder", "llm"),
            uses=frozenset({"layers"}),
            cost=Cost(0.2, passes=6),
        ),
    ),
    figures=("alignbench.experiments.sensitivity.figures",),
    title="The same score under other choices",
    place=130,
)
