"""Similarity of representations: every metric that sees which text belongs to which image."""

from __future__ import annotations

from alignbench.experiments.base import Cost, Experiment, Part, one_score
from alignbench.metrics import METRICS

EXPERIMENT = Experiment(
    "cka",
    "do the same samples lie close to each other on both sides?",
    (
        Part(
            "cka",
            one_score,
            sweep={"metric": lambda: METRICS.names(kind="pair", pairing=True, default=True)},
            cost=Cost(0.1),
        ),
    ),
    figures=(
        "alignbench.experiments.cka.figures",
        "alignbench.experiments.overview",
    ),
    title="Similarity of representations",
    place=10,
)
