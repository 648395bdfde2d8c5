"""What the steps of `gpu` share: models that are written once, inputs, and vectors of the CPU."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.workshop.measure import _embed_inputs as inputs
from alignbench.workshop.measure._embed_contenders import PinnedModel
from alignbench.workshop.measure._gpu_models import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.weights.protocols import ImageModel, Model, TextModel
    from alignbench.workshop.measure._gpu_models import Handle, Published

    Loaded: TypeAlias = Any  # a `PinnedModel`, which hands on what its handle has
    Vectors = NDArray[np.float32]


@dataclass
class Lab:
    """The place of a measurement.

    Args:
        place: an empty folder.
        device: the device that is measured.
        small: whether models have few layers of little width, and inputs are few.
    """

    place: Path
    device: str
    small: bool
    _references: dict[str, Vectors] = field(default_factory=dict)
    _files: list[Path] = field(default_factory=list)

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a CUDA GPU."""
        return self.device.startswith("cuda")

    @property
    def shapes(self) -> dict[str, Published]:
        """The models by name."""
        return {of.name: of.small() if self.small else of for of in SHAPES}

    def handle(self, name: str, **options: Any) -> Handle:
        """Return a model, which is written at first use, not yet loaded."""
        shape, folder = self.shapes[name], self.place / name
        if not folder.is_dir():
            shape.write(folder, self.device)
        return shape.handle(folder, **options)

    def count(self, full: int, small: int) -> int:
        """Return a number of inputs: `full`, or `small` for small models."""
        return small if self.small else full

    def photos(self, n: int) -> Dataset:
        """Return `n` image files."""
        if len(self._files) < n:
            self._files = inputs.photos(n, self.place / "photos")
        return inputs.dataset(self._files[:n])

    def embedded(
        self, model: Model, items: Any, dtype: str, device: str | None = None, **options: Any
    ) -> Vectors:
        """Return a model's vectors of images or texts, computed anew."""
        embedder = Embedder(EmbeddingStore(), device or self.device, dtype, **options)
        if getattr(model, "side", "") == "text":
            return embedder.texts(cast("TextModel", model), items).values
        return embedder.images(cast("ImageModel", model), items).values

    def items(self, name: str) -> Any:
        """Return the few inputs of a model for which the CPU computes the vectors, too."""
        n = self.count(8, 6)
        return inputs.texts(2 * n) if self.shapes[name].side == "text" else self.photos(n)

    def reference(self, name: str) -> Vectors:
        """Return the vectors of `items(name)` that the CPU computes in float32."""
        if name not in self._references:
            self._references[name] = self.embedded(self.handle(name), self.items(name), "float32", "cpu")
        return self._references[name]

    @contextmanager
    def loaded(
        self, name: str, dtype: str = "auto", kind: Callable[[Handle, str, str], Loaded] | None = None
    ) -> Iterator[Loaded]:
        """Keep a model on the device: a `PinnedModel`, or what `kind` makes of (model, device, dtype)."""
        handle = self.handle(name)
        try:
            yield (kind or PinnedModel)(handle, self.device, dtype)
        finally:
            handle.unload()


def smallest_cosine(a: Vectors, b: Vectors) -> float:
    """Return the smallest cosine between rows [n, d] after centring each side.

    Centring takes away what all rows have in common, in which any two models of one shape would agree.
    """
    x, y = (values.astype(np.float64) - values.mean(axis=0, dtype=np.float64) for values in (a, b))
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return float(np.min((x * y).sum(axis=1) / lengths))
