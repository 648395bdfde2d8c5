"""Figures of the Deep CORAL family: how alike distributions are, whatever belongs to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.cells import model_matrices
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import mode_of, pick
from alignbench.plots.marks import (
    limit,
    name_rows,
    not_recorded,
    reading_notes,
    sample_note,
    score_bars,
)
from alignbench.plots.spectra import covariance_rows, pair_order, spectrum_lines
from alignbench.plots.style import entitle, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
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
GLANCE = ("ncoral", "spectral_ncoral", "coral_similarity")  # what the dashboard has room for
BETWEEN_MODELS = ("coral_similarity", "ncoral")
MOST_ROWS = 20
MOST_ROWS_HERE = 12
BLIND_NOTE = "CORAL doesn't see which image belongs to which text: it compares distributions, not pairs."
SATURATED_NOTE = "Hatched: saturated, it can't tell models apart; read ncoral."


@declare_figure(
    "coral",
    caption=Caption(
        "How alike are the distributions of two models?",
        "A row a pair of models: encoder with LLM, encoders, LLMs. ncoral and spectral_ncoral: 0 is the "
        "same distribution. Beside them similarity and distance, as published. Hatched: saturated.",
        "Which text belongs to which image. Hatched bars cannot tell any models apart, however equal or "
        "different these are.",
    ),
)
def coral_comparison(inputs: FigureInputs) -> Figure | None:
    """Draw the CORAL scores of all pairs, a column a metric, a block a mode."""
    from matplotlib.ticker import MaxNLocator

    scores = inputs.of("coral")
    columns = {metric: pick(scores, metric) for metric in COLUMNS}
    columns = {metric: own for metric, own in columns.items() if own}
    if not columns:
        return None
    first = next(iter(columns.values()))
    blocks = {mode: rows for mode in MODES if (rows := _pairs(first, mode))}
    heights = [min(len(rows), MOST_ROWS) + 0.1 for rows in blocks.values()]
    figure = new_figure(2.4 + 2.6 * len(columns), 1.5 + 0.27 * sum(heights) + 0.3 * len(blocks))
    axes = figure.subplots(len(blocks), len(columns), sharex="col", squeeze=False, height_ratios=heights)
    for row, (mode, pairs) in enumerate(blocks.items()):
        for column, (metric, own) in enumerate(columns.items()):
            ax = axes[row, column]
            pair_bars(ax, own, pairs[:MOST_ROWS], inputs, block_name(mode, pairs), labelled=column == 0)
            limit(ax, own)
            if metric == "coral_distance":  # its long numbers need room, and none is below 0
                ax.set_xlim(left=0)
                ax.xaxis.set_major_locator(MaxNLocator(3))
            if row == 0:
                ax.set_title(metric)
            if row == len(blocks) - 1:
                ax.set_xlabel(COLUMNS[metric])
    entitle(figure, f"How alike are the distributions?{sample_note(first)}", *_notes(columns))
    return figure


def _notes(columns: Mapping[str, Sequence[Score]]) -> list[str]:
    scores = [score for own in columns.values() for score in own]
    saturated = any("saturated" in score.flags for score in scores)
    return [BLIND_NOTE, " ".join([reading_notes(scores), *([SATURATED_NOTE] if saturated else [])])]


def block_name(mode: str, pairs: Sequence[tuple[str, ...]], most: int = MOST_ROWS) -> str:
    """Return what the block of a mode is headed by, and that it is cut where it is."""
    return MODES[mode] + (f" (first {most} of {len(pairs)})" if len(pairs) > most else "")


def models_of_pair(score: Score) -> tuple[str, str]:
    """Return the two models that the score compares, encoder first."""
    first, *rest = (str(name) for name in (score.encoder, score.other, score.llm) if name is not None)
    return (first, rest[0]) if rest else (first, first)


def _pairs(scores: Sequence[Score], mode: str) -> list[tuple[str, ...]]:
    """Return the mode's pairs of models, the most alike first, those without a value last."""
    own = [score for score in scores if mode_of(score) == mode]
    sign = {True: -1.0, False: 1.0}
    ranked = sorted(
        own, key=lambda s: (s.value is None, sign[s.higher_is_better] * (s.value or 0.0), models_of_pair(s))
    )
    return list(dict.fromkeys(models_of_pair(score) for score in ranked))


def pair_bars(
    ax: Axes,
    scores: Sequence[Score],
    pairs: Sequence[tuple[str, ...]],
    inputs: FigureInputs,
    block: str = "",
    labelled: bool = True,
    room: int = 0,
) -> None:
    """Draw a bar a pair of models, in the given order; a pair without a score keeps its row."""
    by_pair = {models_of_pair(score): score for score in scores}
    shown = {row: by_pair[pair] for row, pair in enumerate(pairs) if pair in by_pair}
    colours = [inputs.look(models_of_pair(score)[0]).colour for score in shown.values()]
    score_bars(ax, list(shown.values()), colours, list(shown))
    if not shown:
        not_recorded(ax)
    name_rows(ax, [_pair_name(pair, inputs) for pair in pairs], block, labelled, room)


def _pair_name(pair: Sequence[str], inputs: FigureInputs) -> str:
    first, second = (inputs.label(name) for name in pair)
    return f"{first} × {second}" if len(first) + len(second) < 42 else f"{first}\n× {second}"


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
    metrics = [metric for metric in BETWEEN_MODELS if pick(scores, metric)]
    figure = model_matrices(inputs, scores, metrics, diagonal=True)
    if figure is None:
        return None
    shown = [score for score in scores if score.metric in metrics]
    notes = ["Each cell: the distributions of two models of one side, in either order. Light: alike."]
    if any("saturated" in score.flags for score in shown):
        notes.append(
            "Hatched: saturated, CORAL similarity is about 1 whichever two models are compared.\n"
            "Read ncoral: 0 is the same distribution, 1 no direction in common."
        )
    entitle(figure, f"How alike are the models of one side?{sample_note(shown)}", *notes)
    return figure


@declare_figure(
    "coral",
    caption=Caption(
        "Deep CORAL at a glance",
        "Top: distances of distributions. Middle: over how many directions the variance is spread. "
        "Bottom: the covariances of the encoder and LLM that are most alike, in one basis, and their "
        "difference.",
        "Alignment of pairs. A small distance says that the clouds have one shape, not that a point of "
        "one lies at its partner's place in the other.",
    ),
)
def coral_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw all that CORAL says on one page: scores of all modes, spectra, the closest pair's covariances."""
    scores = inputs.of("coral")
    columns = {metric: own for metric in GLANCE if (own := pick(scores, metric))}
    if not columns:
        return None
    first = next(iter(columns.values()))
    blocks = {mode: rows for mode in MODES if (rows := _pairs(first, mode))}
    main, *others = blocks
    arrays = pair_order(inputs)
    sizes = {mode: min(len(rows), MOST_ROWS_HERE) for mode, rows in blocks.items()}
    heights = [0.27 * sizes[main] + 0.85]
    heights += [0.27 * max(sizes[mode] for mode in others) + 0.85] if others else []
    heights += [3.3, 2.7] if arrays else []
    figure = new_figure(11, 1.1 + sum(heights))
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel())

    def panel(ax: Axes, mode: str, metric: str, labelled: bool = True, room: int = 0) -> None:
        shown = blocks[mode][:MOST_ROWS_HERE]
        own = [score for score in columns[metric] if models_of_pair(score) in shown]
        pair_bars(ax, own, shown, inputs, block_name(mode, blocks[mode], MOST_ROWS_HERE), labelled, room)
        limit(ax, own)
        ax.set_title(metric)
        ax.set_xlabel(COLUMNS[metric])

    for i, (ax, metric) in enumerate(
        zip(next(parts).subplots(1, len(columns), squeeze=False)[0], columns, strict=True)
    ):
        panel(ax, main, metric, labelled=i == 0)
    if others:
        for ax, mode in zip(next(parts).subplots(1, len(others), squeeze=False)[0], others, strict=True):
            panel(ax, mode, first[0].metric, room=max(sizes[mode] for mode in others))
    if arrays:
        left, right = next(parts).subplots(1, 2)
        spectrum_lines(left, right, inputs)
        part = next(parts)
        covariance_rows(part, part.subplots(1, 3, squeeze=False), arrays[:1], inputs)
    entitle(figure, f"Deep CORAL at a glance{sample_note(first)}", *_notes(columns))
    return figure
