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


_SLOWER = {
    "calibrated_procrustes": Cost(0.4),
    "svcca_heldout": Cost(1.5),
    "pwcca_heldout": Cost(1.7),
    "pwcca": Cost(0.2),
    "cca_mean": Cost(0.2),
    "logme": Cost(0.3),
    "gw_distance": Cost(0.15),
    "gw_identity": Cost(0.15),
}
EXPERIMENT = Experiment(
    "predictors",
    "further scores that the literature proposes as predictors",
    (Part("predictors", one_score, sweep={"metric": "metrics"}, cost=Cost(0.1, other=_SLOWER)),),
    options=("metrics",),
    defaults={"metrics": proposed},
    long=True,
    figures=("alignbench.experiments.predictors.figures",),
    title="Further predictors",
    place=160,
)
