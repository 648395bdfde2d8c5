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
        "Each cell is a pair of models of one side. CORAL similarity, as published, is 1 for the same "
        "distribution; hatched cells are saturated. Beside it, ncoral is 0 for the same distribution. Light "
        "is alike in both.",
        "Whether two models see the same samples as alike: CORAL compares clouds, not samples. Hatched cells "
        "cannot tell models apart.",
    ),
)
def intra_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw CORAL similarity and ncoral of every two encoders and of every two LLMs, model × model."""
    scores = [score for score in inputs.of("coral") if score.other is not None]
    metrics = [metric for metric in METRICS if pick(scores, metric)]
    figure = model_tables(inputs, scores, metrics, diagonal=True)
    if figure is None:
        return None
    shown = [score for score in scores if score.metric in metrics]
    notes = ["Each cell compares the distributions of two models of one side. Light: alike."]
    if any("saturated" in score.flags for score in shown):
        notes.append(
            "Hatched: saturated, since CORAL similarity is about 1 for any two models. "
            "Read ncoral instead: 0 is the same distribution, 1 is no direction in common."
        )
    entitle(figure, f"How alike are the models of one side?{sample_note(shown)}", *notes)
    return figure
