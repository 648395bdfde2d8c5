"""Figures of correspondence: the C score of each encoder, and what it finds in the first pairs of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import interval_mark, left_out, limit, missing, name_rows, null_mark, value_label
from alignbench.plots.style import INK, MUTED, entitle, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import Arrays, FigureInputs

RIGHT, WRONG = "#1B9E54", "#C0392B"
MOST_ROWS, MOST_COLUMNS = 24, 4


@declare_figure(
    "correspondence",
    caption=Caption(
        "How many keypoints does each encoder find?",
        "Point: the share of keypoints found, with its 95% interval; cross: a guess; open triangle: the most "
        "that patches of this size could find; grey: what the targets of other pairs give.",
        "What finer patches of the same encoder would find, nor how well an LLM can use them. Compare "
        "encoders with as many patches.",
    ),
)
def correspondence_scores(inputs: FigureInputs) -> Figure | None:
    """Draw the C score of each encoder with its null, a guess, and the most that its patches allow."""
    every = sorted(inputs.of("correspondence"), key=lambda score: inputs.place(str(score.encoder)))
    scores = every[:MOST_ROWS]
    if not scores:
        return None
    figure = new_figure(7.6, 1.9 + 0.36 * len(scores))
    ax = figure.subplots()
    for row, score in enumerate(scores):
        if score.value is None:
            missing(ax, row, score)
            continue
        null_mark(ax, row, score.null, height=0.4)
        interval_mark(ax, row, score)
        ceiling = score.params.get("ceiling")
        for at, marker in ((score.chance, "x"), (ceiling, "<")):
            if at is not None:
                ax.plot(at, row, marker, color=MUTED, markersize=5, markerfacecolor="none", zorder=3.5)
        ax.plot(score.value, row, "o", color=inputs.look(str(score.encoder)).colour, markersize=6, zorder=5)
        value_label(ax, row, score, score.chance)
    name_rows(ax, [inputs.label(str(score.encoder)) for score in scores])
    limit(ax, scores, max(0.0, *(score.params.get("ceiling") or 0.0 for score in scores)))
    ax.set_xlabel("c_score: share of keypoints found")
    entitle(
        figure,
        f"How many keypoints does each encoder find? ({scores[0].n} pairs of images)",
        "Point: mean over pairs, with its 95% interval. Cross: a guess. Triangle: the most that patches of",
        "this size could find. Grey: the targets of other pairs (line: mean; band: ±2 standard deviations).",
        *left_out(len(scores), len(every), "encoders; all are in the summary"),
    )
    return figure


@declare_figure(
    "correspondence",
    requires="an encoder with patches",
    caption=Caption(
        "Where does each encoder find the points?",
        "Each panel is a pair: lines lead from a keypoint on the left to the patch on the right that is most "
        "similar to it. Green: found; red: missed. Circles: where the points really are.",
        "How well an encoder does overall: these are a few pairs, and the score is of all.",
    ),
)
def correspondence_matches(inputs: FigureInputs) -> Figure | None:
    """Draw the first pairs, one row for each, with the matches of each encoder in a column."""
    files = inputs.arrays_of("matches")
    columns = files[:MOST_COLUMNS]
    if not columns:
        return None
    pairs = len(columns[0]["images"])
    figure = new_figure(0.4 + 3.1 * len(columns), 1.2 + 1.55 * pairs)
    axes = figure.subplots(pairs, len(columns), squeeze=False)
    for column, arrays in enumerate(columns):
        for pair in range(pairs):
            _matched(axes[pair][column], arrays, pair)
        axes[0][column].set_title(inputs.title(str(arrays["encoder"]), 30), fontsize=9)
    entitle(
        figure,
        "Where does each encoder find the points?",
        "From each keypoint (left) to its most similar patch (right). Green: found; red: missed.",
        "Circles: where the points really are.",
        *left_out(len(columns), len(files), "encoders"),
    )
    return figure


def _matched(ax: Axes, arrays: Arrays, pair: int) -> None:
    ax.imshow(np.concatenate(list(arrays["images"][pair]), axis=1), extent=(0, 2, 1, 0))
    ax.axvline(1, color="white", linewidth=2)
    ax.set(xlim=(0, 2), ylim=(1, 0), xticks=[], yticks=[])
    rows = arrays["pair"] == pair
    ends: Any = zip(
        arrays["source"][rows],
        arrays["truth"][rows],
        arrays["found"][rows],
        arrays["right"][rows],
        strict=True,
    )
    for source, truth, found, right in ends:
        colour = RIGHT if right >= 1 else WRONG
        ax.plot([source[0], 1 + found[0]], [source[1], found[1]], color="white", linewidth=2.6)
        ax.plot([source[0], 1 + found[0]], [source[1], found[1]], color=colour, linewidth=1.3)
        ax.plot(1 + truth[0], truth[1], "o", color=INK, markerfacecolor="none", markersize=6)
