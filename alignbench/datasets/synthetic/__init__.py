"""Synthetic drawings: charts, tables, documents and shapes, with texts that describe them truthfully.

The content (a frozen spec, from random numbers), the drawing and the description are separate steps:
`Synthetic(seed).spec("chart", 7)`, `.drawing(...)`, `.description(...)`, and `.dataset(n)` for all of them.

`bar_chart`, `table_image`, `document_image` and `shapes_image` draw the content that you pass.
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
