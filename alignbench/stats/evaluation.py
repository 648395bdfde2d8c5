"""One call for everything that accompanies a score: value, null, interval, deletions, chance, flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of, names_of
from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.stats.case import Case
from alignbench.stats.interval import MIN_GROUPS, deletion_blocks, jackknife_interval
from alignbench.stats.nulls import null_of, null_within
from alignbench.stats.splits import one_per_group
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.base import Metric
    from alignbench.types import Interval, Null

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A score with what is needed to judge it.

    Args:
        value: the metric on all groups.
        n: the number of groups.
        null: the values of re-paired data; None if the metric has no null.
        interval: 95%, for the expected score at this n; None below 20 groups.
        deletions: the value without block g, for every block; all models share the blocks.
        chance: the value of guessing.
        flags: "conservative" (interval), "n_too_small" (no interval), "no_interval" (the score doesn't exist
            without some block), "separate_bases" (align=pca), and the metric's own.
        params: the settings that were fixed, such as k.
        parts: the parts of a composite.
    """

    value: float
    n: int
    null: Null | None = None
    interval: Interval | None = None
    deletions: tuple[float, ...] = ()
    chance: float | None = None
    flags: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)


def evaluate(
    metric: Metric,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seed: int = 42,
    n_permutations: int | None = None,
    params: Mapping[str, Any] | None = None,
    null: bool = True,
    interval: bool = True,
) -> Evaluation:
    """Return the metric's value with null, interval, deletions, chance and flags.

    It depends only on its arguments and `seed`. Metrics of two sides see one row of every group, drawn by the
    seed; metrics of one side see all rows.

    Args:
        metric: one of METRICS, or any other.
        x: vision side [n, dx].
        y: text side [n, dy]; None for metrics of one side.
        labels: the class of each row [n], for labelled metrics, composites and the within-class null.
        groups: the unit of permutations, splits and deletions [n]; by default, each row.
        seed: the seed of everything random.
        n_permutations: replaces the metric's own number; 0 for none.
        params: settings to fix, such as `align` or the run's `k`; ones that the metric lacks are an error.
        null: whether to compute the null.
        interval: whether to compute deletions and the interval.

    Raises:
        InputError: bad input, or a parameter that the metric doesn't have.
        DegenerateError: the value does not exist for this input.
    """
    case = _prepare(metric, x, y, labels, groups, seed, params or {})
    with case.watched():
        return _evaluated(case, n_permutations, null=null, interval=interval)


def evaluate_within(
    metric: Metric,
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike,
    groups: ArrayLike,
    seed: int = 42,
    params: Mapping[str, Any] | None = None,
) -> Null | None:
    """Return the null of more than 300 pairs over permutations within the classes, and nothing else.

    Args, Raises: as `evaluate`.
    """
    case = _prepare(metric, x, y, labels, groups, seed, params or {})
    with case.watched():
        return null_within(case, case.score())


def _evaluated(case: Case, n_permutations: int | None, *, null: bool, interval: bool) -> Evaluation:
    metric, n = case.metric, count_of(case.groups)
    value = case.score()
    parts = {} if metric.parts is None else dict(metric.parts(case.x, case.y, **case.keywords()))
    flags = list(() if metric.flags is None else metric.flags(value, parts))
    if case.settings.get("align") == "pca":
        flags.append("separate_bases")
    deletions: tuple[float, ...] = ()
    if interval and metric.interval is not None:
        deletions, flag = _deletions(case, n)
        flags.extend(flag)
    return Evaluation(
        value=value,
        n=n,
        null=null_of(case, value, n_permutations) if null else None,
        interval=interval_of(metric, value, deletions),
        deletions=deletions,
        chance=None if metric.chance is None else float(metric.chance(n, case.codes(), case.settings)),
        flags=tuple(flags),
        params=case.settings,
        parts=parts,
    )


def _prepare(
    metric: Metric,
    x: ArrayLike,
    y: ArrayLike | None,
    labels: ArrayLike | None,
    groups: ArrayLike | None,
    seed: int,
    params: Mapping[str, Any],
) -> Case:
    a, b = metric.arrays(x, y if metric.two_sided else None)
    names = names_of(np.arange(len(a)) if groups is None else groups, len(a), "groups")
    classes = None if labels is None else names_of(labels, len(a), "labels")
    if classes is None and metric.needs_labels:
        raise InputError(f"{metric.name}: expected labels, one a row, got none")
    case = Case(metric, a, b, classes, names, seed, {})
    count = count_of(names)
    if metric.two_sided and count < metric.min_n:
        raise TooFewSamplesError(
            f"{metric.name}: expected at least {plural(metric.min_n, 'group')}, got {count}; use more samples"
        )
    if metric.two_sided and count < len(names):
        case = case.take(one_per_group(names, seed))
    dims = (a.shape[1],) if b is None else (a.shape[1], b.shape[1])
    settings = settings_of(metric, count, dims, params)
    return Case(metric, case.x, case.y, case.labels, case.groups, seed, settings)


def settings_of(
    metric: Metric, n: int, dims: tuple[int, ...], params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return all settings of a metric for n groups and sides of these widths.

    Raises:
        InputError: the metric lacks one of the parameters.
    """
    known = {} if metric.settings is None else metric.settings(n, dims)
    unknown = set(params) - set(known)
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"{metric.name}: unknown parameter {sorted(unknown)[0]!r}; {has}")
    return known if metric.settings is None else metric.settings(n, dims, **params)


def _deletions(case: Case, n: int) -> tuple[tuple[float, ...], list[str]]:
    """Return the values without each block, and flags about them."""
    metric = case.metric
    if n < MIN_GROUPS:
        return (), ["n_too_small"]
    blocks = deletion_blocks(case.groups, metric.interval or "", case.seed)
    rows = np.arange(len(case.x))
    try:
        given = metric.deletions
        values = None if given is None else given(case.x, case.y, blocks, **case.keywords())
        if values is None:
            values = np.asarray([case.take(np.delete(rows, block)).score() for block in blocks])
    except DegenerateError:
        return (), ["no_interval"]
    return tuple(float(v) for v in values), ["conservative"] if metric.interval == "blocks" else []


def interval_of(metric: Metric, value: float, deletions: tuple[float, ...]) -> Interval | None:
    """Return the interval of a value from the values without each block; None without these."""
    if not deletions:
        return None
    method = "delete-block jackknife" if metric.interval == "jackknife" else "delete-block, refitted"
    return jackknife_interval(value, deletions, bounds=metric.bounds, method=method)
