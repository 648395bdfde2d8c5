"""How long the slowest metrics take by the number of rows: one named line per metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.plots.style import DASHES, MUTED, OTHERS, lay_out
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from alignbench.types import Score

MOST_METRICS = 12
_NAME = 26
_LINE = 9.0  # points between two names
_CHARACTER = 4.35  # points of a name's character
_GAP = 26.0  # points from a line's end to its name


def metric_costs(ax: Axes, scores: Sequence[Score]) -> None:
    """Draw each metric's milliseconds by n, both logarithmic, with its name beside the end of its line."""
    lines: dict[str, dict[int, float]] = {}
    for score in scores:
        at = score.params["at"]
        lines.setdefault(str(at["metric"]), {})[int(at["n"])] = float(score.value or 0)
    sizes = sorted({n for line in lines.values() for n in line})
    order = sorted(lines, key=lambda name: _reached(lines[name], sizes[-1]))[-MOST_METRICS:]
    colours = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(order)}
    for i, name in enumerate(order):
        ns = sorted(lines[name])
        costs = [lines[name][n] for n in ns]
        line: Any = {"linestyle": DASHES[i // len(OTHERS)], "linewidth": 1.1}
        ax.plot(ns, costs, marker="o", markersize=3, color=colours[name], **line)
    ax.set_xscale("log")
    logarithmic(ax)
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.grid(visible=True)
    ax.set_xlabel("n, rows of each side")
    ax.set_ylabel("milliseconds")
    share = "" if len(order) == len(lines) else f" (the slowest {len(order)} of {len(lines)})"
    ax.set_title(f"Metrics, value only{share}")
    _name_lines(ax, {name: lines[name] for name in order}, colours, sizes)


def logarithmic(ax: Axes, steps: tuple[float, ...] = (1.0,)) -> None:
    """Make the y axis logarithmic, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=steps))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _reached(line: dict[int, float], n: int) -> float:
    """Return a line's value at n rows; a line that ends earlier is extended by the square of n."""
    last = max(line)
    return line[last] * (n / last) ** 2


def _name_lines(
    ax: Axes, lines: dict[str, dict[int, float]], colours: dict[str, str], sizes: Sequence[int]
) -> None:
    """Write the names in a column, each as near as possible to the end of its line and joined to it.

    The lines, name -> n -> milliseconds, are sorted by their ends, the lowest first. The names take room
    within the axes, so the layout of the figure stays the same.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    names = {name: fit(clean(name), _NAME) for name in lines}
    for name, line in lines.items():
        if max(line) < sizes[-1]:
            names[name] += f" (to {max(line):,})"
    lay_out(figure)
    width = ax.get_window_extent().width / figure.dpi * 72
    share = min(0.6, (_GAP + _CHARACTER * max(len(text) for text in names.values())) / width)
    low = sizes[0] * 0.85
    ax.set_xlim(low, low * (sizes[-1] / low) ** (1 / (1 - share)))

    def on_axes(n: float, cost: float) -> tuple[float, float]:
        x, y = ax.transAxes.inverted().transform(ax.transData.transform((n, cost)))
        return float(x), float(y)

    heights = [min(1.0, on_axes(sizes[-1], _reached(line, sizes[-1]))[1]) for line in lines.values()]
    step = min(_LINE * figure.dpi / 72 / ax.get_window_extent().height, 1.0 / len(names))
    x = 1 - share + _GAP / width
    style: Any = {"transform": ax.transAxes, "fontsize": 7.2, "va": "center", "ha": "left"}
    rule: Any = {"transform": ax.transAxes, "color": MUTED, "linewidth": 0.4, "alpha": 0.6, "zorder": 1}
    for (name, line), y in zip(lines.items(), spread(heights, step), strict=True):
        start = on_axes(max(line), line[max(line)])
        ax.text(x, y, names[name], color=colours[name], **style).set_in_layout(False)
        joint = ([start[0] + 0.008, x - 0.008], [start[1], y])
        ax.plot(*joint, **rule, scalex=False, scaley=False)


def spread(heights: Sequence[float], step: float) -> list[float]:
    """Return places between 0 and 1 that are at least `step` apart and near the ascending heights."""
    blocks: list[list[float]] = []  # [middle, number of names] of names that touch
    for height in heights:
        blocks.append([height, 1])
        while len(blocks) > 1 and _bottom(blocks[-1], step) < _top(blocks[-2], step):
            (middle, many), (below, fewer) = blocks.pop(), blocks.pop()
            together = many + fewer
            blocks.append([(middle * many + below * fewer) / together, together])
        half = blocks[-1][1] * step / 2
        blocks[-1][0] = min(max(blocks[-1][0], half), 1 - half)
        while len(blocks) > 1 and _bottom(blocks[-1], step) < _top(blocks[-2], step):
            (_, many), (_, fewer) = blocks.pop(), blocks.pop()
            half = (many + fewer) * step / 2
            blocks.append([1 - half, many + fewer])
    return [middle + (i - (many - 1) / 2) * step for middle, many in blocks for i in range(int(many))]


def _top(block: Sequence[float], step: float) -> float:
    return block[0] + block[1] * step / 2


def _bottom(block: Sequence[float], step: float) -> float:
    return block[0] - block[1] * step / 2
