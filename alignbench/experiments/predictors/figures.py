"""The figure of the predictors: each score beside what shuffled pairs give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, pick_each
from alignbench.plots.panels import beside_shuffled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs


@declare_figure(
    "predictors",
    caption=Caption(
        "What do further scores say?",
        "Bars: the score; black line: its 95% interval; grey: what shuffled pairs give (mean, ±2 standard "
        "deviations). Rows are in the order of the first score: where another one orders the encoders "
        "differently, its bars do not get shorter downwards.",
        "Which of these scores is the best one: docs/validity.md asks which of them predicts the performance "
        "of real VLMs. Do not compare bars of different panels.",
    ),
)
def predictor_scores(inputs: FigureInputs) -> Figure | None:
    """Draw every predictor with its null: one column per metric, one block per LLM, one row per encoder."""
    recorded = [s for s in inputs.of("predictors") if mode_of(s) == "cross-modal"]
    scores = pick_each(recorded, dict.fromkeys(score.metric for score in recorded))
    if not scores:
        return None
    return beside_shuffled(scores, inputs, "Further scores beside shuffled pairs")
