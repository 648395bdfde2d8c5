"""A score of many pairs from their moments, with null, interval and deletions: the rows are read once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alignbench.errors import DegenerateError
from alignbench.metrics.cells import CELLS
from alignbench.metrics.permuted import ProductMoments
from alignbench.stats.evaluation import Evaluation, interval_of, settings_of
from alignbench.stats.permutation import closed_p
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.metrics.base import Metric
    from alignbench.metrics.samples import PairCells, Sample

# Above this many groups, scores come from moments, or from a part of the groups. The exact third moment of a
# null and the bases without each block would take minutes and gigabytes; and without outliers, the asymptotic
# skewness is within 2% of the exact one.
MANY_ROWS = 5_000
ROWS_A_COLUMN = 2  # with fewer, moments take more memory than the rows, and digits of debiased scores


def streams(metric: Metric, n: int, widest: int = 0) -> bool:
    """Return whether a metric of n groups comes from their moments: for all models of a run or for none.

    Args:
        metric: the metric.
        n: the number of groups.
        widest: the largest number of columns of a model of the run.
    """
    return metric.streamed is not None and n > MANY_ROWS and n >= ROWS_A_COLUMN * widest


def evaluate_streamed(
    metric: Metric,
    cells: PairCells,
    *,
    params: Mapping[str, Any] | None = None,
    codes: NDArray[np.intp] | None = None,
    sampled_null: Callable[[], Null | None] = lambda: None,
    sampled_within: Callable[[], Null | None] = lambda: None,
    null: bool = True,
    interval: bool = True,
) -> Evaluation:
    """Return a metric's value, null, interval, deletions, chance and flags from moments.

    Args:
        metric: one with `streamed`.
        cells: the moments of the pairs; for a metric of one side, of that side.
        params: settings to fix, as in `evaluate`.
        codes: the class of every row, for chance.
        sampled_null: computes the null on some of the rows, for a metric without a formula.
        sampled_within: computes the null within classes on some of the rows, for a metric with a formula.
        null: whether to compute the null.
        interval: whether to compute deletions and the interval.

    Raises:
        InputError: the metric lacks a parameter.
        DegenerateError: the value does not exist.
    """
    assert metric.streamed is not None
    dims = cells.dims[: 2 if metric.two_sided else 1]
    settings = settings_of(metric, cells.n, dims, params or {})

    def value_of(sample: Sample) -> float:
        assert metric.streamed is not None
        return float(metric.streamed(sample, **settings))

    value = value_of(cells.whole)
    flags = list(() if metric.flags is None else metric.flags(value, {}))
    if settings.get("align") == "pca":
        flags.append("separate_bases")
    deletions: tuple[float, ...] = ()
    if interval and metric.interval is not None:
        try:
            parts = CELLS if metric.interval == "jackknife" else CELLS // 2
            deletions = tuple(value_of(sample) for sample in cells.deletions(parts))
            flags += ["conservative"] if metric.interval == "blocks" else []
        except DegenerateError:
            flags.append("no_interval")
    return Evaluation(
        value=value,
        n=cells.n,
        null=_null(metric, cells, value, sampled_null, sampled_within) if null else None,
        interval=interval_of(metric, value, deletions),
        deletions=deletions,
        chance=None if metric.chance is None else float(metric.chance(cells.n, codes, settings)),
        flags=tuple(flags),
        params={**settings, "form": "moments"},
    )


def _null(
    metric: Metric,
    cells: PairCells,
    value: float,
    sampled_null: Callable[[], Null | None],
    sampled_within: Callable[[], Null | None],
) -> Null | None:
    """Return the null over all re-pairings from moments; that of a sample where no formula gives its p."""
    if metric.null is None or metric.null.streamed is None:
        return sampled_null()
    mean, std, within_mean = metric.null.streamed(cells.whole)
    if cells.whole.heavy_tailed:
        drawn = sampled_null()
        if drawn is None:
            return None
        # Mean and std hold for any rows, and those of fewer groups are larger.
        kind, z = f"{drawn.kind}, exact mean and std of all", (value - mean) / std
        return replace(drawn, kind=kind, mean=mean, std=std, z=z, within_mean=within_mean)
    # That no few rows decide is checked above, instead of by the spread of squared terms.
    moments = ProductMoments(mean, std**2, cells.whole.skewness * std**3, spread=0.0)
    kind = "all re-pairings, exact mean and std, p of Pearson III with asymptotic skewness"
    within = sampled_within()
    return Null(
        kind=kind if within is None else f"{kind}; within classes: {within.kind}",
        mean=mean,
        std=std,
        z=(value - mean) / std,
        p=closed_p(value, moments, higher_is_better=metric.higher_is_better),
        within_mean=within_mean,
        within_p=None if within is None else within.p,
        p_kind="closed_form",
        within_kind=None if within is None else within.p_kind,
    )
