"""Figures of the Deep CORAL family: how alike distributions are, regardless of the pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.coral.figures.spectra import covariance_rows, pair_order, spectrum_lines
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, models_of_pair, pick_each
from alignbench.plots.marks import reading_notes, sample_note
from alignbench.plots.panels import Block, Column, score_table, table_height
from alignbench.plots.style import entitle, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

MODES = {
    "cross-modal": "encoder × LLM",
    "vision-vision": "encoder × encoder",
    "text-text": "LLM × LLM",
}
COLUMNS = {
    "ncoral": "0 to 1, lower is more alike",
    "spectral_ncoral": "0 to 1, lower is more alike",
    "coral_similarity": "0 to 1, higher is more alike",
    "coral_distance": "from 0 on, lower is more alike",
}
GLANCE = ("ncoral", "spectral_ncoral", "coral_similarity")  # the metrics that the dashboard has room for
MOST_ROWS = 20
MOST_ROWS_HERE = 12
BLIND_NOTE = "CORAL doesn't see which image belongs to which text: it compares distributions, not pairs."
SATURATED_NOTE = "Hatched: saturated, so it can't tell models apart; read ncoral instead."


@declare_figure(
    "coral",
    caption=Caption(
        "Deep CORAL at a glance",
        "Top: distances between distributions. Middle: over how many directions the variance spreads. "
        "Bottom: the covariances of the most alike encoder and LLM in one basis, and their difference.",
        "Alignment of pairs. A small distance says that the clouds have the same shape, not that a point of "
        "one lies at its partner's place in the other.",
    ),
)
def coral_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw CORAL on one page: the scores of all modes, the spectra, and the closest pair's covariances."""
    scores = pick_each(inputs.of("coral"), GLANCE)
    if not scores:
        return None
    first, *_ = scores
    main, *others = _blocks(scores[first], inputs, MOST_ROWS_HERE).items()
    arrays = pair_order(inputs)
    lower = max((len(block.rows) for _, block in others), default=0)
    heights = [0.27 * len(main[1].rows) + 0.85]
    heights += [0.27 * lower + 0.85] if others else []
    heights += [3.3, 2.7] if arrays else []
    figure = new_figure(11, 1.1 + sum(heights))
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel())
    score_table(next(parts), [main[1]], _columns(scores, dict([main])), inputs.colour)
    if others:
        for part, (mode, block) in zip(
            next(parts).subfigures(1, len(others), squeeze=False)[0], others, strict=True
        ):
            columns = _columns({first: scores[first]}, {mode: block})
            score_table(part, [Block(block.heading, block.rows, lower)], columns, inputs.colour)
    if arrays:
        left, right = next(parts).subplots(1, 2)
        spectrum_lines(left, right, inputs)
        part = next(parts)
        covariance_rows(part, part.subplots(1, 3, squeeze=False), arrays[:1], inputs)
    entitle(figure, f"Deep CORAL at a glance{sample_note(scores[first])}", *_notes(scores))
    return figure


@declare_figure(
    "coral",
    caption=Caption(
        "How alike are the distributions of two models?",
        "Each row is a pair of models: an encoder with an LLM, two encoders, or two LLMs. For ncoral and "
        "spectral_ncoral, 0 is the same distribution; beside them are similarity and distance as published. "
        "Hatched: saturated.",
        "Which text belongs to which image. Hatched bars cannot tell models apart, however alike or "
        "different these are.",
    ),
)
def coral_comparison(inputs: FigureInputs) -> Figure | None:
    """Draw the CORAL scores of all pairs: one column per metric, one block per mode."""
    from matplotlib.ticker import MaxNLocator

    scores = pick_each(inputs.of("coral"), COLUMNS)
    if not scores:
        return None
    first = next(iter(scores.values()))
    blocks = _blocks(first, inputs, MOST_ROWS)
    rows = list(blocks.values())
    figure = new_figure(2.4 + 2.6 * len(scores), 1.5 + table_height(rows, 0.27))
    axes = score_table(figure, rows, _columns(scores, blocks), inputs.colour)
    if "coral_distance" in scores:  # its long numbers need room, and none is below 0
        column = axes[0, list(scores).index("coral_distance")]
        column.set_xlim(left=0)
        column.xaxis.set_major_locator(MaxNLocator(3))
    entitle(figure, f"How alike are the distributions?{sample_note(first)}", *_notes(scores))
    return figure


def _blocks(scores: Sequence[Score], inputs: FigureInputs, most: int) -> dict[str, Block]:
    """Return mode -> its pairs of models, the most alike first and those without a value last."""
    sign = -1.0 if scores[0].higher_is_better else 1.0
    ranked = sorted(scores, key=lambda s: (s.value is None, sign * (s.value or 0.0), models_of_pair(s)))
    blocks: dict[str, Block] = {}
    for mode, heading in MODES.items():
        pairs = list(dict.fromkeys(models_of_pair(score) for score in ranked if mode_of(score) == mode))
        rows = {pair: _pair_name(pair, inputs) for pair in pairs[:most]}
        if rows:
            cut = f" (first {most} of {len(pairs)})" if len(pairs) > most else ""
            blocks[mode] = Block(heading + cut, rows)
    return blocks


def _columns(scores: Mapping[str, Sequence[Score]], blocks: Mapping[str, Block]) -> list[Column]:
    columns = []
    for metric, of_metric in scores.items():
        by_pair = {models_of_pair(score): score for score in of_metric}
        cells = [{pair: by_pair[pair] for pair in block.rows if pair in by_pair} for block in blocks.values()]
        columns.append(Column(metric, cells, COLUMNS[metric]))
    return columns


def _pair_name(pair: Sequence[str], inputs: FigureInputs) -> str:
    first, second = (inputs.label(name) for name in pair)
    return f"{first} × {second}" if len(first) + len(second) < 42 else f"{first}\n× {second}"


def _notes(columns: Mapping[str, Sequence[Score]]) -> list[str]:
    scores = [score for column in columns.values() for score in column]
    reading = reading_notes(scores)
    if any("saturated" in score.flags for score in scores):
        reading += f" {SATURATED_NOTE}"
    return [BLIND_NOTE, reading]
