"""Figures of alignment: EAS with its parts, and CKA against CORAL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
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
    value_label,
)
from alignbench.plots.style import (
    INK,
    MARKERS,
    MUTED,
    NULL,
    SATURATED_HATCH,
    entitle,
    lay_out,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

EAS_WEIGHTS = {"cka": 0.3, "coral": 0.3, "disc": 0.4}
PART_ALPHA = {"cka": 1.0, "coral": 0.6, "disc": 0.3}
CKA_BY = ("calibrated_cka", "debiased_cka", "linear_cka")
CORAL_BY = ("ncoral", "spectral_ncoral")


@styled
def eas_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw EAS as published beside eas_adjusted, a row an encoder, a block an LLM, the parts stacked."""
    columns = [(metric, pick(inputs.of("eas"), metric)) for metric in ("eas", "eas_adjusted")]
    columns = [(metric, own) for metric, own in columns if own]
    llms = list(dict.fromkeys(score.llm for _, own in columns for score in own))
    if not columns:
        return None
    orders = {llm: _best_first([s for s in columns[-1][1] if s.llm == llm], columns, llm) for llm in llms}
    heights = [len(order) + 0.1 for order in orders.values()]
    figure = new_figure(1.6 + 4.2 * len(columns), 1.9 + 0.34 * sum(heights) + 0.3 * len(orders))
    axes = figure.subplots(len(llms), len(columns), sharex="col", squeeze=False, height_ratios=heights)
    saturated = False
    for row, (llm, order) in enumerate(orders.items()):
        for column, (metric, own) in enumerate(columns):
            ax = axes[row, column]
            by_encoder = {score.encoder: score for score in own if score.llm == llm}
            for place, encoder in enumerate(order):
                if encoder in by_encoder:
                    saturated |= _stack(ax, place, by_encoder[encoder], inputs.look(str(encoder)).colour)
            rows = [inputs.label(str(encoder)) for encoder in order]
            name_rows(ax, rows, f"for {inputs.label(str(llm))}", labelled=column == 0)
            limit(ax, own, least=0.8)
            if row == 0:
                ax.set_title({"eas": "EAS as published", "eas_adjusted": "EAS adjusted"}[metric])
            if row == len(llms) - 1:
                ax.set_xlabel(f"{metric} (0 to 1, higher is better)")
    scores = [score for _, own in columns for score in own]
    notes = [reading_notes(scores)]
    if saturated:
        notes.append(
            "Hatched: CORAL similarity is saturated (about 1 whatever the encoder), so EAS as published\n"
            "ranks as 0.3 + 0.3 CKA + 0.4 discriminability, and discriminability never sees the LLM."
        )
    entitle(
        figure,
        f"Encoder alignment score and its parts{sample_note(scores)}",
        *notes,
        legend=_part_handles(
            saturated, unlabelled=any("no_labels" in s.flags for _, own in columns for s in own)
        ),
    )
    return figure


def _best_first(
    scores: Sequence[Score], columns: Sequence[tuple[str, Sequence[Score]]], llm: str | None
) -> list[str | None]:
    ranked = sorted(scores, key=lambda s: (s.value is None, -(s.value or 0.0), s.encoder or ""))
    others = [s.encoder for _, own in columns for s in own if s.llm == llm]
    return list(dict.fromkeys([*(s.encoder for s in ranked), *others]))


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
    found: dict[str, float] = {}
    for recorded, value in score.params.get("parts", {}).items():
        for part, weight in EAS_WEIGHTS.items():
            if part in recorded or (part, recorded) == ("disc", "spread"):
                found[part] = weight * float(value)
    return found if found.keys() == EAS_WEIGHTS.keys() else {"cka": float(score.value or 0.0)}


def _part_handles(saturated: bool, *, unlabelled: bool) -> list[Artist]:
    from matplotlib.patches import Patch

    alone = "spread (no labels)" if unlabelled else "discriminability"
    names = {"cka": "0.3 × CKA", "coral": "0.3 × CORAL", "disc": f"0.4 × {alone}"}
    handles: list[Artist] = [
        Patch(facecolor="#444444", alpha=PART_ALPHA[part], label=name) for part, name in names.items()
    ]
    if saturated:
        handles.append(
            Patch(facecolor="#999999", hatch=SATURATED_HATCH, edgecolor="white", label="saturated")
        )
    return handles


def sample_note(scores: Sequence[Score]) -> str:
    """Return how many groups of which data the scores are of, to end a title with."""
    sizes = sorted({score.n for score in scores})
    n = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    types = sorted({score.data_type for score in scores} - {ALL})
    return f" (n = {n} groups{', ' + ', '.join(types) if types else ''})"


@styled
def cka_vs_coral(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder as a point, CORAL to the right and CKA upwards, a marker an LLM."""
    cka_name, cka = _first_recorded(inputs.of("cka"), CKA_BY)
    coral_name, coral = _first_recorded(inputs.of("coral"), CORAL_BY)
    points = [(coral[key], cka[key]) for key in cka if key in coral]
    if not points:
        return None
    llms = list(dict.fromkeys(str(y.llm) for _, y in points))
    panels = [llms] if len(points) <= 10 else [[llm] for llm in llms]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(6.8, 4.3 * columns), 1.1 + 3.9 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    markers = {llm: MARKERS[i % len(MARKERS)] for i, llm in enumerate(llms)}
    for ax, own_llms in zip(axes, panels, strict=False):
        for x, y in points:
            if y.llm in own_llms:
                _point(ax, x, y, inputs.look(str(y.encoder)).colour, markers[str(y.llm)])
        ax.grid(visible=True)
        ax.margins(0.1)
        ax.update_datalim([(0, 0)])
        ax.autoscale_view()
        if len(panels) > 1:
            ax.set_title(f"for {inputs.label(own_llms[0])}")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.supylabel(f"{cka_name} (sees the pairing; higher is better)", fontsize=9, color=INK)
    direction = "higher" if points[0][0].higher_is_better else "lower"
    for ax in axes[max(0, len(panels) - columns) : len(panels)]:
        ax.set_xlabel(f"{coral_name} ({direction} is more alike)")
        ax.tick_params(labelbottom=True)
    entitle(
        figure,
        f"Is it aligned, and is it alike?{sample_note([y for _, y in points])}",
        "CORAL doesn't see which image belongs to which text: it compares distributions, not pairs. Only\n"
        "CKA shows alignment. Lines: 95% intervals; grey: CKA of shuffled pairs (±2 standard deviations).",
        legend=_llm_handles(inputs, markers) if len(llms) > 1 and len(panels) == 1 else (),
    )
    lay_out(figure)
    for ax, own_llms in zip(axes, panels, strict=False):
        own = [(x, y) for x, y in points if y.llm in own_llms]
        place_names(
            ax,
            [(float(x.value or 0), float(y.value or 0)) for x, y in own],
            [inputs.label(str(y.encoder), 32) for _, y in own],
            [inputs.look(str(y.encoder)).colour for _, y in own],
            [bar for x, y in own for bar in _bars(x, y)],
        )
    return figure


def _first_recorded(
    scores: Sequence[Score], metrics: Sequence[str]
) -> tuple[str, dict[tuple[str, str], Score]]:
    """Return the first metric that has values, and (encoder, llm) -> its score."""
    for metric in metrics:
        own = {
            (str(s.encoder), str(s.llm)): s
            for s in pick(scores, metric)
            if s.value is not None and s.encoder and s.llm and not s.other
        }
        if own:
            return metric, own
    return "", {}


def _point(ax: Axes, x: Score, y: Score, colour: str, marker: str) -> None:
    at = (float(x.value or 0), float(y.value or 0))
    if y.null is not None and y.null.mean is not None:
        half = 2 * (y.null.std or 0)
        ax.errorbar(
            at[0], y.null.mean, half, fmt="_", color=NULL, elinewidth=5, alpha=0.5, markersize=9, zorder=2
        )
    for x0, y0, x1, y1 in _bars(x, y):
        ax.plot([x0, x1], [y0, y1], color=colour, linewidth=1, alpha=0.7)
    ax.plot(*at, marker, color=colour, markersize=8, markeredgecolor="white", markeredgewidth=0.8, zorder=5)


def _bars(x: Score, y: Score) -> list[tuple[float, float, float, float]]:
    """Return the ends of the point's two interval lines."""
    bars = []
    at = (float(x.value or 0), float(y.value or 0))
    if x.interval is not None:
        bars.append((x.interval.low, at[1], x.interval.high, at[1]))
    if y.interval is not None:
        bars.append((at[0], y.interval.low, at[0], y.interval.high))
    return bars


def _llm_handles(inputs: FigureInputs, markers: Mapping[str, str]) -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            marker=marker,
            linestyle="none",
            color=MUTED,
            markersize=7,
            label=f"for {inputs.label(llm)}",
        )
        for llm, marker in markers.items()
    ]
