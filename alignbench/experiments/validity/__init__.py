"""Which score predicts performance, for a run's own encoders and, in the study, for many trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.experiments.validity.links import from_table
    from alignbench.types import Score


def validity(bench: Bench) -> list[Score]:
    """Return the largest correlation of a score with an outcome over the run's encoders."""
    from alignbench.experiments.validity.run import run_score

    return [run_score(bench.pairs(), bench.option("seed"))]


EXPERIMENT = Experiment(
    "validity",
    "which score predicts performance, and how sure is that?",
    (Part("validity", validity, of=("selection",), cost=Cost(0.7)),),
)

STUDY = Experiment(
    "study",
    "the validity study: many encoders, trained and measured; it resumes where it stopped",
    options=("study_dir",),
    long=True,
    not_for_arrays="trains encoders of its own",
)


def __getattr__(name: str) -> object:
    # Imported on first use: every list of experiments imports this package for its declarations.
    if name != "from_table":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alignbench.experiments.validity.links import from_table

    return from_table


__all__ = ["EXPERIMENT", "STUDY", "from_table"]
