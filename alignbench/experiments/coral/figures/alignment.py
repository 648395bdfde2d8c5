"""The figure of CKA against CORAL, as the research toolkit published it and as it should be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import left_out, sample_note
from alignbench.plots.scatter import draw_points, llm_legend, llm_markers, name_points, score_point
from alignbench.plots.style import MUTED, NULL, entitle, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.plots.scatter import Point
    from alignbench.types import Score

CKA_BY = ("calibrated_cka", "debiased_cka", "linear_cka")
CORAL_BY = ("ncoral", "spectral_ncoral")
MOST_IN_A_PANEL = 10  # points; with more, each LLM gets panels of its own
MOST_LLMS = 6


@dataclass(frozen=True, slots=True)
class _View:
    """One way to look at CKA and CORAL.

    Args:
        title: the title of its panels.
        x, y: the metrics.
        points: the scores of each encoder with each LLM.
        published: whether to draw the diagonal, with both axes from 0 to 1.
    """

    title: str
    x: str
    y: str
    points: list[tuple[Score, Score]]
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
        "shuffling the texts would not move a point sideways. Hollow points lie at 1 for every encoder, so "
        "the diagonal separates nothing.",
    ),
)
def cka_vs_coral(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder as a point, CORAL to the right and CKA upwards, in both views."""
    both = (
        _view(inputs, "As published", ("linear_cka",), ("coral_similarity",), published=True),
        _view(inputs, "As it should be read", CKA_BY, CORAL_BY, published=False),
    )
    views = [view for view in both if view.points]
    if not views:
        return None
    llms = list(dict.fromkeys(str(y.llm) for view in views for _, y in view.points))
    alone = max(len(view.points) for view in views) <= MOST_IN_A_PANEL
    rows = [llms] if alone else [[llm] for llm in llms[:MOST_LLMS]]
    figure = new_figure(max(6.8, 4.9 * len(views)), 1.5 + 4.1 * len(rows))
    axes = figure.subplots(len(rows), len(views), sharex="col", sharey="col", squeeze=False)
    markers = llm_markers(llms)
    panels = []
    for column, view in enumerate(views):
        for row, own_llms in enumerate(rows):
            scores = [(x, y) for x, y in view.points if str(y.llm) in own_llms]
            panels.append((axes[row, column], _panel(axes[row, column], view, scores, inputs, markers)))
            of = "" if len(rows) == 1 else f", for {inputs.label(own_llms[0], 22)}"
            axes[row, column].set_title(f"{view.title}{of}")
    notes = [
        "CORAL doesn't see which image belongs to which text: it compares distributions, not pairs. Only "
        "CKA shows alignment. Lines: 95% intervals; grey: CKA of shuffled pairs (±2 standard deviations)."
    ]
    if any("saturated" in x.flags for view in views for x, _ in view.points):
        notes.append(
            "Hollow: CORAL similarity is saturated, about 1 for every encoder: how far right such a point "
            "lies, and on which side of the diagonal, says nothing."
        )
    notes += left_out(sum(map(len, rows)), len(llms), "LLMs")
    entitle(
        figure,
        f"Is it aligned, and is it alike?{sample_note([y for view in views for _, y in view.points])}",
        *notes,
        legend=llm_legend(markers, inputs) if len(rows) == 1 else (),
    )
    name_points(figure, panels)
    return figure


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
        by_pair = {
            (str(s.encoder), str(s.llm)): s
            for s in pick(scores, metric)
            if s.value is not None and s.encoder and s.llm and not s.other
        }
        if by_pair:
            return metric, by_pair
    return "", {}


def _panel(
    ax: Axes,
    view: _View,
    scores: Sequence[tuple[Score, Score]],
    inputs: FigureInputs,
    markers: Mapping[str, str],
) -> list[Point]:
    """Draw the points of a panel and what shuffled pairs give; points with saturated CORAL are hollow."""
    points = [
        score_point(x, y, markers[str(y.llm)], inputs, hollow="saturated" in x.flags) for x, y in scores
    ]
    for point, (_, y) in zip(points, scores, strict=True):
        if y.null is not None and y.null.mean is not None:
            look: Any = {
                "fmt": "_",
                "color": NULL,
                "elinewidth": 5,
                "alpha": 0.5,
                "markersize": 9,
                "zorder": 2,
            }
            ax.errorbar(point.x, y.null.mean, 2 * (y.null.std or 0), **look)
    draw_points(ax, points, 0.1)
    if view.published:
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        ax.margins(0.05)
        ax.set_xlim(-0.02, 1.04)
        low, high = ax.get_ylim()
        ax.set_ylim(min(-0.02, low), max(1.02, high))
    else:
        ax.update_datalim([(0, 0)])
        ax.autoscale_view()
    direction = "higher" if view.points[0][0].higher_is_better else "lower"
    ax.set_xlabel(f"{view.x} ({direction} is more alike)")
    ax.set_ylabel(f"{view.y} (sees the pairing; higher is better)")
    ax.tick_params(labelbottom=True)
    return points
