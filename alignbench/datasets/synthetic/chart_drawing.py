"""How charts are drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.canvas import Box, Canvas, Rectangle
from alignbench.datasets.synthetic.words import BACKGROUNDS, COLOURS

if TYPE_CHECKING:
    from alignbench.datasets.synthetic.charts import Chart, Points

TITLE_SIZE = 33
LABEL_SIZE = 15
TOP = 100  # the y axis ends here: values are 0 to 100


def paint_chart(chart: Chart, canvas: Canvas) -> list[Box]:
    """Draw `chart`; return the boxes of all bars, lines, slices or groups of points."""
    chart.check()
    ink = BACKGROUNDS[chart.background].ink
    canvas.text((canvas.width / 2, 14), chart.title, TITLE_SIZE, ink, "ma", bold=True)
    if chart.kind == "pie":
        return _paint_pie(chart, canvas)
    plot = (62.0, 76.0, canvas.width - 22.0, canvas.height - 62.0)
    horizontal = chart.layout == "horizontal"
    _paint_axes(chart, canvas, plot, horizontal)
    if chart.kind == "bar":
        return _paint_bars(chart, canvas, plot, horizontal)
    return _paint_lines(chart, canvas, plot) if chart.kind == "line" else _paint_points(chart, canvas, plot)


def _paint_axes(chart: Chart, canvas: Canvas, plot: Rectangle, horizontal: bool) -> None:
    background = BACKGROUNDS[chart.background]
    left, top, right, bottom = plot
    for tick in range(0, TOP + 1, 25):
        along = tick / TOP
        x, y = left + along * (right - left), bottom - along * (bottom - top)
        if chart.grid and horizontal:
            canvas.line([(x, top), (x, bottom)], background.faint)
        elif chart.grid:
            canvas.line([(left, y), (right, y)], background.faint)
        if horizontal:
            canvas.text((x, bottom + 6), str(tick), LABEL_SIZE, background.ink, "ma")
        else:
            canvas.text((left - 7, y), str(tick), LABEL_SIZE, background.ink, "rm")
    canvas.line([(left, top), (left, bottom), (right, bottom)], background.ink, 2)
    across, along_y = reversed(chart.labels) if horizontal else chart.labels
    canvas.text(((left + right) / 2, canvas.height - 12), across, 17, background.ink, "ms")
    canvas.upward_text((14, (top + bottom) / 2), along_y, 17, background.ink)


def _paint_bars(chart: Chart, canvas: Canvas, plot: Rectangle, horizontal: bool) -> list[Box]:
    ink = BACKGROUNDS[chart.background].ink
    left, top, right, bottom = plot
    values = chart.series[0].values
    step = ((bottom - top) if horizontal else (right - left)) / len(values)
    boxes = []
    for i, (name, value) in enumerate(zip(chart.categories, values, strict=True)):
        colour = chart.highlight if chart.highlight and value == max(values) else chart.series[0].colour
        if horizontal:
            y = top + (i + 0.5) * step
            end = left + (right - left) * value / TOP
            edges = (left, y - 0.36 * step, end, y + 0.36 * step)
            canvas.text((left - 7, y), name, LABEL_SIZE, ink, "rm")
            canvas.text((end + 5, y), str(value), LABEL_SIZE, ink, "lm")
        else:
            x = left + (i + 0.5) * step
            end = bottom - (bottom - top) * value / TOP
            edges = (x - 0.36 * step, end, x + 0.36 * step, bottom)
            canvas.text((x, bottom + 6), name, LABEL_SIZE, ink, "ma")
            canvas.text((x, end - 4), str(value), LABEL_SIZE, ink, "ms")
        canvas.rectangle(edges, COLOURS[colour])
        boxes.append(Box(f"bar {name}", colour, *edges))
    return boxes


def _paint_lines(chart: Chart, canvas: Canvas, plot: Rectangle) -> list[Box]:
    ink = BACKGROUNDS[chart.background].ink
    left, top, right, bottom = plot
    step = (right - left) / len(chart.categories)
    for i, name in enumerate(chart.categories):
        canvas.text((left + (i + 0.5) * step, bottom + 6), name, LABEL_SIZE, ink, "ma")
    boxes = []
    for series in chart.series:
        points = [
            (left + (i + 0.5) * step, bottom - (bottom - top) * value / TOP)
            for i, value in enumerate(series.values)
        ]
        canvas.line(points, COLOURS[series.colour], 5)
        if chart.layout == "dotted":
            for x, y in points:
                canvas.ellipse((x - 8, y - 8, x + 8, y + 8), COLOURS[series.colour])
        if len(chart.series) == 1:
            for (x, y), value in zip(points, series.values, strict=True):
                canvas.text((x, y - 11), str(value), LABEL_SIZE, ink, "ms")
        boxes.append(Box(f"{series.colour} line", series.colour, *_around(points, 4)))
    return boxes


def _paint_points(chart: Chart, canvas: Canvas, plot: Rectangle) -> list[Box]:
    left, _, right, bottom = plot
    for i in range(0, TOP + 1, 25):
        x = left + 10 + (right - left - 20) * i / TOP
        canvas.text((x, bottom + 6), str(i), LABEL_SIZE, BACKGROUNDS[chart.background].ink, "ma")
    boxes = []
    mark = canvas.ellipse if chart.layout == "round" else canvas.rectangle
    for series in chart.series:
        places = _placed(series.points, plot)
        for x, y in places:
            mark((x - 7, y - 7, x + 7, y + 7), COLOURS[series.colour])
        boxes.append(Box(f"{series.colour} points", series.colour, *_around(places, 7)))
    return boxes


def _placed(points: Points, plot: Rectangle) -> list[tuple[float, float]]:
    left, top, right, bottom = plot
    return [
        (left + 10 + (right - left - 20) * x / TOP, bottom - 10 - (bottom - top - 20) * y / TOP)
        for x, y in points
    ]


def _paint_pie(chart: Chart, canvas: Canvas) -> list[Box]:
    background = BACKGROUNDS[chart.background]
    radius = min(canvas.width - 150, canvas.height - 90) / 2
    x, y = 24 + radius, 74 + (canvas.height - 90) / 2 - 4
    circle = (x - radius, y - radius, x + radius, y + radius)
    start = -90.0
    boxes = []
    for i, (name, series) in enumerate(zip(chart.categories, chart.series, strict=True)):
        share = series.values[0]
        end = start + 3.6 * share
        canvas.slice(circle, start, end, COLOURS[series.colour], background.fill)
        boxes.append(Box(f"slice {name}", series.colour, *_around(_arc(x, y, radius, start, end), 0)))
        row = y + (i - (len(chart.series) - 1) / 2) * 40
        canvas.rectangle((canvas.width - 118, row - 9, canvas.width - 100, row + 9), COLOURS[series.colour])
        canvas.text((canvas.width - 94, row), f"{name} {share}%", LABEL_SIZE, background.ink, "lm")
        start = end
    if chart.layout == "ring":
        hole = 0.5 * radius
        canvas.ellipse((x - hole, y - hole, x + hole, y + hole), background.fill)
    return boxes


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    angles = [math.radians(start + (end - start) * i / 16) for i in range(17)]
    return [(x, y), *((x + radius * math.cos(t), y + radius * math.sin(t)) for t in angles)]


def _around(points: list[tuple[float, float]], margin: float) -> Rectangle:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin
