"""Batches for a model: images made ready by threads ahead of it, texts sorted by length under a budget."""

from __future__ import annotations

import itertools
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL.Image import Image

    from alignbench.datasets import Sample

_WORKERS = min(4, os.cpu_count() or 1)
_BATCHES_AHEAD = 2
# What a batch of texts costs beside its tokens, in tokens. On a CPU it is reading the weights: 15 to 40
# tokens (measured, 135M parameters). On a GPU it is launching kernels: some hundred tokens of a model of 7e9
# parameters, thousands of a small one (estimated).
_CPU_OVERHEAD, _GPU_OVERHEAD = 32, 256


def image_batches(
    samples: Sequence[Sample], prepare: Callable[[Image], Any], batch_size: int
) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield (positions, prepared images) in order, decoded and prepared in threads at most two batches ahead.

    Images that can't be used are passed over, and named all together at the end: who has five of them in
    100,000 need not find them by five runs.

    Raises:
        DataError: images can't be decoded, or are others than when they were looked at.
    """
    todo = iter(samples)
    ahead: deque[Future[Any]] = deque()
    refused: list[tuple[str, DataError]] = []
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="alignbench-decode") as pool:
        try:
            for start in range(0, len(samples), batch_size):
                for sample in itertools.islice(todo, _BATCHES_AHEAD * batch_size - len(ahead)):
                    ahead.append(pool.submit(_prepared, sample, prepare))
                ready: dict[int, Any] = {}
                for position in range(start, min(start + batch_size, len(samples))):
                    try:
                        ready[position] = ahead.popleft().result()
                    except DataError as error:
                        refused.append((samples[position].id, error))
                if ready:
                    yield list(ready), list(ready.values())
        finally:
            pool.shutdown(cancel_futures=True)
    if refused:
        raise _together(refused) from refused[0][1]


def _together(refused: Sequence[tuple[str, DataError]]) -> DataError:
    (first, error), *others = refused
    message = f"sample {first!r}: {error}"
    if others:
        names = ", ".join(repr(name) for name, _ in others[:9]) + (", ..." if len(others) > 9 else "")
        message += f"; and {len(others)} more that can't be used: {names}"
    return DataError(message)


def overhead_of(device: str) -> int:
    """Return what a batch costs on a device ("cpu", "cuda:0", ...) beside its tokens, in tokens."""
    return _CPU_OVERHEAD if device == "cpu" else _GPU_OVERHEAD


def text_batches(
    lengths: Sequence[int], max_tokens: int, max_rows: int = 256, *, overhead: int = _CPU_OVERHEAD
) -> Iterator[list[int]]:
    """Yield positions, longest texts first, so that a batch padded to its longest has at most `max_tokens`.

    Of all ways to cut the sorted texts into such batches it is the cheapest one, where a batch costs its
    tokens, padding included, and `overhead`: many small batches pad little, few large ones start seldom.

    The longest come first: where memory is short, it shows at once. A text above the budget goes alone.

    Args:
        lengths: of the texts, in tokens.
        max_tokens: the budget of a batch.
        max_rows: the most texts of a batch.
        overhead: what a batch costs beside its tokens, in tokens.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    ends = _cheapest_ends([lengths[i] for i in order], max_tokens, max_rows, overhead)
    for start, end in itertools.pairwise([0, *ends]):
        yield order[start:end]


def _cheapest_ends(lengths: Sequence[int], max_tokens: int, max_rows: int, overhead: int) -> list[int]:
    """Return where the batches of texts sorted by falling length end, by dynamic programming."""
    n = len(lengths)
    # The least cost of the first i texts, and where the last batch of that way starts.
    least, start = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=np.intp)
    least[0] = 0
    for i, longest in enumerate(lengths):
        rows = max(1, min(n - i, max_rows, max_tokens // longest if longest else max_rows))
        cost = least[i] + overhead + longest * np.arange(1, rows + 1)
        ends = slice(i + 1, i + 1 + rows)
        # Of ways that cost the same, the one with its largest batches first.
        start[ends] = np.where(cost <= least[ends], i, start[ends])
        least[ends] = np.minimum(cost, least[ends])
    ends_backwards = []
    end = n
    while end:
        ends_backwards.append(end)
        end = int(start[end])
    return ends_backwards[::-1]


def _prepared(sample: Sample, prepare: Callable[[Image], Any]) -> Any:
    return prepare(sample.open_image())
