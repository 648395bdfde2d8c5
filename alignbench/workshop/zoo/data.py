"""Training drawings: pixels are drawn once into a file, texts are made on demand."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from alignbench.datasets.synthetic import TRAINING_SEED, Description, Synthetic
from alignbench.files import make_folder, write_atomic
from alignbench.zoo.recipes import IMAGE_SIZE

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from numpy.typing import NDArray

CYCLE = ("chart", "table", "document") * 3 + ("shapes",)  # a tenth are scenes of shapes
CHUNK = 250


@dataclass(frozen=True, slots=True)
class Drawings:
    """The training drawings, numbered from 0: number i has type `CYCLE[i % 10]`."""

    seed: int = TRAINING_SEED

    def description(self, number: int) -> Description:
        """Return the description of drawing `number`."""
        return self._source.description(CYCLE[number % len(CYCLE)], number)

    def pixels(self, number: int) -> NDArray[np.uint8]:
        """Return drawing `number` as the processors make it: squashed to 112 x 112 x 3."""
        image = self._source.drawing(CYCLE[number % len(CYCLE)], number).image
        return np.array(image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))

    @property
    def _source(self) -> Synthetic:
        return Synthetic(self.seed, types=(*CYCLE[:3], "shapes"), smooth=1)


def pool(n: int, folder: Path, workers: int = 2) -> NDArray[np.uint8]:
    """Return the pixels [n, 112, 112, 3] of the first `n` training drawings, drawn into a file once."""
    path = folder / f"drawings-{IMAGE_SIZE}-{n}.npy"
    if not path.exists():
        make_folder(folder)
        write_atomic(path, lambda unfinished: _draw(n, unfinished, workers))
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _draw(n: int, path: Path, workers: int) -> None:
    pixels = open_memmap(path, "w+", np.uint8, (n, IMAGE_SIZE, IMAGE_SIZE, 3))
    starts = range(0, n, CHUNK)
    # spawned, not forked, because torch's threads may already be running
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as processes:
        chunks = processes.map(_draw_chunk, [(start, min(n, start + CHUNK)) for start in starts])
        for start, chunk in zip(starts, chunks, strict=True):
            pixels[start : start + len(chunk)] = chunk
    pixels.flush()


def _draw_chunk(bounds: tuple[int, int]) -> NDArray[np.uint8]:
    drawings = Drawings()
    return np.stack([drawings.pixels(number) for number in range(*bounds)])


def batch_numbers(n: int, batch: int, seed: int, step: int, one_type: bool = False) -> NDArray[np.int64]:
    """Return the drawings of a step: `batch` different ones below `n`, determined by `seed` and `step`.

    With `one_type`, all have a single type, so that every other sample of the batch is a near miss.
    """
    rng = np.random.default_rng((seed, step))
    numbers = np.arange(n)
    if one_type:
        data_type = CYCLE[int(rng.integers(3))]
        numbers = numbers[np.asarray(CYCLE)[numbers % len(CYCLE)] == data_type]
    return rng.choice(numbers, min(batch, len(numbers)), replace=False)


def document(description: Description, rng: random.Random) -> str:
    """Return two wordings and the questions with their answers, in random order: an LLM's training text.

    One wording mostly determines the other, so it pays to keep the content in mind.
    """
    wordings = rng.sample(description.wordings, 2)
    exchanges = rng.sample(description.exchanges, 3)
    lines = [*wordings, *(f"Question: {question} Answer: {answer}" for question, answer in exchanges)]
    if rng.random() < 0.3:
        lines = [*lines[2:], *lines[:2]]
    return "\n".join(lines)
