"""Figures of embeddings: in two dimensions, and with the texts in one space."""

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
        "Each row is a model, each column a method. Each point is a sample; its mark and colour show the "
        "data type. T and C below say how far neighbours in the picture can be believed (1: fully).",
        "Distances: in t-SNE and UMAP, axes, sizes of clusters and gaps between them mean nothing. Two "
        "pictures that look alike are no sign of alignment.",
    ),
)
def embedding_scatter(inputs: FigureInputs) -> Figure | None:
    """Draw the samples in two dimensions: one row per model, one column per method, marks by data type."""
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
        "Each point is a sample (one per group). Below: trustworthiness (T), whether neighbours in the "
        "picture are neighbours in the space, and continuity (C), the other way round; 1 is best, chance is "
        f"{_chance(scores)}. In t-SNE and UMAP, axes and distances between far clusters mean nothing.",
    ]
    notes += left_out(len(shown), len(models), "models; all are in the run's artifacts")
    n = f" (n = {span_text(len(a['points']) for a in layouts.values())})" if layouts else ""
    title = f"Embedding space in two dimensions{n}"
    entitle(figure, title, *notes, legend=_type_handles(types, figure.get_figwidth()))
    return figure


def _scores(inputs: FigureInputs) -> dict[tuple[str, str], dict[str, Score]]:
    """Return (model, method) -> measure -> score."""
    scores: dict[tuple[str, str], dict[str, Score]] = {}
    for score in inputs.of("embedding"):
        if score.metric in MEASURES:
            model = str(score.encoder if score.encoder is not None else score.llm)
            scores.setdefault((model, score.variant), {})[score.metric] = score
    return scores


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
    levels = [s.chance for of in scores.values() for s in of.values() if s.chance is not None]
    return number(float(np.mean(levels))) if levels else "about a half"


def _mark_points(
    ax: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.str_],
    types: Mapping[str, Look],
    *,
    filled: bool = True,
    size: float | None = None,
) -> None:
    """Draw points [n, 2] with the colour and marker of their data type; many points are drawn smaller."""
    area = size or float(np.clip(2200 / max(len(points), 1), 5, 26))
    for label, look in types.items():
        of_type = points[labels == label]
        ax.scatter(
            of_type[:, 0],
            of_type[:, 1],
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
        "pairs. Short lines mean that pairs fall together; a residual of 1 means no relation.",
        "More than two of the dimensions. If the p within types is high, only the types fall together, not "
        "the pairs.",
    ),
)
def procrustes_overlay(inputs: FigureInputs) -> Figure | None:
    """Draw the held-out images and texts of each pair of models in one plane, and join the pairs by lines."""
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
        "Filled: images; hollow: their texts; a line joins the two of a pair. A rotation of one side onto "
        "the other was fitted on half of the groups with known pairing; the other half is shown. Residual: "
        "squared length of the lines over that of the points (0: pairs fall together; 1: no relation). "
        "Within types: p of exchanging texts inside each data type; if it is high, only the types fit.",
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
        "Rows are held-out images and columns their texts, sorted by type. A red diagonal: each image is "
        "nearest to its own text. Red blocks: only the types match.",
        "How good the best possible map would be: this one is a rotation, fitted on half of the data.",
    ),
)
def cross_modal_similarity(inputs: FigureInputs) -> Figure | None:
    """Draw the cosines of held-out images with held-out texts in the shared space, sorted by data type."""
    pairs, total = _pairs(inputs)
    shown = {pair: arrays for pair, arrays in pairs.items() if arrays is not None}
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
        "Rows: images; columns: texts; both sorted by type, after a rotation fitted on the other half. "
        "A red diagonal: each image is nearest to its own text. Red blocks: the types fit, not the samples. "
        "Below: the mean cosine with the own text, with other texts of the same type, and with other types.",
        *left_out(len(shown), total, "pairs; all are in the run's artifacts"),
    )
    return figure


def _pairs(inputs: FigureInputs) -> tuple[dict[tuple[str, str], Arrays | None], int]:
    """Return (encoder, LLM) -> arrays or None, for the first 12 pairs, and the number of all pairs."""
    pairs: dict[tuple[str, str], Arrays | None] = dict.fromkeys(_residuals(inputs))
    for arrays in inputs.artifacts.get("overlay", ()):
        pairs[str(arrays["name_x"]), str(arrays["name_y"])] = arrays
    order = sorted(pairs, key=lambda key: (inputs.place(key[1]), inputs.place(key[0])))
    return {key: pairs[key] for key in order[:MOST_PAIRS]}, len(order)


def _residuals(inputs: FigureInputs) -> dict[tuple[str, str], Score]:
    scores = (s for s in inputs.of("embedding") if s.metric == "overlay_residual")
    return {(str(s.encoder), str(s.llm)): s for s in scores}


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
    """Return legend entries of the data types, short enough for one line of a figure of this width."""
    room = max(4, int(width * 11 / max(1, len(types) + len(others))) - 4)
    marks = [legend_mark(fit(clean(label), room), look.marker, look.colour) for label, look in types.items()]
    return [*marks, *others]


def _labels_in(many: Iterable[Arrays]) -> set[str]:
    """Return the data types that occur in these arrays."""
    return {str(label) for arrays in many for label in arrays["labels"]}
