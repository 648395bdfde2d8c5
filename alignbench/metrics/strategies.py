"""Hypothesis strategies for hostile inputs of metrics; only this module here imports hypothesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alignbench.metrics.properties import MetricInput
from alignbench.rows import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.metrics.base import Metric

    Matrix = NDArray[np.float64]

MAX_EXTRA_ROWS, MAX_WIDTH = 12, 7


def _gaussian(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return rng.normal(size=(n, d))


def _offset(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return rng.normal(size=(n, d)) + 1e3


def _low_rank(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return rng.normal(size=(n, 1)) @ rng.normal(size=(1, d))


def _grid(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return rng.integers(-2, 3, size=(n, d)).astype(np.float64)


def _duplicates(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return rng.normal(size=(3, d))[rng.integers(3, size=n)]


def _one_hot(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return np.eye(d)[rng.integers(d, size=n)]


def _outlier(rng: np.random.Generator, n: int, d: int) -> Matrix:
    x = rng.normal(size=(n, d))
    x[0] *= 1e4
    return x


def _constant_columns(rng: np.random.Generator, n: int, d: int) -> Matrix:
    x = rng.normal(size=(n, d))
    x[:, 1:] = 0.1
    return x


def _unit_rows(rng: np.random.Generator, n: int, d: int) -> Matrix:
    return unit_rows(rng.normal(size=(n, d)))


BUILDERS: dict[str, Callable[[np.random.Generator, int, int], Matrix]] = {
    "gaussian": _gaussian,
    "offset": _offset,
    "low_rank": _low_rank,
    "grid": _grid,
    "duplicates": _duplicates,
    "one_hot": _one_hot,
    "outlier": _outlier,
    "constant_columns": _constant_columns,
    "unit_rows": _unit_rows,
}


@st.composite
def matrices(draw: st.DrawFn, n: int, d: int) -> Matrix:
    """Return matrices [n, d] of every kind that breaks metrics: ties, offsets, outliers, any numbers."""
    kind = draw(st.sampled_from(("entries", *BUILDERS)))
    if kind == "entries":
        numbers = st.integers(-1000, 1000).map(lambda number: number / 8)
        return draw(hnp.arrays(np.float64, (n, d), elements=numbers))
    return BUILDERS[kind](np.random.default_rng(draw(st.integers(0, 2**32 - 1))), n, d)


@st.composite
def cases(draw: st.DrawFn, metric: Metric) -> MetricInput:
    """Return inputs that the metric is defined for: two sides, and labels with at least two of each class."""
    n = draw(st.integers(max(metric.min_n, 4), max(metric.min_n, 4) + MAX_EXTRA_ROWS))
    dx = draw(st.integers(1, MAX_WIDTH))
    dy = dx if metric.same_width else draw(st.integers(1, MAX_WIDTH))
    classes = draw(st.integers(2, max(2, n // 3)))
    labels = np.arange(n) % classes
    return MetricInput.of(draw(matrices(n, dx)), draw(matrices(n, dy)), labels)


def try_cases(metric: Metric, count: int, check: Callable[[MetricInput], object]) -> None:
    """Check at most `count` of the metric's inputs, the same ones every time.

    Raises:
        Exception: what `check` raised for the smallest input on which Hypothesis finds it to fail.
    """

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(metric))
    def run(case: MetricInput) -> None:
        check(case)

    run()


def examples(metric: Metric, count: int) -> list[MetricInput]:
    """Return the inputs that `try_cases` tries, cached because drawing takes longer than checking."""
    drawn: list[MetricInput] = []
    try_cases(metric, count, drawn.append)
    return drawn
