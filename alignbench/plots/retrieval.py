"""Figures of retrieval after a projector: what is found, and whether other scores predict it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from alignbench.experiments.prediction import MOST_SHOWN, SHOWN_FIRST, predicts, worth
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.labels import place_names
from alignbench.plots.marks import (
    limit,
    name_rows,
    not_recorded,
    reading_notes,
    sample_note,
    score_bars,
)
from alignbench.plots.style import INK, MARKERS, MUTED, NULL, entitle, lay_out, new_figure
from alignbench.projectors import RIDGE
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.experiments.prediction import Prediction
    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

MEASURES = {"recall_at_1": "recall@1", "recall_at_5": "recall@5", "recall_at_10": "recall@10", "mrr": "MRR"}
MOST_ROWS, MOST_BLOCKS = 12, 6
CHANCE = "#C0392B"


@declare_figure(
    "e2e",
    caption=Caption(
        "Is the text of a held-out image found?",
        "Bars: recall at 1, 5 and 10 and mean reciprocal rank among held-out candidates, both ways; red: "
        "what a guesser gets; grey: after training on shuffled pairs; black: 95% interval.",
        "Retrieval among more candidates: with ten times as many, all values fall. A recall at 10 of "
        "eighteen candidates is high for a guesser, too.",
    ),
)
def e2e_retrieval(inputs: FigureInputs) -> Figure | None:
    """Draw recall@k and MRR, a row an encoder, a block an LLM, a direction and a loss."""
    scores = inputs.of("e2e")
    blocks = list(dict.fromkeys((str(s.llm), s.variant) for s in scores if s.metric in MEASURES and s.llm))
    if not blocks:
        return None
    shown = blocks[:MOST_BLOCKS]
    orders = {
        block: sorted({str(s.encoder) for s in scores if (s.llm, s.variant) == block}, key=inputs.place)[
            :MOST_ROWS
        ]
        for block in shown
    }
    heights = [len(order) + 0.1 for order in orders.values()]
    figure = new_figure(2.4 + 2.3 * len(MEASURES), 2.1 + 0.3 * sum(heights) + 0.34 * len(shown))
    axes = figure.subplots(len(shown), len(MEASURES), sharex="col", squeeze=False, height_ratios=heights)
    for row, (block, encoders) in enumerate(orders.items()):
        for column, (measure, title) in enumerate(MEASURES.items()):
            ax = axes[row, column]
            own = [s for s in pick(scores, measure) if (s.llm, s.variant) == block and s.encoder in encoders]
            places = [encoders.index(str(s.encoder)) for s in own]
            score_bars(ax, own, [inputs.look(str(s.encoder)).colour for s in own], places)
            _chance_lines(ax, own, places)
            name_rows(ax, [inputs.title(e) for e in encoders], _heading(block, inputs), labelled=column == 0)
            limit(ax, [s for s in pick(scores, measure) if (s.llm, s.variant) in shown], least=0.2)
            if not own:
                not_recorded(ax)
            if row == 0:
                ax.set_title(f"\n{title}")
            if row == len(shown) - 1:
                ax.set_xlabel("0 to 1, higher is better")
    own = [s for s in scores if s.metric in MEASURES]
    notes = [
        reading_notes(own).replace("shuffled pairs give", "training on shuffled pairs gives"),
        _trained(own),
    ]
    if len(blocks) > len(shown):
        notes.append(f"The first {len(shown)} of {len(blocks)} combinations of LLM, direction and loss.")
    entitle(
        figure, f"Is the text of a held-out image found?{sample_note(own)}", *notes, legend=[_chance_handle()]
    )
    return figure


def _heading(block: tuple[str, str], inputs: FigureInputs) -> str:
    llm, variant = block
    direction, _, loss = variant.partition(" ")
    what = direction.replace("_", " ").replace("to", "→")
    return f"{inputs.label(llm, 22)}: {what}, {loss}".rstrip(", ")


def _trained(scores: Sequence[Score]) -> str:
    params = next((s.params for s in scores if s.value is not None), {})
    splits = f"{params.get('splits', '?')} splits"
    if params.get("loss") == RIDGE:
        how, often = "solved in closed form with a penalty on its weights", splits
    else:
        how, often = "stopped early", f"{splits} × {params.get('seeds', '?')} seeds"
    candidates = f"{params.get('candidates', 0):.0f} candidates in each split, which sets the chance level"
    return f"Linear projector, {how}; {often}; {candidates}."


def _chance_lines(ax: Axes, scores: Sequence[Score], rows: Sequence[int]) -> None:
    for score, row in zip(scores, rows, strict=True):
        if score.chance is not None and score.value is not None:
            ax.plot([score.chance] * 2, [row - 0.46, row + 0.46], color=CHANCE, linewidth=1.2, zorder=3.5)


def _chance_handle() -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=CHANCE, linewidth=1.2, label="chance: what a guesser gets")


@declare_figure(
    "e2e",
    shows=("e2e", "cka", "coral", "eas", "elas"),
    caption=Caption(
        "Does a score predict retrieval?",
        "A point an encoder: a score against its retrieval; lines: 95% intervals. r, ρ and τ are over "
        "trainings, without the untrained control.",
        "Anything about prediction where it says not estimable: with three trainings r is high or low by "
        "chance alone, and the smallest possible p is 1/3.",
    ),
)
def metric_vs_e2e(inputs: FigureInputs) -> Figure | None:
    """Draw scores against MRR, a point an encoder and LLM, with the correlation and what it is worth."""
    outcomes = [s for s in pick(inputs.of("e2e"), "mrr") if s.value is not None and s.encoder and s.llm]
    if not outcomes:
        return None
    variant = outcomes[0].variant
    goal = {(str(s.encoder), str(s.llm)): s for s in outcomes if s.variant == variant}
    panels = _panels(inputs, goal)
    prediction = predicts(inputs.scores, inputs.models)
    if not panels or prediction is None:
        return None
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(6.8, 4.6 * columns), 1.5 + 3.3 * rows)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    llms = list(dict.fromkeys(llm for _, llm in goal))
    markers = {llm: MARKERS[i % len(MARKERS)] for i, llm in enumerate(llms)}
    for ax, (metric, points) in zip(axes, panels.items(), strict=False):
        for key, score in points.items():
            _point(ax, score, goal[key], inputs.look(key[0]).colour, markers[key[1]])
        _levels(ax, list(goal.values()))
        ax.margins(0.12)
        ax.grid(visible=True)
        better = "higher" if next(iter(points.values())).higher_is_better else "lower"
        ax.set_xlabel(f"{metric} ({better} is better)")
        ax.set_title(_correlation(prediction, metric, variant), fontweight="normal", fontsize=8.5)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.supylabel(f"MRR, {variant.replace('_', ' ')} (higher is better)", fontsize=9, color=INK)
    entitle(
        figure,
        f"Does a score predict retrieval?{sample_note(list(goal.values()))}",
        prediction.statement,
        *wrap(prediction.paradox, 110),
        "Lines: 95% intervals. Red: MRR of a guesser; grey: after training on shuffled pairs."
        + (" r leaves the untrained control out." if prediction.left_out else ""),
        legend=_llm_handles(inputs, markers) if len(llms) > 1 else (),
    )
    lay_out(figure)
    for ax, (_, points) in zip(axes, panels.items(), strict=False):
        # Many names would hide the points: an encoder is named once then, its colour names it elsewhere.
        named = list({key[0]: key for key in reversed(points)}.values() if len(points) > 8 else points)
        place_names(
            ax,
            [(float(points[key].value or 0), float(goal[key].value or 0)) for key in named],
            [inputs.label(key[0], 32) for key in named],
            [inputs.look(key[0]).colour for key in named],
            [bar for key in points for bar in _bars(points[key], goal[key])],
            [(float(points[key].value or 0), float(goal[key].value or 0)) for key in points],
        )
    return figure


def _panels(
    inputs: FigureInputs, goal: Mapping[tuple[str, str], Score]
) -> dict[str, dict[tuple[str, str], Score]]:
    """Return metric -> its scores where there is an MRR, of the first metrics that were recorded."""
    found: dict[str, dict[tuple[str, str], Score]] = {}
    scores = [s for experiment in ("cka", "eas", "elas", "coral") for s in inputs.of(experiment)]
    for metric in SHOWN_FIRST:
        own = {
            (str(s.encoder), str(s.llm)): s
            for s in pick(scores, metric)
            if s.value is not None and not (s.other or s.variant) and (str(s.encoder), str(s.llm)) in goal
        }
        if own and len(found) < MOST_SHOWN:
            found[metric] = own
    return found


def _correlation(prediction: Prediction, metric: str, variant: str) -> str:
    for one in prediction.correlations:
        if (one.metric, one.outcome) == (metric, f"mrr {variant}"):
            return worth(one)
    return f"no correlation: {plural(prediction.lineages, 'lineage')}"


def _point(ax: Axes, x: Score, y: Score, colour: str, marker: str) -> None:
    for x0, y0, x1, y1 in _bars(x, y):
        ax.plot([x0, x1], [y0, y1], color=colour, linewidth=1, alpha=0.7)
    at = (float(x.value or 0), float(y.value or 0))
    ax.plot(*at, marker, color=colour, markersize=8, markeredgecolor="white", markeredgewidth=0.8, zorder=5)


def _bars(x: Score, y: Score) -> list[tuple[float, float, float, float]]:
    """Return the ends of the point's two interval lines."""
    at = (float(x.value or 0), float(y.value or 0))
    bars = []
    if x.interval is not None:
        bars.append((x.interval.low, at[1], x.interval.high, at[1]))
    if y.interval is not None:
        bars.append((at[0], y.interval.low, at[0], y.interval.high))
    return bars


def _levels(ax: Axes, scores: Sequence[Score]) -> None:
    """Draw the MRR of a guesser, and the span of what shuffled pairs gave."""
    chances = [score.chance for score in scores if score.chance is not None]
    if chances:
        ax.axhline(sum(chances) / len(chances), color=CHANCE, linewidth=1.2, zorder=1)
    nulls = [s.null.mean for s in scores if s.null is not None and s.null.mean is not None]
    if nulls:
        ax.axhspan(min(nulls), max(nulls), color=NULL, alpha=0.4, linewidth=1, zorder=0.5)


def _llm_handles(inputs: FigureInputs, markers: Mapping[str, str]) -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [], [], marker=m, linestyle="none", color=MUTED, markersize=7, label=f"for {inputs.label(llm)}"
        )
        for llm, m in markers.items()
    ]
