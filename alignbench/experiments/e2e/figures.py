"""Figures of retrieval with a trained projector: how well it works, and whether other scores predict it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import (
    CHANCE,
    chance_mark,
    left_out,
    legend_line,
    reading_notes,
    sample_note,
    score_bar,
)
from alignbench.plots.panels import Block, Column, by_block, grid_figure, score_table, table_height
from alignbench.plots.scatter import draw_points, llm_legend, llm_markers, name_points, score_point
from alignbench.plots.style import INK, NULL, entitle, new_figure
from alignbench.projectors import RIDGE
from alignbench.stats.prediction import MOST_SHOWN, SHOWN_FIRST, worth
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.stats.prediction import Prediction
    from alignbench.types import Score

MEASURES = {"recall_at_1": "recall@1", "recall_at_5": "recall@5", "recall_at_10": "recall@10", "mrr": "MRR"}
MOST_ROWS, MOST_BLOCKS = 12, 6


@declare_figure(
    "e2e",
    caption=Caption(
        "Is the text of a held-out image found?",
        "Bars: recall at 1, 5 and 10 and mean reciprocal rank among held-out candidates, in both directions; "
        "red: what a guesser gets; grey: after training on shuffled pairs; black: 95% interval.",
        "Retrieval among more candidates: with ten times as many, all values fall. Recall at 10 among "
        "eighteen candidates is high even for a guesser.",
    ),
)
def e2e_retrieval(inputs: FigureInputs) -> Figure | None:
    """Draw recall@k and MRR: one row per encoder, one block per LLM, direction and loss."""
    scores = [s for s in inputs.of("e2e") if s.metric in MEASURES]
    every = list(dict.fromkeys((str(s.llm), s.variant) for s in scores if s.llm))
    if not every:
        return None
    shown = every[:MOST_BLOCKS]
    blocks = []
    for key in shown:
        encoders = inputs.ordered(str(s.encoder) for s in scores if (s.llm, s.variant) == key)[:MOST_ROWS]
        blocks.append(Block(_heading(key, inputs), {e: inputs.title(e) for e in encoders}))
    tables = {measure: by_block(pick(scores, measure), lambda s: (s.llm, s.variant)) for measure in MEASURES}
    columns = [
        Column(title, [tables[measure].get(key, {}) for key in shown], "0 to 1, higher is better", 0.2)
        for measure, title in MEASURES.items()
    ]
    figure = new_figure(2.4 + 2.3 * len(MEASURES), 2.0 + table_height(blocks, heading=0.34))
    score_table(figure, blocks, columns, inputs.colour, _bar_with_chance)
    entitle(
        figure,
        f"Is the text of a held-out image found?{sample_note(scores)}",
        reading_notes(scores).replace("shuffled pairs give", "training on shuffled pairs gives"),
        _trained(scores),
        *left_out(len(shown), len(every), "combinations of LLM, direction and loss"),
        legend=[legend_line("chance: what a guesser gets", color=CHANCE, linewidth=1.2)],
    )
    return figure


def _bar_with_chance(ax: Axes, row: float, score: Score, colour: str) -> None:
    score_bar(ax, row, score, colour)
    chance_mark(ax, row, score)


def _heading(block: tuple[str, str], inputs: FigureInputs) -> str:
    llm, variant = block
    direction, _, loss = variant.partition(" ")
    what = direction.replace("_", " ").replace("to", "→")
    return f"{inputs.label(llm, 22)}: {what}, {loss}".rstrip(", ")


def _trained(scores: Sequence[Score]) -> str:
    params = next((s.params for s in scores if s.value is not None), {})
    splits = f"{params.get('splits', '?')} splits"
    if params.get("loss") == RIDGE:
        how = f"solved in closed form with a penalty on its weights; {splits}"
    else:
        how = f"stopped early; {splits} × {params.get('seeds', '?')} seeds"
    candidates = f"{params.get('candidates', 0):.0f} candidates in each split, which sets the chance level"
    return f"Linear projector, {how}; {candidates}."


@declare_figure(
    "e2e",
    shows=("e2e", "cka", "coral", "eas", "elas"),
    caption=Caption(
        "Does a score predict retrieval?",
        "Each point is an encoder: its score against its retrieval; lines: 95% intervals. r, ρ and τ are "
        "over trainings, without the untrained control.",
        "Anything about prediction if it says not estimable: with three trainings, r is high or low by "
        "chance alone, and the smallest possible p is 1/3.",
    ),
)
def metric_vs_e2e(inputs: FigureInputs) -> Figure | None:
    """Draw scores against MRR, one point per encoder and LLM, with the correlation and its uncertainty."""
    outcomes = [s for s in pick(inputs.of("e2e"), "mrr") if s.value is not None and s.encoder and s.llm]
    if not outcomes:
        return None
    variant = outcomes[0].variant
    goal = {(str(s.encoder), str(s.llm)): s for s in outcomes if s.variant == variant}
    panels = _panels(inputs, goal)
    prediction = inputs.prediction
    if not panels or prediction is None:
        return None
    figure, axes = grid_figure(len(panels), 2, 4.6, 3.3, least=6.8, sharey=True)
    markers = llm_markers(llm for _, llm in goal)
    to_name = []
    for ax, (metric, scores) in zip(axes, panels.items(), strict=True):
        points = [score_point(score, goal[key], markers[key[1]], inputs) for key, score in scores.items()]
        draw_points(ax, points)
        _levels(ax, list(goal.values()))
        better = "higher" if next(iter(scores.values())).higher_is_better else "lower"
        ax.set_xlabel(f"{metric} ({better} is better)")
        ax.set_title(_correlation(prediction, metric, variant), fontweight="normal", fontsize=8.5)
        to_name.append((ax, points))
    figure.supylabel(f"MRR, {variant.replace('_', ' ')} (higher is better)", fontsize=9, color=INK)
    reading = "Lines: 95% intervals. Red: MRR of a guesser; grey: after training on shuffled pairs."
    if prediction.left_out:
        reading += " r leaves the untrained control out."
    entitle(
        figure,
        f"Does a score predict retrieval?{sample_note(list(goal.values()))}",
        prediction.statement,
        *wrap(prediction.paradox, 110),
        reading,
        legend=llm_legend(markers, inputs),
    )
    name_points(figure, to_name)
    return figure


def _panels(
    inputs: FigureInputs, goal: Mapping[tuple[str, str], Score]
) -> dict[str, dict[tuple[str, str], Score]]:
    """Return metric -> its scores of pairs with an MRR, for the first metrics that were recorded."""
    panels: dict[str, dict[tuple[str, str], Score]] = {}
    scores = [s for experiment in ("cka", "eas", "elas", "coral") for s in inputs.of(experiment)]
    for metric in SHOWN_FIRST:
        by_pair = {
            (str(s.encoder), str(s.llm)): s
            for s in pick(scores, metric)
            if s.value is not None and not (s.other or s.variant) and (str(s.encoder), str(s.llm)) in goal
        }
        if by_pair and len(panels) < MOST_SHOWN:
            panels[metric] = by_pair
    return panels


def _correlation(prediction: Prediction, metric: str, variant: str) -> str:
    for correlation in prediction.correlations:
        if (correlation.metric, correlation.outcome) == (metric, f"mrr {variant}"):
            return worth(correlation)
    return f"no correlation: {plural(prediction.lineages, 'lineage')}"


def _levels(ax: Axes, scores: Sequence[Score]) -> None:
    """Draw the MRR of a guesser, and the range of the MRR after training on shuffled pairs."""
    chances = [score.chance for score in scores if score.chance is not None]
    if chances:
        ax.axhline(sum(chances) / len(chances), color=CHANCE, linewidth=1.2, zorder=1)
    nulls = [s.null.mean for s in scores if s.null is not None and s.null.mean is not None]
    if nulls:
        ax.axhspan(min(nulls), max(nulls), color=NULL, alpha=0.4, linewidth=1, zorder=0.5)
