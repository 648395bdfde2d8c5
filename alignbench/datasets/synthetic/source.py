"""`Synthetic`: a dataset of drawings of any size, without files."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from alignbench.datasets.dataset import Dataset, Sample, with_groups
from alignbench.datasets.roots import DRAWN
from alignbench.datasets.synthetic.canvas import Canvas, Drawing
from alignbench.datasets.synthetic.chart_drawing import paint_chart
from alignbench.datasets.synthetic.chart_text import describe_chart
from alignbench.datasets.synthetic.charts import imagine_chart
from alignbench.datasets.synthetic.documents import describe_document, imagine_document, paint_document
from alignbench.datasets.synthetic.kind import Description, Kind
from alignbench.datasets.synthetic.other import OTHER
from alignbench.datasets.synthetic.other.words import BACKGROUNDS as OTHER_BACKGROUNDS
from alignbench.datasets.synthetic.shapes import SCENES
from alignbench.datasets.synthetic.tables import describe_table, imagine_table, paint_table
from alignbench.datasets.synthetic.words import BACKGROUNDS, NameTable
from alignbench.errors import InputError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.datasets.synthetic.kind import DrawingSpec

KINDS: dict[str, Kind[Any]] = {
    "chart": Kind(imagine_chart, paint_chart, describe_chart),
    "table": Kind(imagine_table, paint_table, describe_table),
    "document": Kind(imagine_document, paint_document, describe_document),
    **SCENES,
}
TYPES = ("chart", "table", "document")
FAMILIES: dict[str, dict[str, Kind[Any]]] = {"first": KINDS, "other": OTHER}
_PAGES = NameTable("page colour", {**BACKGROUNDS, **OTHER_BACKGROUNDS})

PAGE = 448  # the longer side of a page in its own units
SIDES = range(16, 4097)
# A seed is an endless stream of drawings of every type; these three streams are never used for each other.
SAMPLE_DATA_SEED, HELD_OUT_SEED, TRAINING_SEED = 1, 2, 3


@dataclass(frozen=True)
class Synthetic:
    """Drawings of `types`, determined by `seed`: the i-th of a type is the same whatever else is requested.

    Args:
        seed: selects the stream of drawings.
        types: names of `KINDS`: "chart", "table", "document", "shapes" (scenes of one to four), or a shape's
            name (one shape per drawing: the type is the category).
        size: the longer side in pixels.
        smooth: draw this many times larger, then average, for smoother edges at lower speed.
        family: "first", or "other": charts, tables and documents with other layouts, fonts, colours, topics
            and wordings, which no built-in model has seen.

    Raises:
        InputError: a parameter is out of range.
        UnknownNameError: there is no such family, or it lacks a type.
    """

    seed: int = 0
    types: Sequence[str] = TYPES
    size: int = PAGE
    smooth: int = 2
    family: str = "first"

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", (self.types,) if isinstance(self.types, str) else tuple(self.types))
        _check_whole("seed", self.seed, 0)
        _check_whole("size", self.size, SIDES.start, SIDES.stop - 1)
        _check_whole("smooth", self.smooth, 1, 4)
        if not self.types or len(set(self.types)) != len(self.types):
            raise InputError(f"types: expected different names of {', '.join(KINDS)}; got {self.types}")
        for name in self.types:
            _kind(name, self.family)

    def spec(self, data_type: str, index: int) -> DrawingSpec:
        """Return the content of the `index`-th drawing of `data_type`."""
        _check_whole("index", index, 0)
        # seeded by text: Python guarantees this stream across versions and machines
        place = f"{self.seed}/{data_type}/{index}"
        place = place if self.family == "first" else f"{self.family}/{place}"
        spec: DrawingSpec = FAMILIES[self.family][data_type].imagine(random.Random(place))
        return spec

    def drawing(self, data_type: str, index: int) -> Drawing:
        """Return the `index`-th drawing of `data_type` with the boxes of its objects."""
        return draw(data_type, self.spec(data_type, index), self.size, self.smooth, family=self.family)

    def description(self, data_type: str, index: int) -> Description:
        """Return the description of the `index`-th drawing of `data_type`."""
        return describe(data_type, self.spec(data_type, index), family=self.family)

    def sample(self, data_type: str, index: int) -> Sample:
        """Return the `index`-th drawing of `data_type` as an ungrouped sample with PNG bytes."""
        said = self.description(data_type, index)
        return Sample(
            id=f"{self._prefix}{data_type}-{self.seed}-{index}",
            image=png(self.drawing(data_type, index).image),
            texts=said.wordings,
            data_type=data_type,
            question=said.question,
            exchanges=said.exchanges,
        )

    def dataset(self, n_per_type: int = 30) -> Dataset:
        """Return the first `n_per_type` drawings of every type.

        Raises:
            InputError: `n_per_type` is not a positive whole number.
        """
        _check_whole("n_per_type", n_per_type, 1)
        samples = [self.sample(name, i) for name in self.types for i in range(n_per_type)]
        name = f"synthetic-{self._prefix}{self.seed}"
        which = "" if self.family == "first" else f"family {self.family}, "
        return Dataset(name, with_groups(samples), f"{DRAWN}, {which}seed {self.seed}")

    @property
    def _prefix(self) -> str:
        return "" if self.family == "first" else f"{self.family}-"


def draw(
    data_type: str, spec: DrawingSpec, size: int = PAGE, smooth: int = 2, *, family: str = "first"
) -> Drawing:
    """Return `spec` drawn with its longer side `size` pixels long."""
    kind = _kind(data_type, family)
    scale = size / max(spec.size)
    canvas = Canvas(spec.size, _PAGES[spec.background].fill, scale * smooth)
    boxes = kind.paint(spec, canvas)
    return Drawing(canvas.smoothed(smooth), tuple(box.scaled(scale) for box in boxes))


def describe(data_type: str, spec: DrawingSpec, *, family: str = "first") -> Description:
    """Return the description of `spec`."""
    return _kind(data_type, family).describe(spec)


def _kind(data_type: str, family: str) -> Kind[Any]:
    if family not in FAMILIES:
        raise UnknownNameError(unknown("family of drawings", family, FAMILIES))
    if data_type not in FAMILIES[family]:
        raise UnknownNameError(unknown("type of drawing", data_type, FAMILIES[family]))
    return FAMILIES[family][data_type]


def png(image: Image.Image) -> bytes:
    """Return `image` as a PNG of 64 colours, enough for drawings and a quarter of the bytes."""
    buffer = io.BytesIO()
    image.quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    fits = (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= low
        and (high is None or value <= high)
    )
    if not fits:
        upper = f" to {high}" if high is not None else " or more"
        raise InputError(f"{name}: expected a whole number, {low}{upper}; got {value!r}")
