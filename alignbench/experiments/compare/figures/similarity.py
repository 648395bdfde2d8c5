"""The figure of the models among each other: encoders with encoders, and LLMs with LLMs."""

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
        "A cell a pair of models on the same images or the same texts; light: they see the same samples "
        "as alike.",
        "That alike models fit an LLM equally well, or are equally good. Intervals are in the table of "
        "scores.",
    ),
)
def model_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw how alike the encoders are to each other, and the LLMs: a column a metric, a row a side."""
    scores = [s for s in inputs.of("compare") if s.other is not None]
    metrics = [m for m in METRICS if pick(scores, m)][:2]
    figure = model_tables(inputs, scores, metrics)
    if figure is None:
        return None
    entitle(
        figure,
        f"How alike are the models to each other? (n = {min(s.n for s in scores)} groups)",
        "Each cell: two models on the same samples, in either order. Light: they see the same things as\n"
        "alike. Shuffled samples get a calibrated_cka of 0, and a mutual_knn of k/(n-1).",
    )
    return figure
