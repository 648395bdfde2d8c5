"""Figures of vision and text in one space: pairs that the map between them never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.embedding import type_ticks
from alignbench.plots.layouts import labels_in, mark_points, type_handles
from alignbench.plots.marks import reason_note
from alignbench.plots.spectra import coarse
from alignbench.plots.style import DIVERGING, MUTED, entitle, new_figure, type_looks
from alignbench.plots.text import clean, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.plots.style import Look
    from alignbench.types import Score

    Arrays = Mapping[str, NDArray[Any]]

MOST_PAIRS = 12
COLUMNS = 4


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
    types = type_looks(labels_in(arrays for arrays in shown.values() if arrays is not None))
    figure, axes = _panels(len(shown), 2.75, 1.75)
    for ax, ((encoder, llm), arrays) in zip(axes, shown.items(), strict=False):
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
        *_cut_note(shown, total),
        legend=type_handles(types, figure.get_figwidth(), _side_handles()),
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
    figure, axes = _panels(len(shown), 2.5, 0.95, 1.1)
    image = None
    for i, (ax, ((encoder, llm), arrays)) in enumerate(zip(axes, shown.items(), strict=False)):
        cosine = np.asarray(arrays["cross"], dtype=np.float64)
        image = ax.imshow(
            coarse(cosine),
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            interpolation="nearest",
            extent=(0, len(cosine), len(cosine), 0),
        )
        ax.set_title(f"{inputs.title(encoder)}\nwith {inputs.label(llm, 24)}")
        ax.set_xlabel(_contrast(cosine, np.asarray(arrays["labels"])), fontsize=7.5, color=MUTED)
        type_ticks(ax, tuple(map(str, arrays["labels"])), named=i % COLUMNS == 0)
    assert image is not None
    figure.colorbar(image, ax=list(axes), shrink=0.7, pad=0.01, aspect=25, label="cosine of image and text")
    entitle(
        figure,
        f"Which texts does each image lie near? ({_held_out(shown)}held-out pairs)",
        "Rows: images, columns: texts, both sorted by type, after a rotation fitted on the other half.\n"
        "A red diagonal: each image is nearest to its own text. Red blocks: the types fit, not the samples.\n"
        "Below: the mean cosine of own text, of other texts of the same type, and of other types.",
        *_cut_note(shown, total),
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


def _panels(count: int, size: float, head: float, scale: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with a square panel for each of `count`, four a row; places left over are blank.

    `head` is the height of title and notes, `scale` the width of a colour bar, in inches.
    """
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(max(6.6, 0.4 + size * columns + scale), head + (size + 0.45) * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes


def _overlay(ax: Axes, arrays: Arrays, types: Mapping[str, Look]) -> None:
    from matplotlib.collections import LineCollection

    x, y = (np.asarray(arrays[side], dtype=np.float64) for side in ("x", "y"))
    labels = np.asarray(arrays["labels"]).astype(str)
    colours = [types[label].colour for label in labels]
    ax.add_collection(
        LineCollection(list(np.stack([x, y], axis=1)), colors=colours, linewidths=0.6, alpha=0.5)
    )
    mark_points(ax, y, labels, types, filled=False, size=16)
    mark_points(ax, x, labels, types, size=22)
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


def _contrast(cosine: NDArray[np.float64], labels: NDArray[Any]) -> str:
    same = labels[:, None] == labels[None, :]
    own = np.eye(len(labels), dtype=bool)
    cells = (("own", own), ("type", same & ~own), ("others", ~same))
    return ", ".join(f"{word} {number(float(cosine[where].mean()))}" for word, where in cells if where.any())


def _held_out(shown: Mapping[tuple[str, str], Arrays | None]) -> str:
    sizes = sorted({len(arrays["x"]) for arrays in shown.values() if arrays is not None})
    return f"{sizes[0] if sizes[0] == sizes[-1] else f'{sizes[0]} to {sizes[-1]}'} " if sizes else ""


def _cut_note(shown: Mapping[tuple[str, str], object], total: int) -> list[str]:
    if total <= MOST_PAIRS:
        return []
    return [f"{len(shown)} of {total} pairs; all are in the run's artifacts."]


def _side_handles() -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], linestyle="none", marker="o", color=MUTED, label="image"),
        Line2D([], [], linestyle="none", marker="o", color=MUTED, markerfacecolor="white", label="text"),
    ]
