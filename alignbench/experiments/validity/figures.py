"""Figures of validity: how scores correlate with outcomes, and what three encoders would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.experiments.validity.drawing import Cell, Panel, draw_matrix, draw_scatter
from alignbench.experiments.validity.study_cells import LOWER_IS_BETTER
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import CHANCE, beside
from alignbench.plots.style import INK, entitle, new_figure
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.experiments.validity.links import Link, Paradox, Validity

TITLES = {
    "mrr_image_to_text": "retrieval MRR\nimage→text",
    "mrr_text_to_image": "retrieval MRR\ntext→image",
    "image_gain": "VLM: gain\nof the image",
    "gain_within_type": "VLM: gain\nwithin type",
    "caption_log_perplexity": "VLM: log\nperplexity",
}
STRONG = "0.99"


@declare_figure(
    "study",
    caption=Caption(
        "Which score predicts which outcome?",
        "Each row is a score, each column an outcome: Pearson's r over trainings, the strongest first. "
        "Stars: how often the largest of all cells would be as large by chance.",
        "Anything by a colour without a star: of that many cells some are high by chance. No score can "
        "correlate with an outcome better than the outcome does with itself (columns agree).",
    ),
)
def validity_matrix(result: Validity) -> Figure | None:
    """Draw r of every score (down) with every outcome (across), strongest first; stars show max-|r| p."""
    if not result.links:
        return None
    cells = {
        (one.metric, one.outcome): Cell(one.pearson, one.p_adjusted if one.estimable else None)
        for one in (link.correlation for link in result.links)
    }
    notes = [
        clean(result.statement),
        "Each cell: Pearson's r over lineages, averaged over columns (LLMs and drawings or data types). "
        "Stars: p of the largest |r| of all cells with permuted labels, at most .05 (*), .01 (**) or .001 "
        "(***). Columns agree: the mean r between an outcome's columns; noise bounds the r that a score "
        "can reach.",
    ]
    heading = f"Which score predicts which outcome? {_size(result)}"
    return draw_matrix(cells, heading, notes, lambda outcome: _title(outcome, result))


@declare_figure(
    "study",
    caption=Caption(
        "How does the best predictor correlate with its outcome?",
        "Each panel is a column of the study, each point an encoder; marks and colours are families. The r "
        "above a panel is of this column; the note below is of all columns together.",
        "How well the score predicts the next encoder: it was chosen as the best of many, and encoders of "
        "one family are not independent samples.",
    ),
)
def validity_scatter(result: Validity) -> Figure | None:
    """Draw the strongest link: one panel per column, and one named point per encoder."""
    if result.best is None:
        return None
    best, table = result.best.correlation, result.table
    x, y = table.metrics[best.metric], table.outcomes[best.outcome]
    panels = [
        Panel(column, table.encoders, table.families, x[:, place].tolist(), y[:, place].tolist())
        for place, column in enumerate(table.columns)
    ]
    around = "" if best.low is None else f", {best.low:.2f} to {best.high:.2f} leaving one lineage out"
    note = (
        f"Over all columns r = {best.pearson:.2f}{around}; ρ = {best.spearman:.2f}, τ = {best.kendall:.2f}; "
        f"p = {best.p:.2g}, {best.p_adjusted:.2g} after all scores and outcomes were looked at. "
        + _families(result.best)
    )
    heading = f"{clean(best.metric)} and {_plain(best.outcome)} {_size(result)}"
    return draw_scatter(panels, heading, (best.metric, _plain(best.outcome)), [note], "columns")


@declare_figure(
    "study",
    caption=Caption(
        "What would three encoders have said?",
        "Left: Pearson's r over every three of the encoders; the line is r over all. Right: how often three "
        "encoders give a nearly perfect r, with one point per score and outcome; red: how often unrelated "
        "numbers do.",
        "Whether a score with many perfect triples predicts better: three points often lie nearly on a line "
        "by chance.",
    ),
)
def validity_paradox(result: Validity) -> Figure | None:
    """Draw r of all subsets of three for the strongest link, and the share of strong r for every link."""
    if result.best is None or result.lineages <= 3:
        return None
    best = result.best.correlation
    paradox = next(p for p in result.paradoxes if (p.metric, p.outcome) == (best.metric, best.outcome))
    figure = new_figure(10.2, 4.6)
    left, right = figure.subplots(1, 2)
    left.hist(paradox.r, bins=np.linspace(-1, 1, 41), color="#9DB8D9", edgecolor="white", linewidth=0.4)
    left.axvline(best.pearson, color=INK, linewidth=1.6)
    text, side = f" all {result.lineages}: r = {best.pearson:.2f} ", "right" if best.pearson > 0 else "left"
    place = ("data", "axes fraction")
    beside(left, text, (best.pearson, 0.97), coordinates=place, va="top", ha=side, fontsize=8)
    left.set_xlabel("Pearson's r of three encoders")
    left.set_ylabel("subsets of three (each column)")
    left.set_title(f"{fit(clean(best.metric), 26)} with {fit(clean(_plain(best.outcome)), 30)}", fontsize=9)
    _shares(right, result)
    entitle(
        figure,
        "What any three of these encoders would have said",
        _paradox_note(paradox),
        f"Right: one point per score and outcome. Red: how often three unrelated numbers reach this r "
        f"({paradox.by_chance[STRONG]:.0%}).",
    )
    return figure


def _shares(ax: Axes, result: Validity) -> None:
    whole = {(c.metric, c.outcome): c.pearson for c in (link.correlation for link in result.links)}
    x = [abs(whole[p.metric, p.outcome]) for p in result.paradoxes]
    y = [100 * p.strong[STRONG] for p in result.paradoxes]
    ax.plot(x, y, "o", color="#4C78A8", alpha=0.6, markersize=5, mec="white", mew=0.4)
    ax.axhline(100 * result.paradoxes[0].by_chance[STRONG], color=CHANCE, linewidth=1.2)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, max(12.0, 1.12 * max(y)))
    ax.grid(visible=True)
    ax.set_xlabel(f"|r| over all {result.lineages} lineages")
    ax.set_ylabel(f"% of subsets of three with |r| ≥ {STRONG}")


def _paradox_note(paradox: Paradox) -> str:
    which = "all" if paradox.drawn == paradox.subsets else f"{paradox.drawn:,} drawn of"
    return (
        f"Left: {which} {paradox.subsets:,} subsets in every column: |r| ≥ .99 in "
        f"{paradox.strong[STRONG]:.0%}, ≥ .9 in {paradox.strong['0.9']:.0%}, the opposite sign in "
        f"{paradox.opposite:.0%}. "
        f"The exact p of three encoders is never below {paradox.smallest_p:.2f}, however large their r."
    )


def _title(outcome: str, result: Validity) -> str:
    lines = [TITLES.get(outcome, fit(clean(outcome), 22))]
    if outcome in LOWER_IS_BETTER:
        lines.append("(low is good)")
    if outcome in result.agreement:
        lines.append(f"columns agree: {result.agreement[outcome]:.2f}")
    return "\n".join(lines)


def _plain(outcome: str) -> str:
    return TITLES.get(outcome, outcome).replace("\n", " ")


def _size(result: Validity) -> str:
    if not result.name:
        return f"({result.lineages} lineages)"
    encoders = len(result.table.encoders)
    more = "" if encoders == result.lineages else f", {encoders} checkpoints"
    return f"({result.name}: {result.lineages} lineages{more})"


def _families(link: Link) -> str:
    parts = [f"without {clean(f)} {r:.2f}" for f, r in link.without.items() if r is not None]
    return f"r {', '.join(parts)}." if len(link.without) > 1 and parts else ""
