"""What there is in a data set, counted for a look before a run."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.datasets.dataset import Dataset, DroppedRow, Sample

_PARTICULAR = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d[\d,.]*")


@dataclass(frozen=True)
class Survey:
    """Counts of a data set.

    Args:
        types: type -> the number of its samples, in order of first appearance.
        texts: the least, median and largest number of texts that a sample has.
        copied_images: the samples whose image is, byte for byte, that of an earlier sample.
        copied_texts: the samples whose paired text is that of an earlier sample, but for case and spaces.
        unusable: the kinds of reasons why rows can't be used, the most frequent first: their rows.
    """

    types: dict[str, int]
    texts: tuple[int, float, int]
    copied_images: int
    copied_texts: int
    unusable: tuple[tuple[DroppedRow, ...], ...]


def survey(dataset: Dataset) -> Survey:
    """Return the counts of a data set that has samples."""
    counts = [len(sample.texts) for sample in dataset.samples]
    return Survey(
        types=dict(Counter(dataset.labels)),
        texts=(min(counts), statistics.median(counts), max(counts)),
        copied_images=_again(sample.image_digest for sample in dataset.samples),
        copied_texts=_again(normalised(sample.text) for sample in dataset.samples if sample.texts),
        unusable=_by_reason(dataset.dropped),
    )


def across_types(samples: Iterable[Sample], most: int) -> list[Sample]:
    """Return at most `most` samples of as many types as possible: the first of each, then the second, ..."""
    queues: dict[str, list[Sample]] = {}
    for sample in samples:
        queues.setdefault(sample.data_type, []).append(sample)
    longest = max(map(len, queues.values()), default=0)
    return [queue[i] for i in range(longest) for queue in queues.values() if i < len(queue)][:most]


def _again(values: Iterable[str]) -> int:
    counts = Counter(values)
    return counts.total() - len(counts)


def _by_reason(dropped: Sequence[DroppedRow]) -> tuple[tuple[DroppedRow, ...], ...]:
    """Return rows together whose reasons differ only in names and numbers."""
    kinds: dict[str, list[DroppedRow]] = {}
    for row in dropped:
        kinds.setdefault(_PARTICULAR.sub("", row.reason), []).append(row)
    return tuple(sorted(map(tuple, kinds.values()), key=len, reverse=True))
