"""The figure of trained projectors: held-out scores beside their controls, and loss curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick_each
from alignbench.plots.marks import left_out, legend_mark, missing, sample_note
from alignbench.plots.panels import encoders_by_llm, llm_blocks, row_panels
from alignbench.plots.style import INK, MUTED, NULL, OTHERS, entitle, new_figure
from alignbench.projectors import PROJECTORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import Arrays, FigureInputs
    from alignbench.types import Score

METRICS = {
    "projection_mse": "held-out MSE / variance (lower is better; 1: the train mean)",
    "projection_cosine": "held-out cosine, centred (higher is better; 0: chance)",
}
SHAPES = ("o", "s", "D", "^", "v", "P")
MOST_LLMS = 4
MOST_POINTS = 144  # rows of points that fit on a page, blank ones included
MOST_CURVES = 4


@declare_figure(
    "compare",
    caption=Caption(
        "How well does a trained projector work on new pairs?",
        "Above: held-out error and cosine with 95% intervals; crosses: trained on shuffled pairs. Below: the "
        "loss by epoch, dashed on trained pairs, solid on held-out pairs.",
        "What a projector reaches with more data. From where the solid line turns up, pairs are learnt by "
        "heart, and larger projectors look worse than they are.",
    ),
)
def projector_comparison(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder's held-out error and cosine by projector, and losses by epoch below them."""
    columns = pick_each(inputs.of("compare"), METRICS)
    if not columns:
        return None
    every = [score for column in columns.values() for score in column]
    projectors = sorted({s.variant for s in every}, key=_order)
    orders = encoders_by_llm(every, inputs)
    most = max(map(len, orders.values())) * (len(projectors) + 1)
    shown = list(orders)[: max(1, min(MOST_LLMS, MOST_POINTS // most))]
    blocks = llm_blocks({llm: orders[llm] for llm in shown}, inputs)
    curves = _curves(inputs, shown[0])
    heights = [max(0.9, 0.17 * (len(projectors) + 1) * len(block.rows)) + 0.45 for block in blocks]
    lower = 2.9 if curves else 0.0
    figure = new_figure(max(9.5, 2.6 * min(len(curves), MOST_CURVES) + 0.8), 1.7 + sum(heights) + lower)
    ratios = [sum(heights), lower] if curves else [sum(heights)]
    upper, *rest = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False).ravel()
    axes = row_panels(upper, blocks, list(columns), [METRICS[metric] for metric in columns], sharey="row")
    for llm, block, row in zip(shown, blocks, axes, strict=True):
        for ax, column in zip(row, columns.values(), strict=True):
            _points(ax, [s for s in column if s.llm == llm], list(block.rows), projectors)
            ax.axvline(column[0].chance or 0.0, color=INK, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    if curves:
        _curve_panels(rest[0], curves, inputs, shown[0])
    title = f"How well a trained projector works on new pairs{sample_note(every)}"
    entitle(figure, title, *_notes(len(orders), len(shown), curves), legend=_handles(projectors))
    return figure


def _points(ax: Axes, scores: Sequence[Score], encoders: Sequence[str], projectors: Sequence[str]) -> None:
    """Draw one point per projector in each encoder's row, with an interval, and a grey cross as control."""
    step = 0.8 / max(len(projectors), 1)
    for score in scores:
        place = projectors.index(score.variant)
        row = encoders.index(str(score.encoder)) - 0.4 + step * (place + 0.5)
        if score.value is None:
            missing(ax, row, score)
            continue
        if score.null is not None and score.null.mean is not None:
            ax.plot(score.null.mean, row, "x", color=NULL, markersize=5, markeredgewidth=1.4, zorder=2)
        if score.interval is not None:
            ends = [score.interval.low, score.interval.high]
            ax.plot(ends, [row, row], color=_colour(place), linewidth=1.3, alpha=0.75, zorder=3)
        ax.plot(score.value, row, SHAPES[place % len(SHAPES)], color=_colour(place), markersize=5, zorder=4)
    for border in range(1, len(encoders)):
        ax.axhline(border - 0.5, color="#E6E6E6", linewidth=0.7, zorder=0)


def _colour(place: int) -> str:
    return OTHERS[place % len(OTHERS)]


def _handles(projectors: Sequence[str]) -> list[Artist]:
    marks = [legend_mark(name, SHAPES[i % len(SHAPES)], _colour(i)) for i, name in enumerate(projectors)]
    return [*marks, legend_mark("trained on shuffled pairs", "x", NULL, markeredgewidth=1.4)]


def _curves(inputs: FigureInputs, llm: str) -> dict[str, list[Arrays]]:
    """Return projector -> the loss curves with this LLM, in the run's order of encoders."""
    curves: dict[str, list[Arrays]] = {}
    for arrays in inputs.arrays_of("losses"):
        if str(arrays["llm"]) == llm:
            curves.setdefault(str(arrays["projector"]), []).append(arrays)
    return {projector: curves[projector] for projector in sorted(curves, key=_order)}


def _order(projector: str) -> tuple[int, str]:
    known = PROJECTORS.index(projector) if projector in PROJECTORS else len(PROJECTORS)
    return known, projector


def _curve_panels(
    figure: Any, curves: Mapping[str, Sequence[Arrays]], inputs: FigureInputs, llm: str
) -> None:
    shown = dict(list(curves.items())[:MOST_CURVES])
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    top = 1.0
    for ax, (projector, several) in zip(axes, shown.items(), strict=True):
        for arrays in several:
            colour = inputs.look(str(arrays["encoder"])).colour
            for name, dash, alpha in (("train", (0, (3, 1.5)), 0.7), ("held_out", "-", 1.0)):
                mean = np.asarray(arrays[name], dtype=np.float64).mean(axis=0)
                label = inputs.label(str(arrays["encoder"]), 20) if name == "held_out" else None
                epochs = np.arange(1, len(mean) + 1)
                ax.plot(epochs, mean, color=colour, linestyle=dash, alpha=alpha, linewidth=1.3, label=label)
                top = max(top, float(mean.max()))
        ax.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_title(projector)
        ax.set_xlabel("epoch (log)", fontsize=8)
        ax.grid(visible=True)
    axes[0].set_ylim(0, min(top * 1.05, 4.0))
    axes[0].set_ylabel(f"loss for {inputs.label(llm, 20)}", fontsize=8)
    if len(next(iter(shown.values()))) <= 10:
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7.5)
    else:
        axes[-1].annotate("colours: families", (1, 1), xycoords="axes fraction", fontsize=7, color=MUTED)


def _notes(llms: int, shown: int, curves: Mapping[str, Any]) -> list[str]:
    notes = ["Points: means over repeated 80/20 splits. Lines: corrected-t 95% intervals. Dotted: chance."]
    if curves:
        notes.append(
            "Below, means over splits by epoch: dashed on trained pairs, solid on held-out pairs. From where "
            "a solid line turns up, pairs are learnt by heart. The points above are of the last epoch."
        )
    return notes + left_out(shown, llms, "LLMs; all are in the report")
