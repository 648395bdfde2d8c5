"""Choose: which encoder fits an LLM, for the least compute? Encoders race on more and more of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part, Tab

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench, Choices
    from alignbench.llms import LLM
    from alignbench.types import Score
    from alignbench.weights.custom import Custom


def choose(bench: Bench, llm: LLM | Custom) -> list[Score]:
    """Return the race of the selected encoders for an LLM, and the final trainings, if asked for."""
    from alignbench.experiments.choose.course import run_course
    from alignbench.experiments.choose.final import trained
    from alignbench.experiments.choose.record import scores_of

    course, kind = run_course(bench, llm), bench.option("final")
    scores, notes = trained(bench, kind, course.race.survivors, llm) if kind else ([], [])
    return [*scores_of(course, bench.option("seed"), notes), *scores]


def check(bench: Bench) -> None:
    """Check that there are encoders, samples and budget for a race.

    Raises:
        ConfigError: there are too few encoders or samples, or the budget does not cover the first look.
    """
    from alignbench.experiments.choose.course import check_course

    check_course(bench)


def final(options: Choices) -> list[tuple[Experiment, Part]]:
    """Return the parts of the experiment that trains projectors in the end."""
    from alignbench.experiments.choose.final import FINALS

    own = FINALS.get(options["final"])
    return [] if own is None else [(own, part) for part in own.parts]


EXPERIMENT = Experiment(
    "choose",
    "which encoder fits, for the least compute? Those that are clearly worse drop out early",
    (Part("choose", choose, of=("selection", "llm"), cost=Cost(1.0), check=check, computes=final),),
    options=(
        "metric",
        "error_level",
        "margin",
        "budget",
        "final",
        "epochs",
        "splits",
        "seeds",
        "losses",
        "projectors",
    ),
    long=True,
    not_for_arrays="saves embedding, and vectors need none",
    measures={
        "race": "The share of all embeddings, of every encoder on all data, that the race took.",
        "race_score": "The score of an encoder at one look of a race, on the first so many groups.",
    },
    figures=("alignbench.experiments.choose.figures",),
    tab=Tab(
        "Choose",
        "Which encoder fits an LLM, for the least compute? All are scored on a few pairs; those that are "
        "worse than the best by more than chance drop out; the rest is scored on twice as many, and so on.",
        controls=("llms", "data"),
    ),
    title="The race between encoders",
    place=180,
)
