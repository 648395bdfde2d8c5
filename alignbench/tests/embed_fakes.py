"""Models without weights for tests of the cache: what they do is counted, and what they give is known."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets import Dataset, Sample, with_groups
from alignbench.errors import ModelError
from alignbench.tests.data_files import png
from alignbench.types import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from alignbench.embed import EmbeddingStore

    Vectors = NDArray[np.float32]


@dataclass
class FakeEncoder:
    """Gives an image's first pixel and size; counts loads, rows and prepared images."""

    name: str = "fake"
    revision: str = "1"
    l2: bool = False
    loads: int = 0
    unloads: int = 0
    batches: list[int] = field(default_factory=list)
    prepared: int = 0
    threads: set[str] = field(default_factory=set)
    most_ahead: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, "vision", "other", "fake", "random", params={"l2": self.l2})

    @property
    def rows(self) -> int:
        return sum(self.batches)

    def effective_dtype(self, device: str, dtype: str) -> str:
        return "float32" if dtype == "auto" else dtype

    def fingerprint(self) -> dict[str, Any]:
        return {"source": "fake", "revision": self.revision}

    def load(self, device: str, dtype: str) -> None:
        self.loads += 1

    def unload(self) -> None:
        self.unloads += 1

    def preprocess(self, image: Image) -> list[int]:
        if self.loads == self.unloads:
            raise ModelError("not loaded")
        with self._lock:
            self.prepared += 1
            self.threads.add(threading.current_thread().name)
            self.most_ahead = max(self.most_ahead, self.prepared - self.rows)
        return features(image)

    def forward(self, batch: Sequence[list[int]]) -> Vectors:
        self.batches.append(len(batch))
        return np.array(batch, dtype=np.float32)


@dataclass
class FakeLLM:
    """Gives a text's length and the sum of its characters; counts loads and batches."""

    name: str = "fake-llm"
    loads: int = 0
    unloads: int = 0
    batches: list[list[int]] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, "text", "other", "fake", "random", params={"l2": False})

    @property
    def rows(self) -> int:
        return sum(map(len, self.batches))

    def fingerprint(self) -> dict[str, Any]:
        return {"source": self.name, "preprocessing": "characters"}

    def load(self, device: str, dtype: str) -> None:
        self.loads += 1

    def unload(self) -> None:
        self.unloads += 1

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[ord(character) for character in text] for text in texts]

    def forward(self, batch: Sequence[Sequence[int]]) -> Vectors:
        self.batches.append([len(tokens) for tokens in batch])
        return np.array([[len(tokens), sum(tokens)] for tokens in batch], dtype=np.float32)


class OnlyEmbed:
    """The least that a third party gives."""

    name = "theirs"

    def __init__(self) -> None:
        self.rows = 0

    def embed(self, items: Sequence[Any]) -> list[list[float]]:
        self.rows += len(items)
        return [[3.0, 4.0] if isinstance(item, str) else [float(v) for v in features(item)] for item in items]


class Watched:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def start(self, total: int, what: str) -> None:
        self.events.append(("start", total, what))

    def advance(self, n: int) -> None:
        self.events.append(n)

    def close(self) -> None:
        self.events.append("close")


def drawings(n: int, *, start: int = 0) -> Dataset:
    """`n` different one-colored images with texts of different lengths."""
    samples = [
        Sample(
            f"s{i}", png((i % 256, i // 256, 1), (4 + i % 5, 6)), (f"text {i} " + "x" * (i % 11),), "chart"
        )
        for i in range(start, start + n)
    ]
    return Dataset("drawings", with_groups(samples), "made up")


def features(image: Image) -> list[int]:
    red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
    return [red, green, blue, *image.size]


def expected_images(dataset: Dataset) -> Vectors:
    return np.array([features(sample.open_image()) for sample in dataset.samples], dtype=np.float32)


def expected_texts(dataset: Dataset) -> Vectors:
    texts = [sample.text for sample in dataset.samples]
    return np.array([[len(text), sum(map(ord, text))] for text in texts], dtype=np.float32)


def shards(store: EmbeddingStore) -> list[Path]:
    """Return the files of vectors in a store."""
    return sorted(store.root.rglob("[!.]*.safetensors"))  # no temporaries
