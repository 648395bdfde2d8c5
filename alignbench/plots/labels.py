"""Names beside points, where they hide neither each other nor a point."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

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


def place_names(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
    bars: Sequence[tuple[float, float, float, float]] = (),
    others: Sequence[tuple[float, float]] = (),
) -> None:
    """Write each name beside its point where it hides neither another name nor a point.

    Places around the point are tried from near to far; a name that had to go far, or whose point has
    neighbours, gets a line to its point.

    Args:
        ax: where the points are drawn, of a figure that has been laid out.
        points: (x, y) of each.
        names: what to write at each.
        colours: of the points; names are written in a darker shade.
        bars: (x0, y0, x1, y1) of lines that names rather shouldn't cross.
        others: (x, y) of further points, which have no name and which no name should hide.
    """
    from matplotlib.transforms import Bbox

    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = figure.dpi / 72
    pixels = ax.transData.transform(np.reshape(points, (-1, 2)))
    marked = np.unique(ax.transData.transform(np.reshape([*points, *others], (-1, 2))), axis=0)
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in marked]
    lines = [Bbox(ax.transData.transform(np.reshape(bar, (2, 2)))).padded(1.0) for bar in bars]
    inside = ax.get_window_extent()
    for point, (x, y), name, colour in zip(points, pixels, names, colours, strict=True):
        shade = darker(colour)
        text = ax.annotate(name, point, (0, 0), textcoords="offset points", fontsize=8, color=shade, zorder=6)
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
            ax.annotate("", point, xytext=offset, textcoords="offset points", arrowprops=leader)


def _away(point: NDArray[np.float64], points: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Return the direction, of length 1, away from the other points within reach; 0 without any."""
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
