"""Figures of embeddings: which samples a model finds alike."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.spectra import coarse
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle, new_figure
from alignbench.plots.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs, SimilarityArrays

FENCE = 3.0  # interquartile ranges


@declare_figure(
    "coral",
    caption=Caption(
        "Which samples does each model find alike?",
        "Rows and columns: samples, sorted by type; bright: a cosine near 1. Bright blocks on the "
        "diagonal: the model holds the types apart. The scale begins where one pair in twenty "
        "lies below, or above outliers: one odd sample does not grey out all others.",
        "Agreement of two models, and information: a panel that is bright all over says that all vectors "
        "point one way, which centring undoes.",
    ),
)
def sample_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw each model's cosines among its own embeddings: samples by type, one colour scale.

    A few cosines far below all others don't stretch the scale: they get its last colour.
    """
    models = sorted(inputs.similarity, key=lambda model: inputs.place(model.name))
    if not models:
        return None
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    figure = new_figure(1.7 + 2.45 * columns, 1.1 + 2.65 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    low = min(0.0, *(usual_low(model.cosine) for model in models))
    pairs = sum(len(model.cosine) * (len(model.cosine) - 1) // 2 for model in models)
    beyond = sum(int((np.triu(model.cosine, 1) < low).sum()) for model in models)
    image = None
    for i, (ax, model) in enumerate(zip(axes, models, strict=False)):
        image = ax.imshow(
            coarse(model.cosine),
            cmap=SEQUENTIAL,
            vmin=low,
            vmax=1.0,
            interpolation="nearest",
            extent=(0, len(model.cosine), len(model.cosine), 0),
        )
        ax.set_title(inputs.title(model.name))
        ax.set_xlabel(_contrast(model), fontsize=8, color=MUTED)
        type_ticks(ax, model.labels, named=i % columns == 0)
    for ax in axes[len(models) :]:
        ax.set_axis_off()
    assert image is not None
    bar = figure.colorbar(
        image, ax=list(axes), shrink=0.7, pad=0.01, aspect=25, extend="min" if beyond else "neither"
    )
    bar.set_label("cosine of two samples' embeddings")
    notes = [
        "Rows and columns: samples, sorted by type. Below: the mean cosine within a type and between types.\n"
        "Bright blocks on the diagonal: types are told apart. Bright all over: all embeddings point one way."
    ]
    if beyond:
        notes.append(
            f"The scale begins at {low:.2f}: {beyond / pairs:.1%} of all pairs of samples are below, "
            "and have its darkest colour."
        )
    entitle(
        figure,
        f"Which samples does each model find alike? (n = {len(models[0].cosine)})",
        *notes,
    )
    return figure


def usual_low(cosine: NDArray[np.float64]) -> float:
    """Return where the scale of a model's cosines begins: one pair in twenty may lie below, and all outliers.

    One odd sample makes n - 1 odd pairs, and a few of them more than one in twenty: what lies beyond Tukey's
    outer fence below the lower quartile is left out, too.
    """
    pairs = cosine[np.triu_indices(len(cosine), 1)]
    if not len(pairs):
        return 0.0
    least, lower, upper = np.quantile(pairs, [0.05, 0.25, 0.75])
    inside = pairs[pairs >= lower - FENCE * (upper - lower)].min()
    return float(max(least, inside))


def _contrast(model: SimilarityArrays) -> str:
    """Return the mean cosine within a type and between types, self-similarity left out."""
    labels = np.array(model.labels)
    same = labels[:, None] == labels[None, :]
    off = ~np.eye(len(labels), dtype=bool)
    parts = []
    for word, cells in (("within", same & off), ("between", ~same)):
        if cells.any():
            parts.append(f"{word} {number(float(model.cosine[cells].mean()))}")
    return ", ".join(parts)


def type_ticks(ax: Axes, labels: Sequence[str], named: bool) -> None:
    """Mark where types begin, and name them at their middles on the left."""
    start = 0
    middles, names = [], []
    for label, members in groupby(labels):
        length = len(list(members))
        middles.append(start + length / 2)
        names.append(fit(clean(label), 14))
        start += length
        if start < len(labels):
            ax.axhline(start, color="white", linewidth=0.6)
            ax.axvline(start, color="white", linewidth=0.6)
    ax.set_xticks([])
    ax.set_yticks(middles, names if named else [""] * len(names))
