"""How charts are described."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets.synthetic.charts import trend_of
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.words import a, count, listing, sentence

if TYPE_CHECKING:
    from alignbench.datasets.synthetic.charts import Chart, Series

NOUNS = {"bar": "bar", "line": "line", "pie": "slice", "scatter": "group of points"}
RUNS = {
    "rising": ("rises from left to right", "goes up"),
    "falling": ("falls from left to right", "goes down"),
    "peak": ("rises to a peak and falls again", "peaks in the middle"),
    "valley": ("falls to a low and rises again", "dips in the middle"),
    "mixed": ("goes up and down", "has no clear trend"),
    "scattered": ("shows no trend", "is spread all over"),
    "clustered": ("forms a cluster", "keeps together in a cluster"),
    "level": ("stays level", "does not change"),
}


def describe_chart(chart: Chart) -> Description:
    """Describe `chart` in four wordings."""
    chart.check()
    kind, what, detail = _kind(chart), _items(chart), _DETAILS[chart.kind](chart)
    page = f"{chart.background} background"
    wordings = (
        f'{sentence(a(kind))} titled "{chart.title}", with {what} on a {page}. {sentence(detail[0])}.',
        f"On a {page}, {a(kind)} about {chart.topic.lower()} in {chart.place} shows {what}; {detail[1]}.",
        f'{sentence(what)} in {a(kind)}. Its title is "{chart.title}" '
        f"and its background is {chart.background}. "
        f"{sentence(detail[0])}.",
        f'The {kind} "{chart.title}" has {what}. {sentence(detail[1])}. It is drawn on a {page}.',
    )
    return Description(chart.kind, "What does this chart show?", wordings, _exchanges(chart))


def _kind(chart: Chart) -> str:
    if chart.layout in ("horizontal", "ring"):
        return f"{chart.layout} {chart.kind} chart"
    return "scatter plot" if chart.kind == "scatter" else f"{chart.kind} chart"


def _items(chart: Chart) -> str:
    colours = [series.colour for series in chart.series]
    if chart.kind == "bar":
        return count(chart.items, f"{colours[0]} bar")
    if chart.kind == "pie":
        return f"{count(chart.items, 'slice')} in {listing(colours)}"
    if chart.kind == "line":
        noun = "dotted line" if chart.layout == "dotted" else "line"
        return (
            count(1, f"{colours[0]} {noun}")
            if len(colours) == 1
            else f"{count(len(colours), noun)} in {listing(colours)}"
        )
    return f"{chart.layout} points in {listing(colours)}"


def _bar_detail(chart: Chart) -> tuple[str, str]:
    low, high = _extremes(chart.categories, chart.series[0].values)
    mark = f", in {chart.highlight}," if chart.highlight else ""
    return (
        f"the largest bar{mark} is {high[0]} with {high[1]} and the smallest is {low[0]} with {low[1]}",
        f"the height of the bars {_run(chart.series[0])[0]}"
        if chart.layout == "vertical"
        else f"from top to bottom the length {_run(chart.series[0])[1]}",
    )


def _line_detail(chart: Chart) -> tuple[str, str]:
    first = chart.series[0]
    low, high = _extremes(chart.categories, first.values)
    return (
        listing([f"the {series.colour} line {_run(series)[0]}" for series in chart.series]),
        f"the {first.colour} line {_run(first)[1]}, with a low of {low[1]} in {low[0]} "
        f"and a high of {high[1]} in {high[0]}",
    )


def _pie_detail(chart: Chart) -> tuple[str, str]:
    by_share = sorted(zip(chart.series, chart.categories, strict=True), key=lambda pair: pair[0].values[0])
    (small, small_name), (large, large_name) = by_share[0], by_share[-1]
    return (
        f"the largest slice is {large.colour}: {large_name} with {large.values[0]} percent",
        f"{large_name} in {large.colour} has the largest share, {large.values[0]} percent, "
        f"and {small_name} in {small.colour} only {small.values[0]} percent",
    )


def _scatter_detail(chart: Chart) -> tuple[str, str]:
    trend, total = chart.series[0].trend, sum(len(series.points) for series in chart.series)
    whole = {
        "rising": ("the points rise from left to right", "larger values go with larger values"),
        "falling": ("the points fall from left to right", "larger values go with smaller values"),
        "scattered": ("the points show no trend", "the points are spread all over"),
        "clustered": ("the points of a colour form a cluster", "every colour keeps to its own corner"),
    }[trend]
    return whole[0], f"there are {total} points in all, and {whole[1]}"


def _run(series: Series) -> tuple[str, str]:
    return RUNS[series.trend or trend_of(series.values)]


def _extremes(names: tuple[str, ...], values: tuple[int, ...]) -> tuple[tuple[str, int], tuple[str, int]]:
    pairs = sorted(zip(names, values, strict=True), key=lambda pair: pair[1])
    return pairs[0], pairs[-1]


def _exchanges(chart: Chart) -> tuple[tuple[str, str], ...]:
    noun = NOUNS[chart.kind]
    nouns = "groups of points" if chart.kind == "scatter" else f"{noun}s"
    colours = listing([series.colour for series in chart.series])
    return (
        ("What type of image is this?", "A chart."),
        ("What kind of chart is it?", f"A {chart.kind} {'plot' if chart.kind == 'scatter' else 'chart'}."),
        (f"How many {nouns} are there?", f"{chart.items}."),
        ("What is it about?", f"{chart.title}."),
        (f"What colour are the {nouns}?", f"{sentence(colours)}."),
    )


_DETAILS = {"bar": _bar_detail, "line": _line_detail, "pie": _pie_detail, "scatter": _scatter_detail}
