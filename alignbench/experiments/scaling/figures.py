"""The figure of scaling: each encoder's score over the number of groups, and where their order stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.experiments.scaling.names import AT_N, STANDS
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import left_out, legend_line
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import MUTED, entitle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

ACROSS = 4
MOST = 12
MOST_NAMED = 8


@declare_figure(
    "scaling",
    caption=Caption(
        "How many samples does the order take?",
        "Each line is an encoder: the mean over random samples of n groups; the band has their smallest and "
        "largest value. Dashed: the smallest n from which 95% of the samples order the encoders as all "
        "groups do, as far as these tell them apart.",
        "The heights of lines at different n, if the metric depends on n by itself, as linear CKA and shared "
        "neighbours do. Large samples have most groups in common with the whole, so their order agrees with "
        "it more easily than that of new data would.",
    ),
)
def scaling(inputs: FigureInputs) -> Figure | None:
    """Draw for each metric and LLM the encoders' scores over n, and the n from which their order stands."""
    points = [s for s in inputs.of("scaling") if s.metric == AT_N and s.value is not None]
    panels = list(dict.fromkeys((str(s.params["of"]), str(s.llm)) for s in points))
    if not panels:
        return None
    stands = {(s.params["of"], s.llm): s for s in inputs.of("scaling") if s.metric == STANDS}
    encoders = inputs.ordered({str(s.encoder) for s in points})
    shown = panels[:MOST]
    figure, axes = grid_figure(len(shown), min(ACROSS, len(shown)), 3.1, 2.7, margins=(0.6, 1.9), least=7.5)
    for ax, (metric, llm) in zip(axes, shown, strict=True):
        own = [s for s in points if (s.params["of"], s.llm) == (metric, llm)]
        for encoder in encoders:
            _line(ax, [s for s in own if s.encoder == encoder], inputs.look(encoder).colour)
        _mark(ax, stands.get((metric, llm)))
        sizes = sorted({s.n for s in own})
        ax.set_xscale("log")
        ax.set_xticks(sizes, [str(size) for size in sizes], rotation=45 if len(sizes) > 5 else 0)
        ax.minorticks_off()
        ax.set_title(f"{metric}\n{inputs.title(llm, 28)}", fontsize=9)
        ax.set_xlabel("groups (log scale)")
    entitle(
        figure,
        "How scores depend on the number of samples",
        "Lines: means over random samples, which are parts of each other; bands: their range.",
        "Dashed: from this n on, samples order the encoders as all groups do.",
        *left_out(len(shown), len(panels), "panels; all values are in scores.json"),
        *left_out(min(MOST_NAMED, len(encoders)), len(encoders), "encoders are named above"),
        legend=[
            legend_line(inputs.label(encoder), color=inputs.look(encoder).colour)
            for encoder in encoders[:MOST_NAMED]
        ],
    )
    return figure


def _line(ax: Axes, scores: Sequence[Score], colour: str) -> None:
    ordered = sorted(scores, key=lambda score: score.n)
    sizes = [score.n for score in ordered]
    ranges = [score.repeats or (float(score.value or 0.0),) for score in ordered]
    ax.plot(sizes, [float(score.value or 0.0) for score in ordered], color=colour, marker="o", markersize=3)
    low, high = np.array([[min(values), max(values)] for values in ranges]).T
    ax.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)


def _mark(ax: Axes, score: Score | None) -> None:
    """Draw the size from which the order stands, or say that none is known."""
    if score is None:
        return
    if score.value is not None:
        ax.axvline(score.value, color=MUTED, linestyle="--", linewidth=1)
        return
    text = "no two encoders told apart" if not score.params["told_apart"] else "the order does not stand yet"
    ax.annotate(text, (0.02, 0.97), xycoords="axes fraction", va="top", fontsize=8, color=MUTED)
