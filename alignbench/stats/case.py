"""A metric with its data and fixed settings, which permutations and deletions vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.metrics.derived import watching

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from alignbench.metrics.base import Metric

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A metric with its data and fixed settings, which permutations and deletions vary."""

    metric: Metric
    x: Matrix
    y: Matrix | None
    labels: NDArray[np.str_] | None
    groups: NDArray[np.str_]
    seed: int
    settings: Mapping[str, Any]

    def take(self, rows: NDArray[np.intp]) -> Case:
        """Return the case with these rows only; settings keep their values."""
        labels = None if self.labels is None else self.labels[rows]
        y = None if self.y is None else self.y[rows]
        return Case(self.metric, self.x[rows], y, labels, self.groups[rows], self.seed, self.settings)

    def watched(self) -> AbstractContextManager[None]:
        """Return a context in which what metrics derive from the two sides is computed once."""
        return watching(self.x, self.y)

    def keywords(self) -> dict[str, Any]:
        """Return what the metric takes beside its two sides."""
        data = {"labels": self.labels, "groups": self.groups, "seed": self.seed}
        return {name: data[name] for name in self.metric.keywords} | dict(self.settings)

    def score(self, y: Matrix | None = None) -> float:
        """Return the metric's value, with `y` in place of its own second side."""
        other = self.labels if self.metric.kind == "labelled" else (self.y if y is None else y)
        return self.metric(self.x, other, **self.keywords())

    def drawn(self, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the scores of x against y[p] for each permutation p."""
        assert self.y is not None
        draw = None if self.metric.null is None else self.metric.null.draw
        if draw is not None:
            return draw(self.x, self.y, permutations, **self.keywords())
        return np.asarray([self.score(self.y[p]) for p in permutations])

    def codes(self) -> NDArray[np.intp] | None:
        """Return the class number of each row; None without labels."""
        return None if self.labels is None else codes_of(self.labels)
