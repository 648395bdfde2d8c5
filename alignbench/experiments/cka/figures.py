"""The figure of the CKA family: each score beside what shuffled pairs give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick_each
from alignbench.plots.panels import beside_shuffled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs

FAMILY = ("calibrated_cka", "debiased_cka", "linear_cka", "rbf_cka")


@declare_figure(
    "cka",
    "compare",
    shows=("cka",),
    caption=Caption(
        "Does the similarity measure matter?",
        "Bars: the score; black line: its 95% interval; grey: what shuffled pairs give (mean, ±2 standard "
        "deviations). What counts is how far a bar passes its own grey band.",
        "Anything by the length of a bar of linear or RBF CKA alone: with few samples or many dimensions, "
        "these are high for unrelated data. Do not compare bars of different panels.",
    ),
)
def cka_comparison(inputs: FigureInputs) -> Figure | None:
    """Draw the CKA family with its nulls: one column per metric, one block per LLM, one row per encoder."""
    recorded = [s for s in inputs.of("cka") if s.encoder and s.llm]
    scores = pick_each(recorded, FAMILY)
    if not scores:
        return None
    return beside_shuffled(
        scores,
        inputs,
        "The CKA family beside shuffled pairs",
        "The length of a bar says little by itself: compare it with its own grey band. calibrated_cka is "
        "linear_cka with that band moved to 0 and the best possible value left at 1.",
    )
