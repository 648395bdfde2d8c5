"""The figure of the samples that each model finds alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.images import mean_cosines, show_array, type_ticks
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs

COLUMNS = 4
FENCE = 3.0  # interquartile ranges


@declare_figure(
    "coral",
    caption=Caption(
        "Which samples does each model find alike?",
        "Rows and columns are samples, sorted by type; bright is a cosine near 1. Bright blocks on the "
        "diagonal: the model tells the types apart. One pair in twenty, and any outliers, lie below the "
        "colour scale, so that a few odd samples do not grey out all others.",
        "Agreement of two models, or information: a panel that is bright all over says that all vectors "
        "point one way, which centring undoes.",
    ),
)
def sample_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw the cosines among each model's embeddings, with samples sorted by type and one colour scale.

    A few cosines far below all others don't stretch the scale but get its darkest colour.
    """
    models = sorted(inputs.similarity, key=lambda model: inputs.place(model.name))
    if not models:
        return None
    figure, axes = grid_figure(len(models), COLUMNS, 2.45, 2.65, margins=(1.7, 1.1), least=0)
    low = min(0.0, *(usual_low(model.cosine) for model in models))
    pairs = sum(len(model.cosine) * (len(model.cosine) - 1) // 2 for model in models)
    beyond = sum(int((np.triu(model.cosine, 1) < low).sum()) for model in models)
    for i, (ax, model) in enumerate(zip(axes, models, strict=True)):
        image = show_array(ax, model.cosine, SEQUENTIAL, low, 1.0)
        ax.set_title(inputs.title(model.name))
        ax.set_xlabel(mean_cosines(model.cosine, model.labels, within=True), fontsize=8, color=MUTED)
        type_ticks(ax, model.labels, named=i % COLUMNS == 0)
    bar = figure.colorbar(
        image, ax=list(axes), shrink=0.7, pad=0.01, aspect=25, extend="min" if beyond else "neither"
    )
    bar.set_label("cosine of two samples' embeddings")
    notes = [
        "Rows and columns: samples, sorted by type. Below: the mean cosine within a type and between types. "
        "Bright blocks on the diagonal: types are told apart. Bright all over: all embeddings point one way."
    ]
    if beyond:
        notes.append(
            f"The scale begins at {low:.2f}: {beyond / pairs:.1%} of all pairs of samples are below "
            "and have its darkest colour."
        )
    entitle(figure, f"Which samples does each model find alike? (n = {len(models[0].cosine)})", *notes)
    return figure


def usual_low(cosine: NDArray[np.float64]) -> float:
    """Return where the scale of a model's cosines begins: one pair in twenty may lie below, and all outliers.

    One odd sample makes n - 1 odd pairs, and a few such samples make more than one pair in twenty odd.
    Therefore pairs below Tukey's outer fence under the lower quartile also lie below the scale.
    """
    pairs = cosine[np.triu_indices(len(cosine), 1)]
    if not len(pairs):
        return 0.0
    least, lower, upper = np.quantile(pairs, [0.05, 0.25, 0.75])
    inside = pairs[pairs >= lower - FENCE * (upper - lower)].min()
    return float(max(least, inside))
