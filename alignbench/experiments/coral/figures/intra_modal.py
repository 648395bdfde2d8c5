"""The figure of CORAL within each side: encoders with encoders, and LLMs with LLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import sample_note
from alignbench.plots.model_tables import model_tables
from alignbench.plots.style import entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs

METRICS = ("coral_similarity", "ncoral")


@declare_figure(
    "coral",
    requires="two encoders or two LLMs",
    caption=Caption(
        "How alike are the encoders' distributions, and the LLMs'?",
        "A cell a pair of models of one side. CORAL similarity, as published: 1 is the same; hatched: "
        "saturated. Beside it ncoral, which is 0 for the same distribution. Light: alike, in both.",
        "Whether two models see the same samples as alike: CORAL compares clouds, not samples. Hatched cells "
        "cannot tell any two models apart.",
    ),
)
def intra_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw CORAL similarity of each two encoders, and of each two LLMs, beside ncoral: model × model."""
    scores = [score for score in inputs.of("coral") if score.other is not None]
    metrics = [metric for metric in METRICS if pick(scores, metric)]
    figure = model_tables(inputs, scores, metrics, diagonal=True)
    if figure is None:
        return None
    shown = [score for score in scores if score.metric in metrics]
    notes = ["Each cell: the distributions of two models of one side, in either order. Light: alike."]
    if any("saturated" in score.flags for score in shown):
        notes.append(
            "Hatched: saturated, CORAL similarity is about 1 whichever two models are compared. "
            "Read ncoral: 0 is the same distribution, 1 no direction in common."
        )
    entitle(figure, f"How alike are the models of one side?{sample_note(shown)}", *notes)
    return figure
