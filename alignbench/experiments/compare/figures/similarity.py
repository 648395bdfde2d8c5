"""The figure of how alike models are: encoders with encoders, and LLMs with LLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.model_tables import model_tables
from alignbench.plots.style import entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs

METRICS = ("calibrated_cka", "debiased_cka", "mutual_knn")


@declare_figure(
    "compare",
    requires="two encoders or two LLMs",
    caption=Caption(
        "How alike are the models to each other?",
        "Each cell is a pair of models on the same images or the same texts; light: both see the same "
        "samples as alike.",
        "Whether models that are alike fit an LLM equally well, or are equally good. Intervals are in the "
        "table of scores.",
    ),
)
def model_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw how alike encoders are, and how alike LLMs are: one column per metric, one row per side."""
    scores = [s for s in inputs.of("compare") if s.other is not None]
    metrics = [m for m in METRICS if pick(scores, m)][:2]
    figure = model_tables(inputs, scores, metrics)
    if figure is None:
        return None
    entitle(
        figure,
        f"How alike are the models to each other? (n = {min(s.n for s in scores)} groups)",
        "Each cell: two models on the same samples. Light: both see the same samples as alike. "
        "Shuffled samples get a calibrated_cka of 0, and a mutual_knn of k/(n-1).",
    )
    return figure
