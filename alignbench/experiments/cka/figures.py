"""The figure of the CKA family: each score beside what shuffled pairs give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick_each
from alignbench.plots.marks import reading_notes, sample_note
from alignbench.plots.panels import Column, by_block, llm_blocks, score_table, table_height
from alignbench.plots.style import entitle, new_figure

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
    first = next(iter(scores.values()))
    sign = -1.0 if first[0].higher_is_better else 1.0
    order = sorted(first, key=lambda s: (s.value is None, sign * (s.value or 0.0), str(s.encoder)))
    llms = list(dict.fromkeys(str(s.llm) for s in first))
    blocks = llm_blocks({llm: [str(s.encoder) for s in order if s.llm == llm] for llm in llms}, inputs)
    tables = {metric: by_block(column, lambda s: str(s.llm)) for metric, column in scores.items()}
    columns = [Column(metric, [table.get(llm, {}) for llm in llms]) for metric, table in tables.items()]
    figure = new_figure(2.0 + 2.6 * len(columns), 1.5 + table_height(blocks))
    score_table(figure, blocks, columns, inputs.colour)
    every = [score for column in scores.values() for score in column]
    entitle(
        figure,
        f"The CKA family beside shuffled pairs{sample_note(first)}",
        reading_notes(every),
        "The length of a bar says little by itself: compare it with its own grey band. calibrated_cka is "
        "linear_cka with that band moved to 0 and the best possible value left at 1.",
    )
    return figure
