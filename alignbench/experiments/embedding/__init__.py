"""Embedding spaces in two dimensions with a measure of how far to believe them, and vision laid over text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, Part, Tab

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair


def space(bench: Bench, side: Pair, method: str) -> CellResult:
    """Return how far one model's layout can be believed, and the points of the layout."""
    from alignbench.experiments.embedding.space import embedding_space

    laid_out = embedding_space(
        side, method, bench.settings, experiment="embedding", reach=bench.option("reach")
    )
    return CellResult(laid_out.scores, laid_out.arrays, f"layout-{method}")


def overlay(bench: Bench, pair: Pair) -> CellResult:
    """Return how far images and texts lie apart after a rotation, and their points in one picture."""
    from alignbench.experiments.embedding.overlay import overlay_space

    score, arrays = overlay_space(pair, bench.settings, experiment="embedding")
    return CellResult([score], arrays, "overlay")


EXPERIMENT = Experiment(
    "embedding",
    "embedding space in two dimensions, and vision laid over text",
    (
        Part("vision_space", space, of=("vision_side",), sweep={"method": "methods"}, cost=Cost(0.3)),
        Part("text_space", space, of=("text_side",), sweep={"method": "methods"}, cost=Cost(0.15)),
        Part("overlay", overlay, cost=Cost(0.2)),
    ),
    options=("methods", "perplexity", "neighbors"),
    tab=Tab(
        "Embedding Space",
        "What does each space look like in two dimensions, and how far can the picture be believed?",
        controls=("llms", "data", "methods", "perplexity", "neighbors"),
    ),
    measures={
        "trustworthiness": "Whether neighbours in the picture are also neighbours in the space.",
        "continuity": "Whether neighbours in the space are also neighbours in the picture.",
        "overlay_residual": "How far images and texts lie apart after a rotation fitted on other pairs.",
    },
    figures=("alignbench.experiments.embedding.figures",),
    title="Embedding space",
    place=90,
)
