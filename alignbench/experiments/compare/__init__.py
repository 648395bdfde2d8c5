"""Encoders compared: by data type, by trained projectors, by influential samples, and with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, Part, Tab, one_score
from alignbench.experiments.repeats import Repeats, patches_if_read
from alignbench.projectors import OF_PATCHES
from alignbench.projectors.patches import MOST_PATCHES

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair, Score

BY_TYPE = ("calibrated_cka", "debiased_cka", "mutual_knn", "ridge_r2")
BETWEEN_MODELS = ("calibrated_cka", "mutual_knn")


def by_data_type(bench: Bench, pair: Pair, metric: str) -> list[Score]:
    """Return the scores of a metric on the samples of each data type."""
    return [bench.score(metric, pair, data_type=data_type) for data_type in dict.fromkeys(pair.labels)]


def projection(bench: Bench, pair: Pair, projector: str) -> CellResult:
    """Return held-out error and cosine of trained projectors, and their loss curves."""
    from alignbench.experiments.compare.projection import project

    patches = bench.patches(pair.x.model, MOST_PATCHES) if projector == OF_PATCHES else None
    scores, curves = project(pair, Repeats.of(bench), projector, patches)
    return CellResult(scores, curves or None, f"losses-{projector}")


def influence_of_samples(bench: Bench, pair: Pair) -> CellResult:
    """Return how evenly the samples carry the score, and the influence of each."""
    from alignbench.experiments.compare.influence import influence

    score, arrays = influence(pair, bench.dataset.samples, bench.settings, experiment="compare")
    return CellResult([score], arrays, "influence")


_TRAINED = ("epochs", "splits")

EXPERIMENT = Experiment(
    "compare",
    "encoders compared: by CKA and similar metrics, by data type, and by held-out projections",
    (
        Part("by_data_type", by_data_type, sweep={"metric": BY_TYPE}, cost=Cost(0.07)),
        Part(
            "projection",
            projection,
            sweep={"projector": "projectors"},
            uses=patches_if_read,
            cost=Cost(0.4, "projector", {"epochs": 300, "splits": 5}),
        ),
        Part("influence_of_samples", influence_of_samples),
        Part("encoders_with_each_other", one_score, of=("vision_pair",), sweep={"metric": BETWEEN_MODELS}),
        Part("llms_with_each_other", one_score, of=("text_pair",), sweep={"metric": BETWEEN_MODELS}),
    ),
    options=(*_TRAINED, "projectors"),
    needs={"cka": None},
    tab=Tab(
        "Alignment Analysis",
        "Which encoder fits which LLM, and how sure is that? Every metric that sees which text belongs to "
        "which image.",
        beside=("eas",),
        options={"projectors": ["linear"]},
    ),
    measures={
        "projection_mse": "Error of a trained projector on held-out pairs; 1 is that of the train mean.",
        "projection_cosine": "Centred cosine of projected images with their texts, on held-out pairs.",
        "influence_evenness": "How evenly samples carry the score: 1 if all do, near 1/n if one decides.",
    },
    figures=(
        "alignbench.experiments.compare.figures.data_types",
        "alignbench.experiments.compare.figures.influence",
        "alignbench.experiments.compare.figures.projectors",
        "alignbench.experiments.compare.figures.similarity",
    ),
    title="Comparison: data types, projectors, models with each other",
    place=20,
)

EVERYTHING = Experiment(
    "all",
    "compare, speed and embedding together",
    options=(*_TRAINED, "projectors", "batch_sizes", "methods", "perplexity", "neighbors"),
    needs={"compare": None, "speed": None, "embedding": None},
    place=210,
)
