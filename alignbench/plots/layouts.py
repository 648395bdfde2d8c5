"""Figures of embeddings in two dimensions, a point a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import reason_note
from alignbench.plots.style import INK, MUTED, entitle, new_figure, type_looks
from alignbench.plots.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.plots.style import Look
    from alignbench.types import Score

    Arrays = Mapping[str, NDArray[Any]]

MOST_MODELS = 12
TITLES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
MEASURES = ("trustworthiness", "continuity")


@declare_figure(
    "embedding",
    caption=Caption(
        "The embedding spaces in two dimensions",
        "A point a sample, its mark and colour the data type; a row a model, a column a method. T and C "
        "below say how far neighbours in the picture can be believed (1: fully).",
        "Distances: in t-SNE and UMAP axes, sizes of clusters and gaps between them mean nothing. That "
        "two pictures look alike is no alignment.",
    ),
)
def embedding_scatter(inputs: FigureInputs) -> Figure | None:
    """Draw each model's samples in two dimensions: a row a model, a column a method, marks by data type."""
    layouts = {(str(a["name"]), str(a["method"])): a for a in inputs.artifacts.get("layout", ())}
    scores = _scores(inputs)
    cells = dict.fromkeys((*layouts, *scores))
    models = sorted(dict.fromkeys(name for name, _ in cells), key=inputs.place)
    present = {method for _, method in cells}
    methods = [method for method in TITLES if method in present] + sorted(present - set(TITLES))
    if not models:
        return None
    shown = models[:MOST_MODELS]
    types = type_looks(labels_in(layouts.values()))
    figure = new_figure(max(6.4, 0.5 + 2.7 * len(methods)), 1.35 + 2.3 * len(shown))
    axes = figure.subplots(len(shown), len(methods), squeeze=False)
    for row, model in enumerate(shown):
        for column, method in enumerate(methods):
            ax = axes[row, column]
            if row == 0:
                ax.set_title(TITLES.get(method, clean(method)), loc="center")
            if column == 0:
                ax.set_ylabel(inputs.title(model), fontweight="bold", color=INK)
            _panel(ax, layouts.get((model, method)), scores.get((model, method), {}), types)
    notes = [
        "Each point is a sample (one a group). Below: trustworthiness (T), whether neighbours in the\n"
        "picture are neighbours in the space, and continuity (C), the other way round. All: 1; by chance:\n"
        f"{_chance(scores)}. In t-SNE and UMAP axes, and distances between far clusters, mean nothing.",
    ]
    if len(models) > len(shown):
        notes.append(f"The first {len(shown)} of {len(models)} models; all are in the run's artifacts.")
    counts = sorted({len(a["points"]) for a in layouts.values()})
    n = f" (n = {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))})" if counts else ""
    title = f"Embedding space in two dimensions{n}"
    entitle(figure, title, *notes, legend=type_handles(types, figure.get_figwidth()))
    return figure


def _scores(inputs: FigureInputs) -> dict[tuple[str, str], dict[str, Score]]:
    """Return (model, method) -> measure -> score."""
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for score in inputs.of("embedding"):
        if score.metric in MEASURES:
            model = str(score.encoder if score.encoder is not None else score.llm)
            found.setdefault((model, score.variant), {})[score.metric] = score
    return found


def _panel(ax: Axes, arrays: Arrays | None, scores: Mapping[str, Score], types: Mapping[str, Look]) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(True)
    if arrays is None:
        missing = next((s.reason for s in scores.values() if s.reason), None)
        reason_note(ax, f"n/a: {clean(missing)}" if missing else "not recorded")
        return
    points, labels = np.asarray(arrays["points"], dtype=np.float64), np.asarray(arrays["labels"]).astype(str)
    mark_points(ax, points, labels, types)
    ax.margins(0.08)
    written = [
        f"{metric[0].upper()} {number(scores[metric].value)}"
        for metric in MEASURES
        if metric in scores and scores[metric].value is not None
    ]
    ax.set_xlabel("   ".join(written), fontsize=8, color=MUTED)


def _chance(scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> str:
    known = [s.chance for own in scores.values() for s in own.values() if s.chance is not None]
    return number(float(np.mean(known))) if known else "about a half"


def mark_points(
    ax: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.str_],
    types: Mapping[str, Look],
    *,
    filled: bool = True,
    size: float | None = None,
) -> None:
    """Draw points [n, 2], each with its data type's colour and marker, smaller where there are many."""
    area = size or float(np.clip(2200 / max(len(points), 1), 5, 26))
    for label, look in types.items():
        own = points[labels == label]
        ax.scatter(
            own[:, 0],
            own[:, 1],
            s=area,
            marker=look.marker,
            facecolors=look.colour if filled else "white",
            edgecolors="white" if filled else look.colour,
            linewidths=0.4 if filled else 1.0,
            zorder=3,
        )


def type_handles(types: Mapping[str, Look], width: float, others: Sequence[Artist] = ()) -> list[Artist]:
    """Return legend entries of the data types, names short enough for one line of a figure of this width."""
    from matplotlib.lines import Line2D

    room = int(width * 11 / max(1, len(types) + len(others))) - 4
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            label=fit(clean(label), max(4, room)),
        )
        for label, look in types.items()
    ]
    return [*handles, *others]


def labels_in(many: Iterable[Arrays]) -> set[str]:
    """Return the data types that occur in these arrays."""
    return {str(label) for arrays in many for label in arrays["labels"]}
