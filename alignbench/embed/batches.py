"""Batches for a model: images prepared by threads in advance, texts sorted by length within a budget."""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.cores import available_cores
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL.Image import Image

    from alignbench.datasets import Sample

# Beside a model on a CPU, more threads would only take the cores from it.
_THREADS_BESIDE_A_CPU, _THREADS_BESIDE_A_GPU = 4, 16
# The cost of a batch of texts besides its tokens, in tokens. On a CPU, it is reading the weights: 15 to 40
# tokens (measured, 135M parameters). On a GPU, it is launching kernels: some hundred tokens for a model of
# 7e9 parameters, thousands for a small one (estimated).
_CPU_OVERHEAD, _GPU_OVERHEAD = 32, 256


class UnusableImagesError(DataError):
    """Images can't be decoded, or have changed since they were checked.

    Args:
        refused: (sample, why) of each.
    """

    def __init__(self, refused: Sequence[tuple[str, str]]) -> None:
        (first, why), *others = refused
        message = f"sample {first!r}: {why}"
        if others:
            names = ", ".join(repr(name) for name, _ in others[:9]) + (", ..." if len(others) > 9 else "")
            message += f"; and {len(others)} more that can't be used: {names}"
        super().__init__(message)
        self.refused = tuple(refused)

    def __reduce__(self) -> tuple[type[UnusableImagesError], tuple[Sequence[tuple[str, str]]]]:
        return type(self), (self.refused,)


def image_batches(
    samples: Sequence[Sample],
    prepare: Callable[[Image], Any],
    batch_size: int,
    stage: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
    *,
    threads: int = 4,
) -> Iterator[tuple[list[int], Sequence[Any]]]:
    """Yield (positions, prepared images) in order; threads make a batch while the one before is used.

    Images that can't be used are skipped, and named all together at the end, so that a user with five of them
    in 100,000 need not find them in five runs.

    Args:
        samples: their images.
        prepare: makes an image the model's input.
        batch_size: the number of images of a batch.
        stage: brings a batch to the model's device; None leaves it a list.
        threads: how many threads decode and prepare.

    Raises:
        UnusableImagesError: images can't be decoded, or have changed since they were checked.
    """
    refused: list[tuple[str, str]] = []
    with (
        ThreadPoolExecutor(1, thread_name_prefix="alignbench-stage") as stager,
        ThreadPoolExecutor(threads, thread_name_prefix="alignbench-decode") as pool,
    ):

        def begin(start: int) -> Future[_Batch]:
            part = samples[start : start + batch_size]
            return stager.submit(
                _collected, [pool.submit(_prepared, of, prepare) for of in part], start, stage
            )

        starts = iter(range(0, len(samples), batch_size))
        ahead = deque(map(begin, itertools.islice(starts, 1)))
        try:
            while ahead:
                ahead.extend(map(begin, itertools.islice(starts, 1)))
                batch = ahead.popleft().result()
                refused += [(samples[position].id, why) for position, why in batch.refused]
                if batch.positions:
                    yield batch.positions, batch.inputs
        finally:
            pool.shutdown(cancel_futures=True)
    if refused:
        raise UnusableImagesError(refused)


def threads_of(device: str) -> int:
    """Return how many threads prepare images for a model on a device ("cpu", "cuda:0", ...)."""
    most = _THREADS_BESIDE_A_GPU if device.startswith("cuda") else _THREADS_BESIDE_A_CPU
    return min(most, available_cores())


def overhead_of(device: str) -> int:
    """Return the cost of a batch on a device ("cpu", "cuda:0", ...) besides its tokens, in tokens."""
    return _CPU_OVERHEAD if device == "cpu" else _GPU_OVERHEAD


def text_batches(
    lengths: Sequence[int], max_tokens: int, max_rows: int = 256, *, overhead: int = _CPU_OVERHEAD
) -> Iterator[list[int]]:
    """Yield positions, longest texts first, such that a batch padded to its longest has at most `max_tokens`.

    Of all ways to cut the sorted texts into such batches, this is the cheapest, where a batch costs its
    tokens, including padding, plus `overhead`: small batches have little padding, large ones little overhead.

    The longest come first, so that a shortage of memory shows at once. A text above the budget goes alone.

    Args:
        lengths: the lengths of the texts, in tokens.
        max_tokens: the budget of a batch.
        max_rows: the largest number of texts in a batch.
        overhead: the cost of a batch besides its tokens, in tokens.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    ends = _cheapest_ends([lengths[i] for i in order], max_tokens, max_rows, overhead)
    for start, end in itertools.pairwise([0, *ends]):
        yield order[start:end]


def _cheapest_ends(lengths: Sequence[int], max_tokens: int, max_rows: int, overhead: int) -> list[int]:
    """Return where the batches of texts sorted by falling length end, by dynamic programming."""
    n = len(lengths)
    # The least cost of the first i texts, and the start of the last batch in that solution.
    least, start = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=np.intp)
    least[0] = 0
    for i, longest in enumerate(lengths):
        rows = max(1, min(n - i, max_rows, max_tokens // longest if longest else max_rows))
        cost = least[i] + overhead + longest * np.arange(1, rows + 1)
        ends = slice(i + 1, i + 1 + rows)
        # Of solutions with the same cost, the one with its largest batches first.
        start[ends] = np.where(cost <= least[ends], i, start[ends])
        least[ends] = np.minimum(cost, least[ends])
    ends_backwards = []
    end = n
    while end:
        ends_backwards.append(end)
        end = int(start[end])
    return ends_backwards[::-1]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch that is ready: the positions of its images, the model's input, and what can't be used."""

    positions: list[int]
    inputs: Sequence[Any]
    refused: list[tuple[int, str]]


def _collected(
    images: Sequence[Future[Any]], start: int, stage: Callable[[Sequence[Any]], Sequence[Any]] | None
) -> _Batch:
    ready: dict[int, Any] = {}
    refused = []
    for position, image in enumerate(images, start):
        try:
            ready[position] = image.result()
        except DataError as error:
            refused.append((position, str(error)))
    inputs = list(ready.values())
    return _Batch(list(ready), stage(inputs) if stage is not None and inputs else inputs, refused)


def _prepared(sample: Sample, prepare: Callable[[Image], Any]) -> Any:
    return prepare(sample.open_image())
