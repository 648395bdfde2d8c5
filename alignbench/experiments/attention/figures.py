"""Figures of attention: maps laid over images, side by side, and how well they find known objects."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import interval_mark, left_out, missing, name_rows, null_mark, value_label
from alignbench.plots.style import INK, MUTED, SEQUENTIAL, entitle, new_figure
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import Arrays, FigureInputs
    from alignbench.types import Score

TITLES = ("localisation_auc", "pointing_game", "overlap_iou")
TEXT_METHODS = ("value", "negated", "raw")
MOST_ROWS = 24
MOST_COLUMNS = 9
MOST_IMAGES = 4
CELL = 1.35
OVERLAY = 0.62


@declare_figure(
    "attention",
    caption=Caption(
        "Do maps find what they name?",
        "Point: the mean over drawn scenes with known objects, with its 95% interval; cross: a guess; grey: "
        "what exchanged prompts or images give. A map follows its text if its point is beyond the grey.",
        "How well maps work on photographs or pages: the scenes are flat shapes. An untrained encoder can do "
        "well here by contrast alone.",
    ),
)
def attention_localisation(inputs: FigureInputs) -> Figure | None:
    """Draw how well maps find known objects: one row per encoder and method, one panel per measure."""
    scores = [score for score in inputs.of("attention") if score.metric in TITLES]
    every = sorted(
        {(str(s.encoder), s.variant) for s in scores}, key=lambda r: (*inputs.place(r[0]), _order(r[1]))
    )
    rows = every[:MOST_ROWS]
    if not rows:
        return None
    cells = {(str(s.encoder), s.variant, s.metric): s for s in scores}
    figure = new_figure(11.0, 1.9 + 0.34 * len(rows))
    axes = figure.subplots(1, len(TITLES), width_ratios=(1.15, 1, 1))
    for ax, metric in zip(axes, TITLES, strict=True):
        for row, (encoder, variant) in enumerate(rows):
            score = cells.get((encoder, variant, metric))
            if score is not None and score.value is None:
                missing(ax, row, score)
            elif score is not None:
                _localised(ax, row, score, inputs.look(encoder).colour)
        name_rows(ax, _row_names(rows, inputs), labelled=ax is axes[0])
        ax.set_title(metric)
        ax.set_xlim(0, 1.12)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    entitle(
        figure,
        f"Do maps find what they name? ({scores[0].n} drawn scenes with known objects)",
        "Point: mean over scenes, with its 95% interval. Cross: a guess. Grey: the null (line: mean; band:",
        "±2 standard deviations), which exchanges prompts within an image or, without prompts, images.",
        "A map follows its text if its point is beyond the grey; it is useful if also beyond the cross.",
        *left_out(len(rows), len(every), "rows; all are in the summary"),
    )
    return figure


@declare_figure(
    "attention",
    requires="an encoder whose maps can be computed",
    caption=Caption(
        "Where does an encoder see what the text says?",
        "Beside each image is one map per encoder and method: yellow is similar to the text, blue is not. "
        "Each map has a colour scale of its own. Frame: where the named thing is.",
        "How sure a map is: each fills the whole colour scale, so a map of pure noise is just as colourful. "
        "How far maps can be trusted is in the figure attention_localisation.",
    ),
)
def attention_of_texts(inputs: FigureInputs) -> Figure | None:
    """Draw each image and, beside it, the map of its text by each encoder and method laid over it."""
    files = [a for a in _files(inputs) if set(TEXT_METHODS) & set(map(str, a["method"]))]
    every = [(a, m) for a in files for m in TEXT_METHODS if m in set(map(str, a["method"]))]
    columns = every[:MOST_COLUMNS]
    if not columns:
        return None
    first = files[0]
    wanted = list(
        dict.fromkeys(
            (int(i), str(p)) for i, p in zip(first["image"], first["prompt"], strict=True) if str(p)
        )
    )[:MOST_IMAGES]
    figure = new_figure(0.4 + CELL * (len(columns) + 1), 1.35 + CELL * len(wanted))
    axes = figure.subplots(len(wanted), len(columns) + 1, squeeze=False)
    for line, (row, (image, prompt)) in enumerate(zip(axes, wanted, strict=True)):
        _picture(row[0], first["images"][image])
        row[0].set_ylabel("\n".join(wrap(fit(clean(prompt), 54), 18)), fontsize=8)
        for ax, (arrays, method) in zip(row[1:], columns, strict=True):
            at = _row_of(arrays, image, prompt, method)
            _overlay(ax, arrays, image, at)
            if line == 0:
                ax.set_title(f"{inputs.title(str(arrays['encoder']), 20)}\n{method}", fontsize=7.5)
        _box(row[0], first["box"][_row_of(first, image, prompt, columns[0][1])])
    entitle(
        figure,
        "Where does an encoder see what the text says?",
        "Yellow: similar to the text; blue: not; each map has its own scale. Frame: the named thing.",
        "How far these maps can be trusted is measured: see attention_localisation.",
        *left_out(len(columns), len(every), "maps"),
    )
    return figure


@declare_figure(
    "attention",
    requires="an encoder whose maps can be computed",
    caption=Caption(
        "Where does an encoder look?",
        "Attention to the patches in the last layer, averaged over heads: yellow is much, blue is little. "
        "Each map has a colour scale of its own.",
        "What an encoder understands, or what its embedding depends on. Attention of random weights also "
        "lights up objects, since it follows contrast.",
    ),
)
def attention_own(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder's own attention, of CLS or of the pooling head, laid over the images."""
    every = [a for a in _files(inputs) if any("attention" in str(m) for m in a["method"])]
    files = every[:MOST_COLUMNS]
    if not files:
        return None
    shown = sorted({int(i) for i in files[0]["image"]})[:MOST_IMAGES]
    figure = new_figure(max(4.6, 0.3 + CELL * (len(files) + 1)), 1.35 + CELL * len(shown))
    axes = figure.subplots(len(shown), len(files) + 1, squeeze=False)
    for line, (row, image) in enumerate(zip(axes, shown, strict=True)):
        _picture(row[0], files[0]["images"][image])
        for ax, arrays in zip(row[1:], files, strict=True):
            method = next(str(m) for m in arrays["method"] if "attention" in str(m))
            _overlay(ax, arrays, image, _row_of(arrays, image, "", method))
            if line == 0:
                kind = method.replace("cls", "CLS").replace(" attention", "")
                ax.set_title(f"{inputs.title(str(arrays['encoder']), 20)}\n{kind}", fontsize=7.5)
    entitle(
        figure,
        "Where does an encoder look?",
        "Attention to the patches in the last layer, averaged over heads.",
        "Yellow: much; blue: little; each map has its own scale.",
        *left_out(len(files), len(every), "encoders"),
    )
    return figure


def _files(inputs: FigureInputs) -> list[Arrays]:
    return [arrays for arrays in inputs.arrays_of("attention") if len(arrays["map"])]


def _order(variant: str) -> int:
    return TEXT_METHODS.index(variant) if variant in TEXT_METHODS else len(TEXT_METHODS)


def _row_names(rows: Sequence[tuple[str, str]], inputs: FigureInputs) -> list[str]:
    """Return the variant of each row; the first row of an encoder also has its name."""
    names, last = [], None
    for encoder, variant in rows:
        name = fit(variant, 30)
        names.append(name if encoder == last else f"{inputs.label(encoder)}\n{name}")
        last = encoder
    return names


def _localised(ax: Axes, row: int, score: Score, colour: str) -> None:
    assert score.value is not None
    null_mark(ax, row, score.null, height=0.4)
    interval_mark(ax, row, score)
    if score.chance is not None:
        ax.plot(score.chance, row, "x", color=MUTED, markersize=4.5, markeredgewidth=1.2, zorder=3.5)
    ax.plot(score.value, row, "o", color=colour, markersize=5.5, zorder=5)
    value_label(ax, row, score, score.chance)


def _row_of(arrays: Arrays, image: int, prompt: str, method: str) -> int | None:
    same = (arrays["image"] == image) & (arrays["prompt"] == prompt) & (arrays["method"] == method)
    return int(np.argmax(same)) if same.any() else None


def _picture(ax: Axes, image: NDArray[Any]) -> None:
    ax.imshow(image, extent=(0, 1, 1, 0))
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)


def _overlay(ax: Axes, arrays: Arrays, image: int, at: int | None) -> None:
    if at is None:
        ax.set_axis_off()
        return
    grey = arrays["images"][image].mean(axis=-1)
    ax.imshow(grey, extent=(0, 1, 1, 0), cmap="gray", vmin=0, vmax=255)
    ax.imshow(arrays["map"][at], extent=(0, 1, 1, 0), cmap=SEQUENTIAL, alpha=OVERLAY, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    _box(ax, arrays["box"][at])


def _box(ax: Axes, box: Sequence[float] | NDArray[np.float64]) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = map(float, box)
    if not np.isnan(left):
        for colour, width in ((INK, 1.4), ("white", 0.6)):
            size = (right - left, bottom - top)
            ax.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=colour, linewidth=width))
