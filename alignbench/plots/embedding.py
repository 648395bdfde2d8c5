"""Figures of embeddings: which samples a model finds alike."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.spectra import coarse
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle, new_figure, styled
from alignbench.plots.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs, SimilarityArrays


@styled
def intra_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw each model's cosines among its own embeddings: samples by type, one colour scale."""
    models = sorted(inputs.similarity, key=lambda model: inputs.place(model.name))
    if not models:
        return None
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    figure = new_figure(1.7 + 2.45 * columns, 1.1 + 2.65 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    low = min(float(np.min(model.cosine)) for model in models)
    image = None
    for i, (ax, model) in enumerate(zip(axes, models, strict=False)):
        image = ax.imshow(
            coarse(model.cosine),
            cmap=SEQUENTIAL,
            vmin=min(low, 0.0),
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
    figure.colorbar(
        image, ax=list(axes), shrink=0.7, pad=0.01, aspect=25, label="cosine of two samples' embeddings"
    )
    entitle(
        figure,
        f"Which samples does each model find alike? (n = {len(models[0].cosine)})",
        "Rows and columns: samples, sorted by type. Below: the mean cosine within a type and between types.\n"
        "Bright blocks on the diagonal: types are told apart. Bright all over: all embeddings point one way.",
    )
    return figure


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
