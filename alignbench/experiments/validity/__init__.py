"""Which score predicts performance, for a run's own encoders and, in the study, for many trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench, Choices
    from alignbench.experiments.validity.links import from_table
    from alignbench.llms import LLM
    from alignbench.types import Score
    from alignbench.weights.custom import Custom


def validity(bench: Bench) -> list[Score]:
    """Return the largest correlation of a score with an outcome over the run's encoders."""
    from alignbench.experiments.validity.run import run_score

    return [run_score(bench.pairs(), bench.option("seed"))]


def of_table(bench: Bench) -> list[Score]:
    """Return what a published table, or one of the user's, says about its scores; no model is loaded."""
    from alignbench.experiments.validity.published import table_of
    from alignbench.experiments.validity.published.judge import judge
    from alignbench.experiments.validity.published.record import scores_of

    about, seed = table_of(bench.option("table")), bench.option("seed")
    return scores_of(judge(about, about.blocks(), seed=seed), seed=seed)


def check_table(bench: Bench) -> None:
    """Check that a table without our scores says anything.

    Raises:
        ConfigError: it has no scores of its own, and no two of its blocks can be compared.
    """
    from alignbench.errors import ConfigError, DataError
    from alignbench.experiments.validity.published import table_of
    from alignbench.experiments.validity.published.judge import check_says_something

    about = table_of(bench.option("table"))
    try:
        check_says_something(about, about.blocks())
    except DataError as error:
        raise ConfigError(f"{bench.spelled('table')}: {error}") from error


def of_filled_table(bench: Bench, llm: LLM | Custom) -> list[Score]:
    """Return the same for a table whose encoders are scored with an LLM, where their weights can be had."""
    from alignbench.experiments.validity.published import table_of
    from alignbench.experiments.validity.published.fill import fill
    from alignbench.experiments.validity.published.judge import judge
    from alignbench.experiments.validity.published.record import scores_of

    about, seed = table_of(bench.option("table")), bench.option("seed")
    whole = about.blocks()
    filled = fill(whole, lambda spec: bench.pair_of(bench.encoder(spec), llm), seed, about.title)
    judgement = judge(about, filled.blocks, whole=whole, left_out=filled.left_out, seed=seed)
    return scores_of(judgement, filled.pairs, llm=llm.info.label, seed=seed)


def encoders_of_table(options: Choices) -> list[str]:
    """Return the specs of those encoders of a table whose weights it names."""
    from alignbench.experiments.validity.published import table_of
    from alignbench.experiments.validity.published.fill import specs_of

    about = table_of(options["table"])
    return [spec for spec in specs_of(about.blocks(), about.title).values() if spec]


EXPERIMENT = Experiment(
    "validity",
    "which score predicts performance, and how sure is that?",
    (
        Part(
            "validity",
            validity,
            of=("selection",),
            cost=Cost(0.7),
            when=lambda options: not options["table"],
        ),
        Part(
            "table",
            of_table,
            of=(),
            cost=Cost(5.0),
            when=lambda options: bool(options["table"]) and not options["fill"],
            check=check_table,
        ),
        Part(
            "filled_table",
            of_filled_table,
            of=("llm",),
            cost=Cost(10.0),
            when=lambda options: bool(options["table"]) and options["fill"],
            further=encoders_of_table,
        ),
    ),
    options=("table", "fill"),
    measures={
        "largest_r": "The largest |r| of a score with an outcome over encoders.",
        "table_r": "How a score of a table correlates with an outcome over its encoders, within one block.",
        "pooled_r": "The same over all blocks: Fisher's z, each block correlated alone.",
        "claim_q2": "What a polynomial of several scores explains for encoders that the fit has not seen.",
        "ceiling": "How well an outcome under one recipe predicts it under another: Spearman's ρ.",
    },
    figures=("alignbench.experiments.validity.published.figures",),
    title="Which score predicts performance",
    place=150,
)

STUDY = Experiment(
    "study",
    "the validity study: many encoders, trained and measured; it resumes where it stopped",
    options=("study_dir",),
    long=True,
    not_for_arrays="trains encoders of its own",
    place=200,
)


def __getattr__(name: str) -> object:
    # Imported on first use: every list of experiments imports this package for its declarations.
    if name != "from_table":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alignbench.experiments.validity.links import from_table

    return from_table


__all__ = ["EXPERIMENT", "STUDY", "from_table"]
