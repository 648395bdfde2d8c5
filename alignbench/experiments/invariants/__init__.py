"""The properties that every registered metric declares; `benchmarks/test_invariants.py` checks them."""

from __future__ import annotations

from alignbench.experiments.base import Experiment

EXPERIMENT = Experiment(
    "invariants",
    "declared properties of every registered metric",
    not_for_arrays="checks the metrics themselves",
    place=190,
)
