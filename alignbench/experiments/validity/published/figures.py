"""Figures of a table: what its scores predict, the strongest of them, its claims, and its ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.validity.drawing import Cell, Panel, draw_matrix, draw_scatter
from alignbench.experiments.validity.published.record import CEILING, CLAIM, EXPERIMENT, LARGEST, ONE, POOLED
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import CHANCE, legend_mark, name_rows
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import INK, MUTED, NULL, entitle, new_figure
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

MOST_COLUMNS, MOST_ROWS = 17, 20
_ONE_LINE = 13  # characters of a column's title
TABLE = "--table"
CLAIMED, SCORED, RECIPES = "--table law", "a --table with scores", "a --table of several blocks"


@declare_figure(
    "validity",
    requires=TABLE,
    caption=Caption(
        "Which score of the table predicts which outcome?",
        "Each row is a score, each column an outcome: Pearson's r over the encoders of the table, pooled "
        "over its blocks where it has several. Stars: how often the largest of all cells would be as large "
        "by chance.",
        "Why a score predicts: an r that depends on one family of encoders may only tell that family from "
        "the others (see r without each family in the table of scores).",
    ),
)
def table_matrix(inputs: FigureInputs) -> Figure | None:
    """Draw r of every score with every outcome of a table."""
    scores = _of(inputs, POOLED) or _of(inputs, ONE)
    largest = _first(inputs)
    if not scores or largest is None:
        return None
    cells = {
        (_score_name(score), str(score.params["outcome"])): Cell(score.value or 0.0, _p(score))
        for score in scores
    }
    ceilings = {str(score.params["outcome"]): score.value for score in _of(inputs, CEILING)}

    def title_of(outcome: str) -> str:
        ceiling = ceilings.get(outcome)
        name = fit(clean(outcome), 22)
        name = name if len(name) <= _ONE_LINE else "\n".join(name.rsplit("_", 1))
        return name if ceiling is None else f"{name}\nceiling {ceiling:.2f}"

    notes = [
        "Stars: p of the largest |r| of all cells with permuted labels, at most .05 (*), .01 (**) or .001 "
        "(***)." + (" Ceiling: Spearman's ρ between the blocks of one outcome." if ceilings else ""),
    ]
    heading = f"What the scores of {largest.params['table']} predict"
    return draw_matrix(cells, clean(heading), notes, title_of, most_columns=MOST_COLUMNS)


@declare_figure(
    "validity",
    requires=SCORED,
    caption=Caption(
        "How does the strongest score of the table correlate with its outcome?",
        "Each panel is a block, each point an encoder; marks and colours are families of encoders. Values of "
        "different blocks can't be compared.",
        "How well the score predicts the next encoder: it was chosen as the strongest of many, and encoders "
        "of one family are not independent samples.",
    ),
)
def table_scatter(inputs: FigureInputs) -> Figure | None:
    """Draw the strongest score and its outcome: one panel per block, and one named point per encoder."""
    largest = _first(inputs)
    if largest is None or largest.params["label"] or not largest.params["points"]:
        return None  # the points of a label lie on top of each other
    told = largest.params
    panels = [
        Panel(own["block"] or str(told["table"]), own["encoders"], own["families"], own["x"], own["y"])
        for own in told["points"]
    ]
    p = _p(largest)
    worth = "too few lineages for a p" if p is None else f"p = {p:.2g} after all comparisons were looked at"
    pooled = "pooled " if len(panels) > 1 else ""
    labels = str(told["score"]), str(told["outcome"])
    heading = f"{labels[0]} and {labels[1]} in {told['table']}"
    return draw_scatter(panels, clean(heading), labels, [f"{pooled}r = {told['r']:.2f}; {worth}."], "blocks")


@declare_figure(
    "validity",
    requires=CLAIMED,
    caption=Caption(
        "Does a claimed formula predict encoders that it has not seen?",
        "Each row is an outcome: R² of the fit to all encoders (square), Q² for encoders that were left out "
        "(circle), and the R² that unrelated numbers reach on average (stroke). At 0 a fit is no better than "
        "the mean of the other encoders.",
        "How the formula does on another kind of encoder: see the fits without each family.",
    ),
)
def table_claims(inputs: FigureInputs) -> Figure | None:
    """Draw R² in the sample and Q² out of it of each claim: one panel per claim, one row per outcome."""
    scores = [score for score in _of(inputs, CLAIM) if score.value is not None]
    if not scores:
        return None
    claims = list(dict.fromkeys((str(s.params["claim"]), str(s.params["block"])) for s in scores))[:4]
    figure, axes = grid_figure(len(claims), 2, 5.6, 0.9 + 0.3 * MOST_ROWS / 2, margins=(0.0, 1.5), least=6.8)
    least = max(-1.0, min(0.0, *(score.value or 0.0 for score in scores)))
    for ax, claim in zip(axes, claims, strict=True):
        own = [s for s in scores if (str(s.params["claim"]), str(s.params["block"])) == claim][:MOST_ROWS]
        for row, score in enumerate(own):
            r2, chance, q2 = float(score.params["r2"]), float(score.params["null_r2"]), score.value or 0.0
            ax.plot([max(q2, -1.0), r2], [row, row], color=NULL, linewidth=1.2, zorder=1)
            ax.plot(chance, row, "|", color=CHANCE, markersize=11)
            ax.plot(r2, row, "s", color=MUTED, markersize=6)
            ax.plot(max(q2, -1.0), row, "o" if q2 >= -1 else "<", color=INK, markersize=6)
        ax.axvline(0, color=NULL, linewidth=0.9, zorder=0)
        ax.set_xlim(least - 0.05, 1.05)
        name_rows(ax, [fit(clean(str(score.params["outcome"])), 24) for score in own])
        ax.set_title(fit(clean(claim[0]), 40))
    legend = [
        legend_mark("R² in the sample", "s", MUTED),
        legend_mark("Q² for encoders left out", "o", INK),
        legend_mark("R² by chance", "|", CHANCE),
    ]
    note = "A Q² below -1 is drawn at -1 as an arrow."
    entitle(figure, "Does the formula predict encoders that it has not seen?", note, legend=legend)
    return figure


@declare_figure(
    "validity",
    requires=RECIPES,
    caption=Caption(
        "How well does an outcome predict itself under another recipe?",
        "Each row is an outcome, each point two blocks of the table: Spearman's ρ between the results of the "
        "encoders that both have. The bar is the mean, which is the ceiling.",
        "A bound for all that can be predicted: what the recipes share, such as the LLM, is in every block.",
    ),
)
def table_ceiling(inputs: FigureInputs) -> Figure | None:
    """Draw for each outcome the agreement of every two blocks, and the mean."""
    scores = sorted(_of(inputs, CEILING), key=lambda score: -(score.value or 0.0))[:MOST_ROWS]
    if not scores:
        return None
    figure = new_figure(7.2, 1.9 + 0.3 * len(scores))
    ax = figure.subplots()
    for row, score in enumerate(scores):
        rho = [float(pair[0]) for pair in score.params["pairs"].values()]
        ax.plot(rho, [row] * len(rho), "o", color=NULL, markersize=5)
        ax.plot(score.value or 0.0, row, "|", color=INK, markersize=13, markeredgewidth=2)
    name_rows(ax, [fit(clean(str(score.params["outcome"])), 24) for score in scores])
    ax.set_xlabel("Spearman's ρ between two recipes")
    ax.set_xlim(min(0.0, *(float(s.params["low"]) for s in scores)) - 0.03, 1.03)
    entitle(figure, "How well does an outcome predict itself under another recipe?")
    return figure


def _of(inputs: FigureInputs, metric: str) -> Sequence[Score]:
    """Return the scores of a metric in the run's table; of the first LLM, if several filled it."""
    own = [score for score in inputs.scores if (score.experiment, score.metric) == (EXPERIMENT, metric)]
    own = [score for score in own if "table" in score.params or metric != LARGEST]
    return [score for score in own if score.llm == own[0].llm]


def _score_name(score: Score) -> str:
    return f"{score.params['score']}{' (label)' if score.params['label'] else ''}"


def _first(inputs: FigureInputs) -> Score | None:
    return next((score for score in _of(inputs, LARGEST) if score.value is not None), None)


def _p(score: Score) -> float | None:
    flagged = "not_estimable" in score.flags
    return None if flagged or score.null is None else score.null.p
