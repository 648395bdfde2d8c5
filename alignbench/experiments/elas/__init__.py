"""ELAS of every encoder with every LLM: CKA, and how well a projector works on new pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part
from alignbench.experiments.repeats import SOLVED_SPLITS, Repeats, patches_if_read
from alignbench.projectors import OF_PATCHES, loss_of
from alignbench.projectors.patches import MOST_PATCHES

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair, Score


def elas(bench: Bench, pair: Pair, projector: str) -> list[Score]:
    """Return ELAS of a pair."""
    from alignbench.experiments.elas.score import elas_score

    repeats = Repeats.of(bench, loss_of(projector))
    patches = bench.patches(pair.x.model, MOST_PATCHES) if projector == OF_PATCHES else None
    return [elas_score(pair, repeats, projector, patches)]


EXPERIMENT = Experiment(
    "elas",
    "ELAS of every pair: CKA, and how well a projector works on new pairs",
    (
        Part(
            "elas",
            elas,
            of=("compared_pair",),
            sweep={"projector": "projectors"},
            uses=patches_if_read,
            cost=Cost(0.3, "projector", {"splits": SOLVED_SPLITS}),
        ),
    ),
    options=("epochs", "splits", "seeds", "projectors"),
    # ELAS hardly depends on initial weights: they change it by .002, splits by .02 to .04.
    defaults={"projectors": ("linear",), "seeds": 3},
    measures={
        "elas": "How well a projector works on new pairs: CKA, and held-out error, gap and cosine.",
    },
    figures=("alignbench.experiments.elas.figures",),
    title="ELAS",
    place=100,
)
