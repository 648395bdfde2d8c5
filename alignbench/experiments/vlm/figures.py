"""Figures of the trained VLM: how much the image helps with the captions, and how the training went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import beside, interval_mark, legend_mark, name_rows
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import INK, MUTED, NULL, entitle, new_figure
from alignbench.stats import corrected_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import Arrays, FigureInputs
    from alignbench.types import Score

MOST_ROWS = 16
MOST_CURVES, MOST_COLUMNS = 8, 4
NAME_WIDTH = 30
IMAGES = {"right": "its own image", "shuffled": "another group's image", "none": "no image"}
MARKS = {"right": "o", "shuffled": "s", "none": "|"}


@declare_figure(
    "vlm",
    caption=Caption(
        "How much does the image help a frozen LLM?",
        "Left: the perplexity of held-out captions with their own image, another image and no image. Right: "
        "the gain of the own image over another, with its interval; above 0 the image helps.",
        "The quality of captions that the LLM would write. Intervals on the left are wide since splits have "
        "different captions, so judge the gain by the right panel.",
    ),
)
def vlm_gain(inputs: FigureInputs) -> Figure | None:
    """Draw the perplexity of held-out captions with the right, another and no image, and the gain."""
    runs = _lowest_first(inputs)[:MOST_ROWS]
    if not runs:
        return None
    gains = {_key(score): score for score in pick(inputs.of("vlm"), "image_gain")}
    figure = new_figure(10.5, 1.9 + 0.6 * len(runs))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for row, arrays in enumerate(runs):
        colour = inputs.look(str(arrays["encoder"])).colour
        for shift, name in zip((-0.18, 0.0, 0.18), IMAGES, strict=True):
            _perplexity(left, row + shift, arrays, name, colour)
        _gain(right, row, gains.get(_key_of(arrays)), colour)
    name_rows(left, [_name(arrays, inputs) for arrays in runs])
    name_rows(right, [""] * len(runs), labelled=False)
    left.set_title("caption_perplexity")
    left.set_xlabel("per token, lower is better")
    right.margins(x=0.25)
    right.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    right.set_title("image_gain")
    right.set_xlabel("nats per token over another image, higher is better")
    legend = [
        legend_mark(label, MARKS[name], INK if name == "right" else NULL) for name, label in IMAGES.items()
    ]
    entitle(
        figure,
        "How much does the image help a frozen LLM?",
        "Lines: 95% intervals (corrected t over splits). On the left they are wide since splits have "
        "different",
        "captions; the gain compares the same captions, so judge it by its own interval on the right.",
        legend=legend,
    )
    return figure


@declare_figure(
    "vlm",
    caption=Caption(
        "How the projectors of the VLM trained",
        "Dotted: training batches; solid: held-out captions with their own images; dashed: held-out "
        "captions without an image.",
        "The best that could be reached: no epoch was chosen by these curves.",
    ),
)
def vlm_curves(inputs: FigureInputs) -> Figure | None:
    """Draw the loss of training batches and of held-out captions over the epochs, one panel per pair."""
    runs = _lowest_first(inputs)[:MOST_CURVES]
    if not runs:
        return None
    figure, axes = grid_figure(len(runs), MOST_COLUMNS, 2.9, 2.5, least=5.0, sharey=True)
    for ax, arrays in zip(axes, runs, strict=True):
        colour = inputs.look(str(arrays["encoder"])).colour
        epochs = np.arange(1, arrays["train_curve"].shape[1] + 1)
        for name, dash, shade in (("train_curve", ":", MUTED), ("held_out_curve", "-", colour)):
            for curve in arrays[name]:
                ax.plot(epochs, curve, dash, color=shade, linewidth=0.8, alpha=0.45)
            ax.plot(epochs, arrays[name].mean(axis=0), dash, color=shade, linewidth=1.8)
        ax.axhline(float(arrays["none"].mean()), color=NULL, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        first, second = (inputs.title(str(arrays[side])) for side in ("encoder", "llm"))
        ax.set_title(f"{first}\n× {second}\n({arrays['projector']})")
        ax.locator_params(axis="x", integer=True)
        if len(epochs) == 1:  # a line with a single point is invisible
            ax.set_xticks([1])
            ax.plot(
                [1, 1], [arrays[name].mean() for name in ("train_curve", "held_out_curve")], "o", color=colour
            )
        ax.set_xlabel("epoch")
    for ax in axes[::MOST_COLUMNS]:
        ax.set_ylabel("nats per token")
    entitle(
        figure,
        "Training of the projectors",
        "Dotted: training batches. Solid: held-out captions with their own images. Dashed: without an image.",
        "Thin: single trainings. No epoch was chosen by these curves.",
    )
    return figure


def _lowest_first(inputs: FigureInputs) -> list[Arrays]:
    return sorted(
        inputs.artifacts.get("vlm", ()), key=lambda a: (float(a["right"].mean()), str(a["encoder"]))
    )


def _perplexity(ax: Axes, row: float, arrays: Arrays, name: str, colour: str) -> None:
    logs = arrays[name].mean(axis=1)
    shade = colour if name == "right" else NULL
    if len(logs) > 1:
        interval = corrected_interval(logs, float(arrays["test_to_train"]))
        ax.plot(np.exp([interval.low, interval.high]), [row] * 2, color=shade, linewidth=1.1, zorder=2)
    mark: dict[str, Any] = {"markersize": 8 if name == "none" else 5.5, "markeredgewidth": 1.6}
    value = float(np.exp(logs.mean()))
    ax.plot(value, row, MARKS[name], color=shade, zorder=3, **mark)


def _gain(ax: Axes, row: int, score: Score | None, colour: str) -> None:
    if score is None or score.value is None:
        return
    interval_mark(ax, row, score)
    ax.plot(score.value, row, "o", color=colour, markersize=5.5, zorder=5)
    p = score.null.p if score.null is not None else None
    label = f"{score.value:+.3f}" + ("" if p is None else f"  p = {p:.3f}")
    backing = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}  # over the line at 0
    beside(ax, label, (score.value, row), (0, 6), ha="center", bbox=backing, zorder=3)


def _name(arrays: Arrays, inputs: FigureInputs) -> str:
    encoder, llm = (inputs.label(str(arrays[side]), NAME_WIDTH) for side in ("encoder", "llm"))
    return f"{encoder}\n× {llm}\n({arrays['projector']})"


def _key(score: Score) -> tuple[str, str, str]:
    return str(score.encoder), str(score.llm), score.variant


def _key_of(arrays: Arrays) -> tuple[str, str, str]:
    return str(arrays["encoder"]), str(arrays["llm"]), str(arrays["projector"])
