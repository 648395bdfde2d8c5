"""The matrix of a metric of two sides between all models of a dictionary, with names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class PairwiseScores:
    """`values[i, j]` is the metric of model `names[i]` (as x) and `names[j]` (as y)."""

    metric: str
    names: tuple[str, ...]
    values: NDArray[np.float64]

    def between(self, x: str, y: str) -> float:
        """Return the score of the models called `x` and `y`."""
        return float(self.values[self.names.index(x), self.names.index(y)])


def pairwise(
    embeddings: Mapping[str, ArrayLike], metric: str | Metric = "debiased_cka", **keywords: Any
) -> PairwiseScores:
    """Return the metric between all models, including each with itself.

    Args:
        embeddings: name -> [n, d]; all are of the same samples in the same order.
        metric: a metric of two sides, or its name.
        keywords: further arguments of the metric (`labels`, `groups`, `k`, ...).

    Raises:
        InputError: the metric is of one side, or the input is bad.
        DegenerateError: a value does not exist.
    """
    chosen = METRICS.get(metric)
    if not chosen.two_sided:
        raise InputError(f"pairwise: expected a metric of two sides, got {chosen.name} ({chosen.kind})")
    names = tuple(embeddings)
    values = np.empty((len(names), len(names)))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if chosen.symmetric and j < i:
                values[i, j] = values[j, i]
            else:
                values[i, j] = chosen(embeddings[a], embeddings[b], **keywords)
    return PairwiseScores(chosen.name, names, values)
