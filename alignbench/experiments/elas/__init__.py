"""ELAS of every encoder with every LLM: CKA, and how well a projector carries over to new pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part
from alignbench.experiments.elas.score import elas_score

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair, Score


def elas(bench: Bench, pair: Pair, projector: str) -> list[Score]:
    """Return ELAS of a pair."""
    repeats = replace(bench.repeats, seeds=bench.option("elas_seeds"))
    patches = bench.patches(pair.x.model) if projector == "cross_attention" else None
    return [elas_score(pair, repeats, projector, patches)]


EXPERIMENT = Experiment(
    "elas",
    "ELAS of every pair: CKA, and how well a projection carries over",
    (
        Part(
            "elas",
            elas,
            of=("compared_pair",),
            sweep={"projector": "elas_projectors"},
            cost=Cost(0.3, "projector", {"solved_splits": 40}),
        ),
    ),
    options=("epochs", "splits", "seeds", "projectors"),
    measures={
        "elas": "How well a projector carries over: CKA, error, gap and cosine on held-out pairs.",
    },
    figures=("alignbench.experiments.elas.figures",),
)
