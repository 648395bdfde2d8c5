"""Drawings made to order: charts, tables, documents and shapes, with texts that are true of them.

What is drawn (a frozen spec, from random numbers), how it is drawn, and what is said of it are apart:
`Synthetic(seed).spec("chart", 7)`, `.drawing(...)`, `.description(...)`, and `.dataset(n)` for all together.

`bar_chart`, `table_image`, `document_image` and `shapes_image` draw what they are given.
"""

from __future__ import annotations

from alignbench.datasets.synthetic.canvas import Box, Drawing
from alignbench.datasets.synthetic.kind import Description
from alignbench.datasets.synthetic.own import (
    bar_chart,
    categorized_shapes,
    document_image,
    shapes_image,
    simple_shapes,
    table_image,
)
from alignbench.datasets.synthetic.shapes import SHAPES
from alignbench.datasets.synthetic.source import (
    HELD_OUT_SEED,
    KINDS,
    SAMPLE_DATA_SEED,
    TRAINING_SEED,
    TYPES,
    Synthetic,
    describe,
    draw,
)

__all__ = [
    "HELD_OUT_SEED",
    "KINDS",
    "SAMPLE_DATA_SEED",
    "SHAPES",
    "TRAINING_SEED",
    "TYPES",
    "Box",
    "Description",
    "Drawing",
    "Synthetic",
    "bar_chart",
    "categorized_shapes",
    "describe",
    "document_image",
    "draw",
    "shapes_image",
    "simple_shapes",
    "table_image",
]
