"""The figure of layers: every layer of an encoder against every layer of an LLM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.layers import KERNELS, PRH, PRH_K
from alignbench.plots.cells import EMPTY, FRAME
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import beside, left_out
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle, new_figure
from alignbench.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import Arrays, FigureInputs

METRICS = (*KERNELS, *PRH)
MOST_PAIRS = 6
MOST_MARKED = 400  # cells; more marks would be a grey haze
_OF_PRH = (
    f"Drawn: the share of {PRH_K} nearest neighbours by cosine that two layers have in common, outliers "
    "clipped, as Huh et al. (2024) take it (--align-protocol prh). Encoder layers begin after the embeddings."
)


@declare_figure(
    "layers",
    caption=Caption(
        "Which layers are alike?",
        "Each panel is a pair: encoder layers down, LLM layers across. Colours begin at what re-paired data "
        "get on average; bright is alike. A row of panels is a metric: debiased CKA, and the share of "
        "neighbours in common; with `--align-protocol prh`, the share of 10 neighbours by cosine, of layers "
        "whose outliers were clipped, as Huh et al. (2024) take it. Framed: the highest cell. Dotted: no "
        "higher than the best cell of re-paired data in at least one case of twenty.",
        "Which layer to use: the best of many cells is high by luck, and its p in the table of scores takes "
        "that into account. Encoders that are pooled in different ways can't be compared fairly.",
    ),
)
def layer_grid(inputs: FigureInputs) -> Figure | None:
    """Draw one heatmap per pair and metric; the best cell is framed, cells that may be luck are dotted."""
    files = inputs.arrays_of("layers")
    shown = files[:MOST_PAIRS]
    if not shown:
        return None
    metrics = [metric for metric in METRICS if metric in shown[0]]
    figure = new_figure(max(6.0, 0.9 + 2.15 * len(shown)), 2.3 + 2.15 * len(metrics))
    axes = figure.subplots(len(metrics), len(shown), squeeze=False)
    for metric, row in zip(metrics, axes, strict=True):
        low = min(_chance(arrays, metric) for arrays in shown)
        top = max(float(np.nanmax(arrays[metric])) for arrays in shown)
        for arrays, ax in zip(shown, row, strict=True):
            image = _heatmap(ax, arrays, metric, (low, top if top > low else 1.0))
            if metric == metrics[0]:
                names = [inputs.title(str(arrays[side]), 20) for side in ("encoder", "llm")]
                ax.set_title(f"{names[0]}\n× {names[1]}\n", fontsize=8.5)
        row[0].set_ylabel("encoder layer")
        bar = figure.colorbar(image, ax=list(row), fraction=0.04, pad=0.02)
        bar.set_label(f"{metric}\n(from chance, {number(low, largest=top)}, on)", fontsize=8.5)
        bar.outline.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("LLM layer")
    notes = [
        *([_OF_PRH] if set(metrics) & set(PRH) else []),
        "Framed: the highest cell, with its value. Dotted: no higher than the best cell of re-paired data in "
        "at least one case of twenty. Darkest: as re-paired data on average, or lower.",
        "Layer 0: the embeddings (grey: the same for all images). "
        f"Encoder layers are pooled by {_poolings(shown)}; LLM layers by the mean over tokens.",
    ]
    notes += left_out(len(shown), len(files), "pairs; all are in the summary")
    entitle(figure, "Which layers are alike?", *notes)
    return figure


def _poolings(files: list[Arrays]) -> str:
    names = dict.fromkeys("CLS" if str(a["pooling"]) == "cls" else "the mean over patches" for a in files)
    return " or (by family) ".join(names)


def _chance(arrays: Arrays, metric: str) -> float:
    """Return what re-paired data get on average; 0 in a run of an earlier version, which has not kept it."""
    return float(arrays.get(f"{metric}_chance", 0.0))


def _heatmap(ax: Axes, arrays: Arrays, metric: str, limits: tuple[float, float]) -> Any:
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    values = np.asarray(arrays[metric], dtype=np.float64)
    colours = mpl.colormaps[SEQUENTIAL].with_extremes(bad=EMPTY)
    low, high = limits
    image = ax.imshow(values, cmap=colours, vmin=low, vmax=high, origin="lower", aspect="auto")
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=FRAME, linewidth=2))
    best = f"best {number(float(values[row, column]))}"
    beside(ax, best, (1, 1), (0, 3), "axes fraction", ha="right", color=FRAME)
    if values.size <= MOST_MARKED:
        rows, columns = np.nonzero(values <= float(arrays[f"{metric}_limit"]))
        ax.plot(columns, rows, ".", color="white", markeredgecolor=MUTED, markeredgewidth=0.4, markersize=4)
    for axis, count, first in (
        (ax.xaxis, values.shape[1], 0),
        (ax.yaxis, values.shape[0], int(arrays["first"])),
    ):
        ticks = range(0, count, max(1, -(-count // 6)))
        axis.set_ticks(ticks, [str(first + tick) for tick in ticks])
    ax.spines[:].set_visible(False)
    return image
