"""What a score of very many rows needs that is estimated from some of them, the queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.metrics.lists import Known, Rows

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Asked:
    """A pair of which some rows are asked.

    Args:
        x: vision side [m, dx], which may be memory-mapped.
        rows: the n rows of x and y that there are, ascending.
        queries: which of these rows are asked, as positions among them, ascending [q].
        settings: the metric's settings.
        labels: the class of each of the n rows, for a metric that needs it.
        groups: the group of each of the n rows.
        seed: the seed of everything random.
        known: (side, how rows are compared, k) -> the lists of neighbours of that side among the n rows.
    """

    x: NDArray[np.floating]
    rows: Indices
    queries: Indices
    settings: Mapping[str, Any]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    seed: int
    known: Callable[[Literal["x", "y"], type[Rows], int], Known]

    @property
    def n(self) -> int:
        """The number of rows that there are."""
        return len(self.rows)


def mean_of(terms: Matrix) -> float:
    """Return the mean of one term over the queries [q, 1]."""
    return float(terms.mean())


@dataclass(frozen=True, slots=True)
class Answers:
    """What the queries contribute to the score, also of re-paired rows.

    Args:
        terms: (partner [n]) -> the terms of each query [q, t] if row i of x gets row partner[i] of y.
        score: (terms of the queries, or of some of them) -> the score.
        strata: the part of each row that re-pairing has to keep it in, beside being a query or none, so that
            only neighbours that are known are needed [n]; None if there is no further part.
        parts: the named parts of the score.
    """

    terms: Callable[[Indices], Matrix]
    score: Callable[[Matrix], float] = mean_of
    strata: Indices | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queried:
    """How a score is estimated from some of very many rows.

    Args:
        ask: (the pair and its queries) -> what the queries contribute.
        further: whether it needs the neighbours of the queries' neighbours, so that fewer rows are asked.
    """

    ask: Callable[[Asked], Answers]
    further: bool = False
