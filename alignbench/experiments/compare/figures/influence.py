"""The figure of the samples that carry a score or lower it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import beside, left_out, legend_mark
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import MUTED, entitle, type_looks
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import Arrays, FigureInputs

MOST_PAIRS = 6
COLUMNS = 3
MOST_NAMED = 7
NAMED = 2  # samples at each end
TOO_NEAR = 0.06  # of the range; a nearer second name would lie on the first, or on the dots beside it


@declare_figure(
    "compare",
    caption=Caption(
        "Which samples make the score?",
        "Each panel is a pair, each point a sample: from those that carry the score (left) to those that "
        "lower it (right), with names at both ends. High up: the score falls without the sample.",
        "The reasons: look at the samples themselves, below. Leaving out samples that lower a score is no "
        "improvement but another question.",
    ),
)
def sample_influence(inputs: FigureInputs) -> Figure | None:
    """Draw the sorted influences of the samples, one panel per pair, with names at both ends."""
    files = inputs.arrays_of("influence")
    shown = files[:MOST_PAIRS]
    if not shown:
        return None
    figure, axes = grid_figure(len(shown), COLUMNS, 3.3, 2.5, margins=(0.6, 1.75))
    types = type_looks(str(label) for arrays in shown for label in arrays["labels"])
    for ax, arrays in zip(axes, shown, strict=True):
        _panel(ax, arrays, types)
        names = [inputs.title(str(arrays[side]), 22) for side in ("encoder", "llm")]
        ax.set_title(f"{names[0]}\n× {names[1]}: {float(arrays['value']):.3f}")
    for ax in axes[::COLUMNS]:
        ax.set_ylabel("score minus score without it")
    named = list(types.items())[:MOST_NAMED]
    entitle(
        figure,
        f"Which samples make {shown[0]['metric']}?",
        "From the samples that carry the score (left) to those that lower it (right), with names at the "
        "ends.",
        *left_out(len(named), len(types), "data types are named above"),
        *left_out(len(shown), len(files), "pairs"),
        legend=[legend_mark(fit(clean(n), 20), look.marker, look.colour, markersize=4) for n, look in named],
    )
    return figure


def _panel(ax: Axes, arrays: Arrays, types: Mapping[str, Any]) -> None:
    values = np.asarray(arrays["influence"], dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    labels = np.asarray(arrays["labels"]).astype(str)[order]
    for name, look in types.items():
        places = np.flatnonzero(labels == name)
        ax.plot(places, values[order][places], look.marker, color=look.colour, markersize=3.2, alpha=0.85)
    ax.axhline(0, color=MUTED, linewidth=0.9, zorder=1)
    ax.set_xticks([])
    ax.margins(y=0.16)
    ax.grid(axis="y")
    apart = TOO_NEAR * (float(np.ptp(values)) or 1.0)
    for ordered, side, shift in ((order, "left", 5), (order[::-1], "right", -5)):
        for rank, row in enumerate(ordered[:NAMED]):
            near = [values[other] for other in ordered[max(0, rank - 1) : rank + 2] if other != row]
            crowded = min((abs(value - values[row]) for value in near), default=np.inf) < apart
            if rank and crowded:
                break
            at, up = (rank, 6) if side == "left" else (len(order) - 1 - rank, -6)
            if not crowded:
                up = 0
            name = fit(clean(arrays["ids"][row]), 24)
            beside(ax, name, (at, float(values[row])), (shift, up), ha=side, va="center", fontsize=6.5)
