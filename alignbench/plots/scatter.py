"""Scatter plots of named points with intervals; names are placed so that they hide no point and no name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.marks import legend_mark
from alignbench.plots.style import MARKERS, MUTED, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

_DISTANCES = (8, 16, 28, 42, 58)
_DIRECTIONS = (
    (1, 0, "left"),
    (0.8, 0.9, "left"),
    (-0.8, 0.9, "right"),
    (0.8, -0.9, "left"),
    (-0.8, -0.9, "right"),
    (-1, 0, "right"),
    (0, 1.2, "center"),
    (0, -1.2, "center"),
)


MOST_NAMED = 8  # with more points, each name is written only once; elsewhere the colour tells which it is


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter.

    Args:
        name: the text beside it.
        x, y: its place.
        colour, marker: how it is drawn.
        lines: (x0, y0, x1, y1) of each of its intervals.
        hollow: whether only its edge is drawn.
    """

    name: str
    x: float
    y: float
    colour: str
    marker: str
    lines: tuple[tuple[float, float, float, float], ...] = ()
    hollow: bool = False


def score_point(
    x: Score | float, y: Score, marker: str, inputs: FigureInputs, *, hollow: bool = False
) -> Point:
    """Return the point of an encoder, with the intervals of its scores; x may be a plain number."""
    across = x if isinstance(x, float) else float(x.value or 0)
    up = float(y.value or 0)
    lines = []
    if not isinstance(x, float) and x.interval is not None:
        lines.append((x.interval.low, up, x.interval.high, up))
    if y.interval is not None:
        lines.append((across, y.interval.low, across, y.interval.high))
    encoder = str(y.encoder)
    colour = inputs.look(encoder).colour
    return Point(inputs.label(encoder, 32), across, up, colour, marker, tuple(lines), hollow)


def draw_points(ax: Axes, points: Iterable[Point], margin: float = 0.12, size: float = 8) -> None:
    """Draw points and their intervals on a grid."""
    for point in points:
        for x0, y0, x1, y1 in point.lines:
            ax.plot([x0, x1], [y0, y1], color=point.colour, linewidth=1, alpha=0.7)
        face, edge, width = point.colour, "white", 0.8
        if point.hollow:
            face, edge, width = "white", point.colour, 1.6
        look: Any = {"color": point.colour, "mfc": face, "mec": edge, "mew": width, "markersize": size}
        ax.plot(point.x, point.y, point.marker, zorder=5, **look)
    ax.margins(margin)
    ax.grid(visible=True)


def llm_markers(llms: Iterable[str]) -> dict[str, str]:
    """Return LLM -> the marker of its points."""
    return {llm: MARKERS[i % len(MARKERS)] for i, llm in enumerate(dict.fromkeys(llms))}


def llm_legend(markers: Mapping[str, str], inputs: FigureInputs) -> list[Artist]:
    """Return a legend of the LLMs' markers; a single LLM needs none."""
    if len(markers) < 2:
        return []
    return [
        legend_mark(f"for {inputs.label(llm)}", marker, MUTED, markersize=7)
        for llm, marker in markers.items()
    ]


def name_points(figure: Figure, panels: Iterable[tuple[Axes, Sequence[Point]]]) -> None:
    """Lay out a figure, and write the names of all its points."""
    lay_out(figure)
    for ax, points in panels:
        named = points
        if len(points) > MOST_NAMED:
            named = list({point.name: point for point in reversed(points)}.values())
        _place_names(ax, named, points)


def _place_names(ax: Axes, named: Sequence[Point], points: Sequence[Point]) -> None:
    """Write each name beside its point where it hides neither another name nor a point.

    Places around the point are tried from near to far; a name that ends up far away, or whose point has
    neighbours, gets a line to its point.
    """
    from matplotlib.transforms import Bbox

    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = figure.dpi / 72
    pixels = ax.transData.transform(np.reshape([(point.x, point.y) for point in named], (-1, 2)))
    marked = np.unique(ax.transData.transform(np.reshape([(p.x, p.y) for p in points], (-1, 2))), axis=0)
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in marked]
    ends = [line for point in points for line in point.lines]
    lines = [Bbox(ax.transData.transform(np.reshape(line, (2, 2)))).padded(1.0) for line in ends]
    inside = ax.get_window_extent()
    for point, (x, y) in zip(named, pixels, strict=True):
        at, shade = (point.x, point.y), darker(point.colour)
        text = ax.annotate(
            point.name, at, (0, 0), textcoords="offset points", fontsize=8, color=shade, zorder=6
        )
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})
        text.set_in_layout(False)
        size = text.get_window_extent().padded(1.5)
        away = _away(np.array([x, y]), pixels, 30 * scale)
        best: tuple[float, tuple[float, float], str, Bbox] | None = None
        for distance, (dx, dy, align) in product(_DISTANCES, _DIRECTIONS):
            offset = (dx * distance, dy * distance)
            left = x + offset[0] * scale - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * size.width
            box = Bbox.from_bounds(left, y + offset[1] * scale - size.height / 2, size.width, size.height)
            outside = box.width * box.height - _overlap(box, inside)
            crossed = sum(_overlap(box, line) for line in lines)
            cost = sum(_overlap(box, other) for other in taken) + 2 * outside + 0.3 * crossed + distance
            cost += 10 * float(np.hypot(*away) - np.dot(away, (dx, dy)))
            if best is None or cost < best[0]:
                best = (cost, offset, align, box)
        assert best is not None
        _, offset, align, box = best
        text.set(position=offset, ha=align, va="center")
        taken.append(box)
        if away.any() or max(map(abs, offset)) > 12:
            leader = {"arrowstyle": "-", "color": shade, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}
            ax.annotate("", at, xytext=offset, textcoords="offset points", arrowprops=leader)


def _away(point: NDArray[np.float64], points: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Return the unit vector away from the other points within reach; 0 if there are none."""
    from_others = point - points
    distances = np.hypot(from_others[:, 0], from_others[:, 1])
    sum_away = from_others[(distances > 0) & (distances < reach)].sum(axis=0)
    length = float(np.hypot(sum_away[0], sum_away[1]))
    return sum_away / length if length else np.zeros(2)


def darker(colour: str) -> str:
    """Return a shade of the colour that is legible as small text on white."""
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.62):02x}" for i in (1, 3, 5))


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(max(0.0, width) * max(0.0, height))
