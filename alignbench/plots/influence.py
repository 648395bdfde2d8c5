"""The figure of samples that carry a score or spoil it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.style import INK, MUTED, entitle, new_figure, type_looks
from alignbench.plots.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs

    Arrays = Mapping[str, NDArray[Any]]

MOST_PAIRS = 6
COLUMNS = 3
MOST_NAMED = 7
NAMED = 2  # at each end
TOO_NEAR = 0.06  # of the range: the second name would lie on the first, or on the dots beside it


@declare_figure(
    "compare",
    caption=Caption(
        "Which samples make the score?",
        "A panel a pair, a point a sample, from those that carry the score (left) to those that spoil it "
        "(right); the ends by name. Up: the score falls without it.",
        "Why: look at the samples themselves, below. Leaving out what spoils a score is no improvement, "
        "only another question.",
    ),
)
def sample_influence(inputs: FigureInputs) -> Figure | None:
    """Draw each sample's influence in order, a panel a pair, with the names of those at both ends."""
    files = sorted(
        inputs.artifacts.get("influence", ()),
        key=lambda a: (inputs.place(str(a["llm"])), inputs.place(str(a["encoder"]))),
    )
    shown = files[:MOST_PAIRS]
    if not shown:
        return None
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(max(6.0, 0.6 + 3.3 * columns), 1.75 + 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    types = type_looks(str(label) for arrays in shown for label in arrays["labels"])
    for ax, arrays in zip(axes, shown, strict=False):
        _panel(ax, arrays, types)
        names = [inputs.title(str(arrays[side]), 22) for side in ("encoder", "llm")]
        ax.set_title(f"{names[0]}\n× {names[1]}: {float(arrays['value']):.3f}")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    for ax in axes[::columns]:
        ax.set_ylabel("score less score without it")
    from matplotlib.lines import Line2D

    dots: dict[str, Any] = {"linestyle": "", "markersize": 4}
    legend = [
        Line2D([], [], marker=look.marker, color=look.colour, label=fit(clean(name), 20), **dots)
        for name, look in list(types.items())[:MOST_NAMED]
    ]
    notes = ["From the samples that carry the score (left) to those that spoil it (right); the ends by name."]
    if len(types) > MOST_NAMED:
        notes.append(f"Named above: the first {MOST_NAMED} of {len(types)} data types.")
    if len(files) > len(shown):
        notes.append(f"The first {len(shown)} of {len(files)} pairs.")
    entitle(figure, f"Which samples make {shown[0]['metric']}?", *notes, legend=legend)
    return figure


def _panel(ax: Axes, arrays: Arrays, types: Mapping[str, Any]) -> None:
    values = np.asarray(arrays["influence"], dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    labels = np.asarray(arrays["labels"]).astype(str)[order]
    for name, look in types.items():
        own = np.flatnonzero(labels == name)
        ax.plot(own, values[order][own], look.marker, color=look.colour, markersize=3.2, alpha=0.85)
    ax.axhline(0, color=MUTED, linewidth=0.9, zorder=1)
    ax.set_xticks([])
    ax.margins(y=0.16)
    ax.grid(axis="y")
    apart = TOO_NEAR * (float(np.ptp(values)) or 1.0)
    for places, side, shift in ((order[:NAMED], "left", 5), (order[::-1][:NAMED], "right", -5)):
        for rank, row in enumerate(places):
            beside = order[::-1] if side == "right" else order
            near = [values[other] for other in beside[max(0, rank - 1) : rank + 2] if other != row]
            if rank and min(abs(value - values[row]) for value in near) < apart:
                break
            at = rank if side == "left" else len(order) - 1 - rank
            ax.annotate(
                fit(clean(arrays["ids"][row]), 24),
                (at, float(values[row])),
                xytext=(shift, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=6.5,
                color=INK,
            )
