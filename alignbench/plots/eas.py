"""The figure of EAS: its parts, CKA against EAS, and where each part puts an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.composite import WEIGHTS
from alignbench.plots.cells import draw_cells, hatch_cell
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.labels import place_names
from alignbench.plots.marks import (
    BAR,
    interval_mark,
    limit,
    missing,
    name_rows,
    null_mark,
    reading_notes,
    sample_note,
    value_label,
)
from alignbench.plots.style import MARKERS, SATURATED_HATCH, SEQUENTIAL, entitle, lay_out, new_figure
from alignbench.plots.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

EAS_WEIGHTS = dict(zip(("cka", "coral", "disc"), WEIGHTS, strict=True))
PART_ALPHA = {"cka": 1.0, "coral": 0.6, "disc": 0.3}
TITLES = {"eas": "EAS as published", "eas_adjusted": "EAS adjusted"}
RANKED = {"cka": "CKA", "coral": "CORAL", "eas": "EAS"}
MOST_ROWS = 16  # of rankings; those of the first LLM are shown in any case

Orders = dict[str, list[str]]


@declare_figure(
    "eas",
    "coral",
    shows=("eas",),
    caption=Caption(
        "The encoder alignment score and its parts",
        "Stacked: the weighted parts of EAS as published, and of EAS adjusted. Grey: what shuffled pairs "
        "give. Then CKA against EAS, a point an encoder, and the places by CKA, CORAL and EAS. Hatched: "
        "saturated, so there is no order.",
        "A ranking by alignment where CORAL is hatched: then EAS as published ranks by CKA and by class "
        "structure, and class structure never sees the LLM.",
    ),
)
def eas_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw EAS as published beside eas_adjusted: parts stacked, CKA against it, and the three rankings."""
    columns = {metric: own for metric in TITLES if (own := pick(inputs.of("eas"), metric))}
    if not columns:
        return None
    llms = list(dict.fromkeys(str(score.llm) for own in columns.values() for score in own))
    orders = {llm: _best_first(columns, llm) for llm in llms}
    rows = sum(map(len, orders.values()))
    heights = [(0.34 if rows <= 24 else 0.3) * (rows + 0.1 * len(orders)) + 0.3 * len(orders) + 0.7]
    parted = {metric: found for metric, own in columns.items() if (found := [s for s in own if _parts(s)])}
    ranked = _that_fit({llm: order for llm, order in orders.items() if len(order) > 1}) if parted else {}
    heights += [3.3] if parted else []
    heights += [sum(0.3 * len(order) + 0.8 for order in ranked.values())] if ranked else []
    figure = new_figure(1.8 + 4.3 * len(columns), 1.6 + sum(heights))
    areas = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel())
    saturated = _bars(next(areas), columns, orders, inputs)
    scatter = _scatter(next(areas), parted, llms, inputs) if parted else []
    if ranked:
        _rankings(next(areas), parted, ranked, inputs)
    scores = [score for own in columns.values() for score in own]
    notes = [reading_notes(scores)]
    if saturated:
        notes.append(
            "Hatched: CORAL similarity is saturated (about 1 whatever the encoder), so EAS as published\n"
            "ranks as 0.3 + 0.3 CKA + 0.4 discriminability, and discriminability never sees the LLM."
        )
    if ranked:
        notes.append("Places are those of the values alone: neighbours may differ by chance.")
        if len(ranked) < len(orders):
            notes.append(f"Places for the first {len(ranked)} of {len(orders)} LLMs.")
    unlabelled = any("no_labels" in score.flags for score in scores)
    title = f"Encoder alignment score and its parts{sample_note(scores)}"
    alone = "spread (no labels)" if unlabelled else "discriminability"
    if "eas_adjusted" in parted:
        adjusted = _name_of("disc", parted["eas_adjusted"][0])
        alone = f"{alone} ({adjusted} in EAS adjusted)" if "eas" in parted else adjusted
    entitle(figure, title, *notes, legend=_part_handles(saturated, alone))
    lay_out(figure)
    for ax, points in scatter:
        _name_points(ax, points, inputs)
    return figure


def _best_first(columns: Mapping[str, Sequence[Score]], llm: str) -> list[str]:
    """Return the encoders in the order of the last composite that was recorded, then all others."""
    last = [score for score in list(columns.values())[-1] if score.llm == llm]
    ranked = sorted(last, key=lambda s: (s.value is None, -(s.value or 0.0), s.encoder or ""))
    others = [s.encoder for own in columns.values() for s in own if s.llm == llm]
    return list(dict.fromkeys(str(name) for name in (*(s.encoder for s in ranked), *others)))


def _that_fit(orders: Orders) -> Orders:
    """Return the first LLMs whose rankings take no more rows than there is room for."""
    kept: Orders = {}
    for llm, order in orders.items():
        if kept and sum(map(len, kept.values())) + len(order) > MOST_ROWS:
            break
        kept[llm] = order
    return kept


def _bars(
    area: SubFigure, columns: Mapping[str, Sequence[Score]], orders: Orders, inputs: FigureInputs
) -> bool:
    """Draw the stacked parts, a column a composite, a block an LLM; return whether a part is saturated."""
    heights = [len(order) + 0.1 for order in orders.values()]
    axes = area.subplots(len(orders), len(columns), sharex="col", squeeze=False, height_ratios=heights)
    saturated = False
    for row, (llm, order) in enumerate(orders.items()):
        for column, (metric, own) in enumerate(columns.items()):
            ax = axes[row, column]
            by_encoder = {str(score.encoder): score for score in own if score.llm == llm}
            for place, encoder in enumerate(order):
                if encoder in by_encoder:
                    saturated |= _stack(ax, place, by_encoder[encoder], inputs.look(encoder).colour)
            rows = [inputs.label(encoder) for encoder in order]
            name_rows(ax, rows, f"for {inputs.label(llm)}", labelled=column == 0)
            limit(ax, own, least=0.8)
            if row == 0:
                ax.set_title(TITLES[metric])
            if row == len(orders) - 1:
                ax.set_xlabel(f"{metric} (0 to 1, higher is better)")
    return saturated


def _stack(ax: Axes, row: int, score: Score, colour: str) -> bool:
    """Draw one composite's parts side by side to its value; return whether its CORAL part is saturated."""
    if score.value is None:
        missing(ax, row, score)
        return False
    parts = contributions(score)
    saturated = "saturated" in score.flags
    left = 0.0
    for name, width in parts.items():
        hatched = saturated and name == "coral"
        ax.barh(
            row,
            width,
            BAR,
            left=left,
            color=colour,
            alpha=PART_ALPHA.get(name, 1.0),
            hatch=SATURATED_HATCH if hatched else None,
            edgecolor="white",
            linewidth=0.6,
        )
        left += width
    null_mark(ax, row, score.null)
    interval_mark(ax, row, score)
    value_label(ax, row, score)
    return saturated


def contributions(score: Score) -> dict[str, float]:
    """Return what each part adds to the composite; the value in one piece where parts weren't recorded."""
    weighed = {part: EAS_WEIGHTS[part] * value for part, value in _parts(score).items()}
    return weighed or {"cka": float(score.value or 0.0)}


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
) -> list[tuple[Axes, list[Score]]]:
    """Draw each composite against its own CKA, a point an encoder, a marker an LLM."""
    axes = area.subplots(1, len(parted), squeeze=False)[0]
    drawn = []
    for ax, (metric, own) in zip(axes, parted.items(), strict=True):
        scored = [score for score in own if score.value is not None]
        for score in scored:
            marker = MARKERS[llms.index(str(score.llm)) % len(MARKERS)]
            at = (_parts(score)["cka"], float(score.value or 0.0))
            if score.interval is not None:
                ends = (score.interval.low, score.interval.high)
                ax.plot([at[0]] * 2, ends, color=inputs.look(str(score.encoder)).colour, alpha=0.7)
            ax.plot(
                *at,
                marker,
                color=inputs.look(str(score.encoder)).colour,
                markersize=8,
                markeredgecolor="white",
                markeredgewidth=0.8,
                zorder=5,
            )
        ax.margins(0.15)
        ax.grid(visible=True)
        ax.set_title(f"{TITLES[metric]}, against its CKA")
        ax.set_xlabel(f"{_name_of('cka', own[0])} (its part of CKA)")
        ax.set_ylabel(metric)
        if len(llms) > 1:
            ax.legend(handles=_llm_handles(llms, inputs), loc="lower right", fontsize=7.5)
        drawn.append((ax, scored))
    return drawn


def _name_points(ax: Axes, scores: Sequence[Score], inputs: FigureInputs) -> None:
    """Name the points; of many an encoder once, since its colour names it elsewhere."""
    named = list({s.encoder: s for s in reversed(scores)}.values() if len(scores) > 8 else scores)
    at = {id(score): (_parts(score)["cka"], float(score.value or 0.0)) for score in scores}
    place_names(
        ax,
        [at[id(score)] for score in named],
        [inputs.label(str(score.encoder), 28) for score in named],
        [inputs.look(str(score.encoder)).colour for score in named],
        others=list(at.values()),
    )


def _rankings(
    area: SubFigure, parted: Mapping[str, Sequence[Score]], orders: Orders, inputs: FigureInputs
) -> None:
    """Draw the places of the encoders by CKA, by CORAL and by EAS, a table a composite and LLM."""
    heights = [len(order) + 2 for order in orders.values()]
    axes = area.subplots(len(orders), len(parted), squeeze=False, height_ratios=heights)
    for row, (llm, order) in enumerate(orders.items()):
        for column, (metric, own) in enumerate(parted.items()):
            ax = axes[row, column]
            scores = {str(s.encoder): s for s in own if s.llm == llm and s.value is not None}
            values = {encoder: _ranked_values(scores[encoder]) for encoder in order if encoder in scores}
            table = places(values, order)
            useless = [e for e in values if metric == "eas" and "saturated" in scores[e].flags]
            if useless:
                table[:, 1] = np.nan
            written = [
                [
                    "" if encoder not in values else _place(table[i, j], values[encoder][j])
                    for j in range(len(RANKED))
                ]
                for i, encoder in enumerate(order)
            ]
            draw_cells(ax, table, 1, max(2, len(order)), f"{SEQUENTIAL}_r", written)
            for i in range(len(order)) if useless else ():
                hatch_cell(ax, i, 1)
            ax.set_xticks(range(3), ["CKA", "CORAL", "EAS"])
            ax.xaxis.tick_top()
            labels = [inputs.label(encoder) for encoder in order]
            ax.set_yticks(range(len(order)), labels if column == 0 else [""] * len(order))
            ax.set_title(f"Places by {TITLES[metric]}, for {inputs.label(llm, 22)}")


def _ranked_values(score: Score) -> list[float]:
    parts = _parts(score)
    return [parts["cka"], parts["coral"], float(score.value or 0.0)]


def places(
    values: Mapping[str, Sequence[float]], order: Sequence[str]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the place of each encoder in each column, 1 for the largest value; equal values share one.

    Args:
        values: encoder -> its value in each column.
        order: the encoders; one without values has no place.
    """
    found = np.full((len(order), len(RANKED)), np.nan)
    for i, encoder in enumerate(order):
        for j in range(len(RANKED)) if encoder in values else ():
            found[i, j] = 1 + sum(other[j] > values[encoder][j] for other in values.values())
    return found


def _place(place: float, value: float) -> str:
    return f"({number(value)})" if np.isnan(place) else f"{place:.0f}  ({number(value)})"


def _part_handles(saturated: bool, alone: str) -> list[Artist]:
    from matplotlib.patches import Patch

    names = {"cka": "0.3 × CKA", "coral": "0.3 × CORAL", "disc": f"0.4 × {alone}"}
    handles: list[Artist] = [
        Patch(facecolor="#444444", alpha=PART_ALPHA[part], label=name) for part, name in names.items()
    ]
    if saturated:
        handles.append(
            Patch(facecolor="#999999", hatch=SATURATED_HATCH, edgecolor="white", label="saturated")
        )
    return handles


def _llm_handles(llms: Sequence[str], inputs: FigureInputs) -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            marker=MARKERS[i % len(MARKERS)],
            linestyle="none",
            color="#666666",
            label=inputs.label(llm),
        )
        for i, llm in enumerate(llms)
    ]
