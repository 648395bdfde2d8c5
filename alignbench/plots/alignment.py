"""The figure of CKA against CORAL: as the research toolkit published it, and as it should be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.labels import place_names
from alignbench.plots.marks import sample_note
from alignbench.plots.style import MARKERS, MUTED, NULL, entitle, lay_out, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

CKA_BY = ("calibrated_cka", "debiased_cka", "linear_cka")
CORAL_BY = ("ncoral", "spectral_ncoral")
MOST_IN_A_PANEL = 10  # points; of more, each LLM has panels of its own
MOST_LLMS = 6
_NAME = 32  # letters of an encoder's name

Point = tuple["Score", "Score"]  # CORAL to the right, CKA upwards


@dataclass(frozen=True, slots=True)
class _View:
    """One way to look at CKA and CORAL.

    Args:
        title: above its panels.
        x, y: the metrics.
        points: one an encoder and LLM.
        published: with the diagonal, both axes from 0 to 1.
    """

    title: str
    x: str
    y: str
    points: list[Point]
    published: bool


@declare_figure(
    "coral",
    shows=("cka", "coral"),
    caption=Caption(
        "Is it aligned, or only alike?",
        "Left, as published: CKA against CORAL similarity, with the diagonal. Right, as it should be read: "
        "calibrated CKA (0 is chance) against ncoral, where the left edge is the same distribution. Lines: "
        "95% intervals; grey: CKA of shuffled pairs; hollow: saturated.",
        "Alignment along the horizontal axis: CORAL never sees which text belongs to which image, and "
        "dealing the texts out anew would not move a point sideways. Hollow points stand at 1 whatever the "
        "encoder, so the diagonal separates nothing.",
    ),
)
def cka_vs_coral(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder as a point, CORAL to the right and CKA upwards: as published, and as to be read."""
    views = [view for view in (_published(inputs), _as_it_should_be_read(inputs)) if view.points]
    if not views:
        return None
    llms = list(dict.fromkeys(str(y.llm) for view in views for _, y in view.points))
    alone = max(len(view.points) for view in views) <= MOST_IN_A_PANEL
    rows = [llms] if alone else [[llm] for llm in llms[:MOST_LLMS]]
    figure = new_figure(max(6.8, 4.9 * len(views)), 1.5 + 4.1 * len(rows))
    axes = figure.subplots(len(rows), len(views), sharex="col", sharey="col", squeeze=False)
    markers = {llm: MARKERS[i % len(MARKERS)] for i, llm in enumerate(llms)}
    panels = []
    for column, view in enumerate(views):
        for row, own_llms in enumerate(rows):
            own = [(x, y) for x, y in view.points if str(y.llm) in own_llms]
            _panel(axes[row, column], view, own, inputs, markers)
            of = "" if len(rows) == 1 else f", for {inputs.label(own_llms[0], 22)}"
            axes[row, column].set_title(f"{view.title}{of}")
            panels.append((axes[row, column], own))
    notes = [
        "CORAL doesn't see which image belongs to which text: it compares distributions, not pairs. Only\n"
        "CKA shows alignment. Lines: 95% intervals; grey: CKA of shuffled pairs (±2 standard deviations)."
    ]
    if any("saturated" in x.flags for view in views for x, _ in view.points):
        notes.append(
            "Hollow: CORAL similarity is saturated, about 1 whatever the encoder: where such a point lies\n"
            "between left and right, and on which side of the diagonal, says nothing."
        )
    if len(rows) > 1 and len(llms) > MOST_LLMS:
        notes.append(f"The first {MOST_LLMS} of {len(llms)} LLMs.")
    entitle(
        figure,
        f"Is it aligned, and is it alike?{sample_note([y for view in views for _, y in view.points])}",
        *notes,
        legend=_llm_handles(inputs, markers) if len(llms) > 1 and len(rows) == 1 else (),
    )
    lay_out(figure)
    for ax, own in panels:
        place_names(
            ax,
            [(float(x.value or 0), float(y.value or 0)) for x, y in own],
            [inputs.label(str(y.encoder), _NAME) for _, y in own],
            [inputs.look(str(y.encoder)).colour for _, y in own],
            [bar for x, y in own for bar in _bars(x, y)],
        )
    return figure


def _published(inputs: FigureInputs) -> _View:
    return _view(inputs, "As published", ("linear_cka",), ("coral_similarity",), published=True)


def _as_it_should_be_read(inputs: FigureInputs) -> _View:
    return _view(inputs, "As it should be read", CKA_BY, CORAL_BY, published=False)


def _view(
    inputs: FigureInputs, title: str, cka_by: Sequence[str], coral_by: Sequence[str], *, published: bool
) -> _View:
    cka_name, cka = _first_recorded(inputs.of("cka"), cka_by)
    coral_name, coral = _first_recorded(inputs.of("coral"), coral_by)
    points = [(coral[key], cka[key]) for key in cka if key in coral]
    return _View(title, coral_name, cka_name, points, published)


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


def _panel(
    ax: Axes, view: _View, points: Sequence[Point], inputs: FigureInputs, markers: Mapping[str, str]
) -> None:
    """Draw the points of a panel, with its axes."""
    for x, y in points:
        _point(ax, x, y, inputs.look(str(y.encoder)).colour, markers[str(y.llm)])
    ax.grid(visible=True)
    if view.published:
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        ax.set_xlim(-0.02, 1.04)
        low, high = ax.get_ylim()
        ax.set_ylim(min(-0.02, low), max(1.02, high))
    else:
        ax.margins(0.1)
        ax.update_datalim([(0, 0)])
        ax.autoscale_view()
    direction = "higher" if view.points[0][0].higher_is_better else "lower"
    ax.set_xlabel(f"{view.x} ({direction} is more alike)")
    ax.set_ylabel(f"{view.y} (sees the pairing; higher is better)")
    ax.tick_params(labelbottom=True)


def _point(ax: Axes, x: Score, y: Score, colour: str, marker: str) -> None:
    """Draw a point with its intervals and what shuffled pairs give; hollow where CORAL is saturated."""
    at = (float(x.value or 0), float(y.value or 0))
    if y.null is not None and y.null.mean is not None:
        half = 2 * (y.null.std or 0)
        ax.errorbar(
            at[0], y.null.mean, half, fmt="_", color=NULL, elinewidth=5, alpha=0.5, markersize=9, zorder=2
        )
    for x0, y0, x1, y1 in _bars(x, y):
        ax.plot([x0, x1], [y0, y1], color=colour, linewidth=1, alpha=0.7)
    hollow = "saturated" in x.flags
    ax.plot(
        *at,
        marker,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markersize=8,
        markeredgecolor=colour if hollow else "white",
        markeredgewidth=1.6 if hollow else 0.8,
        zorder=5,
    )


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
