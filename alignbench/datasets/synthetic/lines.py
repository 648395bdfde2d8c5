"""Line charts whose texts name the number of lines and their colours: only the image tells them."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import Dataset, Sample
from alignbench.datasets.roots import DRAWN
from alignbench.datasets.synthetic.charts import LAYOUTS, imagine_chart
from alignbench.datasets.synthetic.source import draw, png
from alignbench.datasets.synthetic.words import COLOURS, count, listing, sentence

if TYPE_CHECKING:
    from alignbench.datasets.synthetic.charts import Chart

DATA_TYPE = "chart"
COMBINATIONS = tuple(
    (layout, colours)
    for layout in LAYOUTS["line"]
    for number in (2, 3)
    for colours in itertools.combinations(tuple(COLOURS), number)
)
"""36 choices of two and 84 of three of the nine colours in the order of `COLOURS`, plain and dotted."""


def line_charts(n: int, seed: int) -> Dataset:
    """Return `n` line charts, each with another combination of number, layout and colours.

    A combination is a group, so one that is held out has not been trained on. Title, page and values are
    drawn at random, and no text tells them. The words are those of the built-in LLMs' training.

    Args:
        n: the number of charts; from the 241st on, combinations recur in other charts.
        seed: selects the charts and the order of the combinations.
    """
    order = random.Random(f"{seed}/combinations").sample(COMBINATIONS, len(COMBINATIONS))
    samples = [_sample(seed, index, *order[index % len(order)]) for index in range(n)]
    return Dataset(f"synthetic-lines-{seed}", tuple(samples), f"{DRAWN}, line charts, seed {seed}")


def _sample(seed: int, index: int, layout: str, colours: tuple[str, ...]) -> Sample:
    chart = _chart(random.Random(f"{seed}/lines/{index}"), layout, colours)
    noun, named = "dotted line" if layout == "dotted" else "line", listing(colours)
    text = f"{sentence(count(len(colours), noun))} in {named} in a line chart."
    return Sample(
        f"lines-{seed}-{index}",
        png(draw(DATA_TYPE, chart).image),
        (text,),
        DATA_TYPE,
        group=text,
        question="What does this chart show?",
        exchanges=(
            ("How many lines are there?", f"{len(colours)}."),
            ("What colour are the lines?", f"{sentence(named)}."),
        ),
    )


def _chart(rng: random.Random, layout: str, colours: tuple[str, ...]) -> Chart:
    """Return the first line chart of a stream with as many lines in this layout, in these colours."""
    while True:
        chart = imagine_chart(rng)
        if (chart.kind, chart.layout, len(chart.series)) == ("line", layout, len(colours)):
            series = zip(chart.series, colours, strict=True)
            return replace(chart, series=tuple(replace(line, colour=colour) for line, colour in series))
