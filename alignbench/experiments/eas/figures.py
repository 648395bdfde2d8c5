"""The figure of EAS: its parts, CKA against EAS, and the ranking of the encoders by each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.weighted import WEIGHTS
from alignbench.plots.cells import draw_cells, hatch_cell
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick_each
from alignbench.plots.marks import BAR, bar_ends, left_out, missing, reading_notes, sample_note
from alignbench.plots.panels import Column, by_block, llm_blocks, score_table, table_height
from alignbench.plots.scatter import draw_points, llm_legend, llm_markers, name_points, score_point
from alignbench.plots.style import SATURATED_HATCH, SEQUENTIAL, entitle, new_figure
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.plots.panels import Block
    from alignbench.plots.scatter import Point
    from alignbench.types import Score

    Orders = dict[str, list[str]]

EAS_WEIGHTS = dict(zip(("cka", "coral", "classes"), WEIGHTS, strict=True))
PART_ALPHA = {"cka": 1.0, "coral": 0.6, "classes": 0.3}
TITLES = {"eas": "EAS as published", "eas_adjusted": "EAS adjusted"}
RANKED = ("CKA", "CORAL", "EAS")
MOST_ROWS = 16  # of all rankings together; that of the first LLM is always shown


@declare_figure(
    "eas",
    "coral",
    shows=("eas",),
    caption=Caption(
        "The encoder alignment score and its parts",
        "Stacked: the weighted parts of EAS as published, and of EAS adjusted. Grey: what shuffled pairs "
        "give. Below: CKA against EAS, with one point per encoder, and the rankings by CKA, CORAL and EAS. "
        "Hatched: saturated, so there is no order.",
        "A ranking by alignment if CORAL is hatched: EAS as published then ranks by CKA and class structure, "
        "and class structure never sees the LLM.",
    ),
)
def eas_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw EAS as published and eas_adjusted: stacked parts, CKA against each, and the three rankings."""
    columns = pick_each(inputs.of("eas"), TITLES)
    if not columns:
        return None
    scores = [score for column in columns.values() for score in column]
    orders = {llm: _best_first(columns, llm) for llm in dict.fromkeys(str(score.llm) for score in scores)}
    blocks = llm_blocks(orders, inputs)
    heights = [table_height(blocks, 0.34 if sum(map(len, orders.values())) <= 24 else 0.3) + 0.7]
    with_parts = {metric: [s for s in column if _parts(s)] for metric, column in columns.items()}
    parted = {metric: column for metric, column in with_parts.items() if column}
    ranked = _that_fit({llm: order for llm, order in orders.items() if len(order) > 1}) if parted else {}
    if parted:
        heights.append(3.3)
    if ranked:
        heights.append(sum(0.3 * len(order) + 0.95 for order in ranked.values()))
    figure = new_figure(1.8 + 4.3 * len(columns), 1.6 + sum(heights))
    areas = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel())
    _bars(next(areas), columns, blocks, list(orders), inputs)
    points = _scatter(next(areas), parted, list(orders), inputs) if parted else []
    if ranked:
        _rankings(next(areas), parted, ranked, inputs)
    saturated = any("saturated" in score.flags and score.value is not None for score in scores)
    notes = [reading_notes(scores)]
    if saturated:
        notes.append(
            "Hatched: CORAL similarity is saturated (about 1 for every encoder), so EAS as published ranks "
            "like 0.3 + 0.3 CKA + 0.4 discriminability, and discriminability never sees the LLM."
        )
    if ranked:
        notes.append("Places follow the values alone: neighbours may differ by chance.")
        notes += left_out(len(ranked), len(orders), "LLMs have a table of places")
    unlabelled = any("no_labels" in score.flags for score in scores)
    title = f"Encoder alignment score and its parts{sample_note(scores)}"
    alone = "spread (no labels)" if unlabelled else "discriminability"
    if "eas_adjusted" in parted:
        adjusted = _name_of("classes", parted["eas_adjusted"][0])
        alone = f"{alone} ({adjusted} in EAS adjusted)" if "eas" in parted else adjusted
    entitle(figure, title, *notes, legend=_part_handles(saturated, alone))
    name_points(figure, points)
    return figure


def _best_first(columns: Mapping[str, Sequence[Score]], llm: str) -> list[str]:
    """Return the encoders in the order of the last composite that was recorded, then all others."""
    last = [score for score in list(columns.values())[-1] if score.llm == llm]
    ranked = sorted(last, key=lambda s: (s.value is None, -(s.value or 0.0), s.encoder or ""))
    others = [score for column in columns.values() for score in column if score.llm == llm]
    return list(dict.fromkeys(str(score.encoder) for score in (*ranked, *others)))


def _that_fit(orders: Orders) -> Orders:
    """Return the rankings of the first LLMs that there is room for."""
    kept: Orders = {}
    for llm, order in orders.items():
        if kept and sum(map(len, kept.values())) + len(order) > MOST_ROWS:
            break
        kept[llm] = order
    return kept


def _bars(
    area: SubFigure,
    columns: Mapping[str, Sequence[Score]],
    blocks: Sequence[Block],
    llms: Sequence[str],
    inputs: FigureInputs,
) -> None:
    """Draw the stacked parts: one column per composite, one block per LLM."""
    tables = {metric: by_block(column, lambda s: str(s.llm)) for metric, column in columns.items()}
    shown = [
        Column(
            TITLES[metric], [table.get(llm, {}) for llm in llms], f"{metric} (0 to 1, higher is better)", 0.8
        )
        for metric, table in tables.items()
    ]
    score_table(area, blocks, shown, inputs.colour, _stack)


def _stack(ax: Axes, row: float, score: Score, colour: str) -> None:
    """Draw the parts of a composite end to end, up to its value."""
    if score.value is None:
        missing(ax, row, score)
        return
    left = 0.0
    for name, width in contributions(score).items():
        hatch = SATURATED_HATCH if name == "coral" and "saturated" in score.flags else None
        look: Any = {"color": colour, "alpha": PART_ALPHA[name], "edgecolor": "white", "linewidth": 0.6}
        ax.barh(row, width, BAR, left=left, hatch=hatch, **look)
        left += width
    bar_ends(ax, row, score)


def contributions(score: Score) -> dict[str, float]:
    """Return what each part adds to the composite; without recorded parts, the value is in one piece."""
    weighted = {part: EAS_WEIGHTS[part] * value for part, value in _parts(score).items()}
    return weighted or {"cka": float(score.value or 0.0)}


def _parts(score: Score) -> dict[str, float]:
    """Return the parts of a composite, which are recorded in the order of its weights; nothing without."""
    recorded = score.params.get("parts", {})
    if len(recorded) != len(EAS_WEIGHTS):
        return {}
    return dict(zip(EAS_WEIGHTS, map(float, recorded.values()), strict=True))


def _name_of(part: str, score: Score) -> str:
    return str(list(score.params["parts"])[list(EAS_WEIGHTS).index(part)])


def _scatter(
    area: SubFigure, parted: Mapping[str, Sequence[Score]], llms: Sequence[str], inputs: FigureInputs
) -> list[tuple[Axes, list[Point]]]:
    """Draw each composite against its own CKA, with one point per encoder and one marker per LLM."""
    markers = llm_markers(llms)
    panels = []
    axes = area.subplots(1, len(parted), squeeze=False)[0]
    for ax, (metric, of_metric) in zip(axes, parted.items(), strict=True):
        points = [
            score_point(_parts(score)["cka"], score, markers[str(score.llm)], inputs)
            for score in of_metric
            if score.value is not None
        ]
        draw_points(ax, points, 0.15)
        ax.set_title(f"{TITLES[metric]}, against its CKA")
        ax.set_xlabel(f"{_name_of('cka', of_metric[0])} (its part of CKA)")
        ax.set_ylabel(metric)
        panels.append((ax, points))
        if handles := llm_legend(markers, inputs):
            ax.legend(handles=handles, loc="lower right", fontsize=7.5)
    return panels


def _rankings(
    area: SubFigure, parted: Mapping[str, Sequence[Score]], orders: Orders, inputs: FigureInputs
) -> None:
    """Draw the places of the encoders by CKA, by CORAL and by EAS: one table per composite and LLM."""
    heights = [len(order) + 2 for order in orders.values()]
    axes = area.subplots(len(orders), len(parted), squeeze=False, height_ratios=heights)
    for row, (llm, order) in enumerate(orders.items()):
        for column, (metric, of_metric) in enumerate(parted.items()):
            ax = axes[row, column]
            scores = {str(s.encoder): s for s in of_metric if s.llm == llm and s.value is not None}
            parts = {encoder: _parts(scores[encoder]) for encoder in order if encoder in scores}
            values = {e: [of["cka"], of["coral"], float(scores[e].value or 0.0)] for e, of in parts.items()}
            table = places(values, order)
            useless = [e for e in values if metric == "eas" and "saturated" in scores[e].flags]
            if useless:
                table[:, 1] = np.nan
            written = [["" for _ in RANKED] for _ in order]
            for i, encoder in enumerate(order):
                for j, value in enumerate(values.get(encoder, ())):
                    place = "" if np.isnan(table[i, j]) else f"{table[i, j]:.0f}  "
                    written[i][j] = f"{place}({number(value)})"
            draw_cells(ax, table, 1, max(2, len(order)), f"{SEQUENTIAL}_r", written)
            for i in range(len(order)) if useless else ():
                hatch_cell(ax, i, 1)
            ax.set_xticks(range(len(RANKED)), RANKED)
            ax.xaxis.tick_top()
            labels = [inputs.label(encoder) for encoder in order]
            ax.set_yticks(range(len(order)), labels if column == 0 else [""] * len(order))
            ax.set_title(f"Places by {TITLES[metric]},\nfor {inputs.label(llm)}")


def places(values: Mapping[str, Sequence[float]], order: Sequence[str]) -> NDArray[np.float64]:
    """Return the place of each encoder in each column: 1 for the largest value, one place for equal values.

    Args:
        values: encoder -> its value in each column.
        order: the encoders; those without values get NaN.
    """
    ranks = np.full((len(order), len(RANKED)), np.nan)
    for i, encoder in enumerate(order):
        for j, value in enumerate(values.get(encoder, ())):
            ranks[i, j] = 1 + sum(other[j] > value for other in values.values())
    return ranks


def _part_handles(saturated: bool, alone: str) -> list[Artist]:
    from matplotlib.patches import Patch

    names = {"cka": "0.3 × CKA", "coral": "0.3 × CORAL", "classes": f"0.4 × {alone}"}
    handles: list[Artist] = [
        Patch(facecolor="#444444", alpha=PART_ALPHA[part], label=name) for part, name in names.items()
    ]
    if saturated:
        handles.append(
            Patch(facecolor="#999999", hatch=SATURATED_HATCH, edgecolor="white", label="saturated")
        )
    return handles
