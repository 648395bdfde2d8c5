"""Class structure on the vision side, and the composite scores of it with CKA and CORAL."""

from __future__ import annotations

from alignbench.experiments.base import Cost, Experiment, Part, one_score
from alignbench.metrics import METRICS

EXPERIMENT = Experiment(
    "eas",
    "class structure, and its composites with CKA and CORAL",
    (
        Part(
            "class_structure",
            one_score,
            of=("vision_side",),
            sweep={"metric": lambda: METRICS.names(kind="labelled")},
        ),
        Part("eas", one_score, sweep={"metric": lambda: METRICS.names(kind="composite")}, cost=Cost(0.25)),
    ),
    options=("basis", "k"),
    figures=("alignbench.experiments.eas.figures",),
    title="Encoder alignment score",
    place=50,
)
