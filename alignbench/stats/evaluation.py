"""One call for everything that accompanies a score: value, null, interval, deletions, chance, flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of, count_of, names_of
from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.stats.interval import MIN_GROUPS, deletion_blocks, jackknife_interval
from alignbench.stats.permutation import draw_permutations, draw_within, p_value
from alignbench.stats.splits import one_per_group, rng_for
from alignbench.types import Interval, Null
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.base import Metric, NullModel

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


@dataclass(frozen=True, slots=True)
class _Case:
    """A metric with its data and fixed settings, which permutations and deletions vary."""

    metric: Metric
    x: Matrix
    y: Matrix | None
    labels: NDArray[np.str_] | None
    groups: NDArray[np.str_]
    seed: int
    settings: Mapping[str, Any]

    def take(self, rows: NDArray[np.intp]) -> _Case:
        labels = None if self.labels is None else self.labels[rows]
        y = None if self.y is None else self.y[rows]
        return _Case(self.metric, self.x[rows], y, labels, self.groups[rows], self.seed, self.settings)

    def keywords(self) -> dict[str, Any]:
        data = {"labels": self.labels, "groups": self.groups, "seed": self.seed}
        return {name: data[name] for name in self.metric.keywords} | dict(self.settings)

    def score(self, y: Matrix | None = None) -> float:
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
        return None if self.labels is None else codes_of(self.labels)


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
    n = count_of(case.groups)
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
        null=_null(case, value, n_permutations) if null else None,
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
) -> _Case:
    a, b = metric.arrays(x, y if metric.two_sided else None)
    names = names_of(np.arange(len(a)) if groups is None else groups, len(a), "groups")
    classes = None if labels is None else names_of(labels, len(a), "labels")
    if classes is None and metric.needs_labels:
        raise InputError(f"{metric.name}: expected labels, one a row, got none")
    case = _Case(metric, a, b, classes, names, seed, {})
    count = count_of(names)
    if metric.two_sided and count < metric.min_n:
        raise TooFewSamplesError(
            f"{metric.name}: expected at least {plural(metric.min_n, 'group')}, got {count}; use more samples"
        )
    if metric.two_sided and count < len(names):
        case = case.take(one_per_group(names, seed))
    dims = (a.shape[1],) if b is None else (a.shape[1], b.shape[1])
    settings = settings_of(metric, count, dims, params)
    return _Case(metric, case.x, case.y, case.labels, case.groups, seed, settings)


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


def _deletions(case: _Case, n: int) -> tuple[tuple[float, ...], list[str]]:
    """Return the values without each block, and flags about them."""
    metric = case.metric
    if n < MIN_GROUPS:
        return (), ["n_too_small"]
    blocks = deletion_blocks(case.groups, metric.interval or "", case.seed)
    rows = np.arange(len(case.x))
    try:
        if metric.deletions is not None:
            values = metric.deletions(case.x, case.y, blocks, **case.settings)
        else:
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


def _null(case: _Case, value: float, n_permutations: int | None) -> Null | None:
    metric, model = case.metric, case.metric.null
    if (
        case.y is None
        or (model is None and not metric.pairing)
        or (model and not model.applies(case.settings))
    ):
        return None
    kind, n = "permutation of groups", len(case.x)
    if model is not None and model.max_groups is not None and n > model.max_groups:
        chosen = rng_for(case.seed, "subset of groups").permutation(n)[: model.max_groups]
        case = case.take(np.sort(chosen))
        value = case.score()
        kind = f"permutation of {model.max_groups} of {n} groups"
    draws = (999 if model is None else model.draws) if n_permutations is None else n_permutations
    return _global_null(case, model, value, kind, draws)


def _global_null(case: _Case, model: NullModel | None, value: float, kind: str, draws: int) -> Null:
    metric = case.metric
    rng = rng_for(case.seed, "permutation", metric.name)
    drawn = case.drawn(draw_permutations(len(case.x), draws, rng)) if draws else np.empty(0)
    if model is not None and not model.test:
        return Null("shuffled pairs", mean=_mean(drawn), std=_std(drawn), draws=len(drawn))
    mean, std = _mean(drawn), _std(drawn)
    if model is not None and model.exact is not None:
        exact_mean, exact_std = model.exact(case.x, case.y, **case.settings)
        mean = float(exact_mean)
        kind += ", exact mean" if np.isnan(exact_std) else ", exact mean and std"
        std = std if np.isnan(exact_std) else float(exact_std)
    within_mean, within_p = _within(case, model, value, draws)
    return Null(
        kind=kind,
        mean=mean,
        std=std,
        z=None if mean is None or not std else (value - mean) / std,
        p=_p(metric, value, drawn) if draws else None,
        draws=draws,
        within_mean=within_mean,
        within_p=within_p,
    )


def _within(
    case: _Case, model: NullModel | None, value: float, draws: int
) -> tuple[float | None, float | None]:
    """Return mean and p of permutations within the classes; None for one class, or for singletons only."""
    codes = case.codes()
    if codes is None or not 1 < int(codes.max()) + 1 < len(codes):
        return None, None
    rng = rng_for(case.seed, "permutation within classes", case.metric.name)
    drawn = case.drawn(draw_within(codes, draws, rng)) if draws else np.empty(0)
    mean = _mean(drawn)
    if model is not None and model.within_mean is not None:
        mean = float(model.within_mean(case.x, case.y, codes, **case.settings))
    return mean, _p(case.metric, value, drawn) if draws else None


def _p(metric: Metric, value: float, drawn: NDArray[np.float64]) -> float:
    return p_value(value, drawn, higher_is_better=metric.higher_is_better, bounds=metric.bounds)


def _mean(drawn: NDArray[np.float64]) -> float | None:
    return float(drawn.mean()) if len(drawn) else None


def _std(drawn: NDArray[np.float64]) -> float | None:
    return float(drawn.std(ddof=1)) if len(drawn) > 1 else None
