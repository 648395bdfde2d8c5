"""The scores that the literature proposes as predictors, and that no other experiment computes unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part, one_score
from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from alignbench.config import Config


def proposed(config: Config) -> tuple[str, ...]:
    """Return the metrics of an encoder and an LLM that no other experiment computes unasked."""
    return tuple(name for name in METRICS.names(default=False) if METRICS.get(name).two_sided)


EXPERIMENT = Experiment(
    "predictors",
    "further scores that the literature proposes as predictors",
    (Part("predictors", one_score, sweep={"metric": "metrics"}, cost=Cost(0.6)),),
    options=("metrics",),
    defaults={"metrics": proposed},
    long=True,
    figures=("alignbench.experiments.predictors.figures",),
    title="Further predictors",
)
