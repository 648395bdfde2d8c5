"""Figures of embeddings: in two dimensions, and in one space with the texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.images import mean_cosines, show_array, type_ticks
from alignbench.plots.marks import left_out, legend_mark, reason_note, span_text
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import DIVERGING, INK, MUTED, entitle, new_figure, type_looks
from alignbench.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import Arrays, FigureInputs
    from alignbench.plots.style import Look
    from alignbench.types import Score

MOST_MODELS = MOST_PAIRS = 12
COLUMNS = 4
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
    models = inputs.ordered(name for name, _ in cells)
    present = {method for _, method in cells}
    methods = [method for method in TITLES if method in present] + sorted(present - set(TITLES))
    if not models:
        return None
    shown = models[:MOST_MODELS]
    types = type_looks(_labels_in(layouts.values()))
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
    notes += left_out(len(shown), len(models), "models; all are in the run's artifacts")
    n = f" (n = {span_text(len(a['points']) for a in layouts.values())})" if layouts else ""
    title = f"Embedding space in two dimensions{n}"
    entitle(figure, title, *notes, legend=_type_handles(types, figure.get_figwidth()))
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
    _mark_points(ax, points, labels, types)
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


def _mark_points(
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


@declare_figure(
    "embedding",
    caption=Caption(
        "Vision laid over text",
        "Filled: images; hollow: their texts; a line joins the two of a pair. The map was fitted on other "
        "pairs. Short lines: pairs fall together. Residual 1: no relation.",
        "More than two of the dimensions, and a fit beyond the data type where the p within types is "
        "high: then only the types fall together.",
    ),
)
def procrustes_overlay(inputs: FigureInputs) -> Figure | None:
    """Draw each pair's held-out images and texts in one plane, a line between the two of a pair."""
    shown, total = _pairs(inputs)
    if not shown:
        return None
    scores = _residuals(inputs)
    types = type_looks(_labels_in(arrays for arrays in shown.values() if arrays is not None))
    figure, axes = grid_figure(len(shown), COLUMNS, 2.75, 3.2, margins=(0.4, 1.75), least=6.6)
    for ax, ((encoder, llm), arrays) in zip(axes, shown.items(), strict=True):
        ax.set(xticks=[], yticks=[])
        ax.spines[["top", "right"]].set_visible(True)
        ax.set_title(f"{inputs.title(encoder)}\nwith {inputs.label(llm, 24)}")
        score = scores.get((encoder, llm))
        if arrays is None:
            reason_note(ax, f"n/a: {clean(score.reason)}" if score else "not recorded")
            continue
        _overlay(ax, arrays, types)
        ax.set_xlabel(_residual_note(score), fontsize=8, color=MUTED)
    entitle(
        figure,
        f"Vision laid over text, on {_held_out(shown)}pairs that the map never saw",
        "Filled: images; hollow: their texts; a line joins the two of a pair. A rotation of one side onto\n"
        "the other was fitted on half of the groups, pairing known; shown is the other half. Residual:\n"
        "squared length of the lines against that of the points (0: pairs fall together; 1: no relation).\n"
        "Within types: p of texts exchanged inside each data type; where it is high, only the types fit.",
        *left_out(len(shown), total, "pairs; all are in the run's artifacts"),
        legend=_type_handles(
            types,
            figure.get_figwidth(),
            legend_mark("image", "o", MUTED),
            legend_mark("text", "o", MUTED, markerfacecolor="white"),
        ),
    )
    return figure


@declare_figure(
    "embedding",
    caption=Caption(
        "Which texts does each image lie near?",
        "Rows: held-out images, columns: their texts, sorted by type. A red diagonal: each image is "
        "nearest to its own text. Red blocks: only the types match.",
        "How good the best possible map would be: this one is a rotation, fitted on half of the data.",
    ),
)
def cross_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw the cosines of held-out images with held-out texts in the shared space, sorted by data type."""
    found, total = _pairs(inputs)
    shown = {pair: arrays for pair, arrays in found.items() if arrays is not None}
    if not shown:
        return None
    figure, axes = grid_figure(len(shown), COLUMNS, 2.5, 2.95, margins=(1.5, 0.95), least=6.6)
    for i, (ax, ((encoder, llm), arrays)) in enumerate(zip(axes, shown.items(), strict=True)):
        cosine = np.asarray(arrays["cross"], dtype=np.float64)
        image = show_array(ax, cosine, DIVERGING, -1, 1)
        labels = [str(label) for label in arrays["labels"]]
        ax.set_title(f"{inputs.title(encoder)}\nwith {inputs.label(llm, 24)}")
        ax.set_xlabel(mean_cosines(cosine, labels, within=False), fontsize=7.5, color=MUTED)
        type_ticks(ax, labels, named=i % COLUMNS == 0)
    figure.colorbar(image, ax=list(axes), shrink=0.7, pad=0.01, aspect=25, label="cosine of image and text")
    entitle(
        figure,
        f"Which texts does each image lie near? ({_held_out(shown)}held-out pairs)",
        "Rows: images, columns: texts, both sorted by type, after a rotation fitted on the other half.\n"
        "A red diagonal: each image is nearest to its own text. Red blocks: the types fit, not the samples.\n"
        "Below: the mean cosine of own text, of other texts of the same type, and of other types.",
        *left_out(len(shown), total, "pairs; all are in the run's artifacts"),
    )
    return figure


def _pairs(inputs: FigureInputs) -> tuple[dict[tuple[str, str], Arrays | None], int]:
    """Return (encoder, LLM) -> arrays, None where there is no picture, for the first 12; and how many."""
    found: dict[tuple[str, str], Arrays | None] = dict.fromkeys(_residuals(inputs))
    for arrays in inputs.artifacts.get("overlay", ()):
        found[str(arrays["name_x"]), str(arrays["name_y"])] = arrays
    order = sorted(found, key=lambda key: (inputs.place(key[1]), inputs.place(key[0])))
    return {key: found[key] for key in order[:MOST_PAIRS]}, len(order)


def _residuals(inputs: FigureInputs) -> dict[tuple[str, str], Score]:
    own = (s for s in inputs.of("embedding") if s.metric == "overlay_residual")
    return {(str(s.encoder), str(s.llm)): s for s in own}


def _overlay(ax: Axes, arrays: Arrays, types: Mapping[str, Look]) -> None:
    from matplotlib.collections import LineCollection

    x, y = (np.asarray(arrays[side], dtype=np.float64) for side in ("x", "y"))
    labels = np.asarray(arrays["labels"]).astype(str)
    colours = [types[label].colour for label in labels]
    ax.add_collection(
        LineCollection(list(np.stack([x, y], axis=1)), colors=colours, linewidths=0.6, alpha=0.5)
    )
    _mark_points(ax, y, labels, types, filled=False, size=16)
    _mark_points(ax, x, labels, types, size=22)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.06)


def _residual_note(score: Score | None) -> str:
    if score is None:
        return ""
    lines = [f"residual {number(score.value)}"]
    if score.null is not None and score.null.mean is not None:
        lines[0] += f"; shuffled pairs {number(score.null.mean)}"
        if score.null.p is not None:
            lines.append(f"p = {number(score.null.p)}")
            if score.null.within_p is not None:
                lines[1] += f"; within types {number(score.null.within_p)}"
    return "\n".join(lines)


def _held_out(shown: Mapping[tuple[str, str], Arrays | None]) -> str:
    sizes = [len(arrays["x"]) for arrays in shown.values() if arrays is not None]
    return f"{span_text(sizes)} " if sizes else ""


def _type_handles(types: Mapping[str, Look], width: float, *others: Artist) -> list[Artist]:
    """Return legend entries of the data types, names short enough for one line of a figure of this width."""
    room = max(4, int(width * 11 / max(1, len(types) + len(others))) - 4)
    marks = [legend_mark(fit(clean(label), room), look.marker, look.colour) for label, look in types.items()]
    return [*marks, *others]


def _labels_in(many: Iterable[Arrays]) -> set[str]:
    """Return the data types that occur in these arrays."""
    return {str(label) for arrays in many for label in arrays["labels"]}
