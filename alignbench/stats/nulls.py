"""What re-paired data score: from a fixed number of draws, from as many as needed, or in closed form."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats.permutation import (
    ENOUGH,
    closed_p,
    draw_permutations,
    draw_within,
    p_value,
    sequential_p,
)
from alignbench.stats.splits import rng_for
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alignbench.metrics.base import NullModel
    from alignbench.stats.case import Case

    Indices = NDArray[np.intp]

DRAWN_UP_TO = 300  # groups: up to here, the metric's own number of permutations is drawn
DRAWS = 999  # of a metric that names no number of its own
MOST_CLASSES = 20  # with more classes than this, permutations within them are drawn


def null_of(case: Case, value: float, n_permutations: int | None = None) -> Null | None:
    """Return the null of a value; None if the metric has none under these settings.

    Args:
        case: the metric with its data.
        value: the metric's value.
        n_permutations: how many permutations to draw; None leaves that to the metric up to DRAWN_UP_TO
            groups, and beyond takes the closed form where there is one, or as many draws as p needs.
    """
    metric, model = case.metric, case.metric.null
    if (
        case.y is None
        or (model is None and not metric.pairing)
        or (model and not model.applies(case.settings))
    ):
        return None
    if n_permutations is None and len(case.x) > DRAWN_UP_TO and (model is None or model.test):
        return _null_of_many(case, model, value)
    draws = _draws(model) if n_permutations is None else n_permutations
    with _subset(case, model, value) as (some, its_value, kind):
        return _drawn_null(some, model, its_value, kind, draws)


def _stream(case: Case, model: NullModel | None) -> str:
    """Return whose permutations a metric gets: its own, or those of the metrics that it shares them with."""
    shared = None if model is None or len(case.x) <= DRAWN_UP_TO else model.stream
    return case.metric.name if shared is None else shared


def _strata(case: Case, model: NullModel | None) -> Indices | None:
    """Return the part of each row that re-pairing keeps it in; None if rows may go anywhere."""
    if model is None or len(case.x) <= DRAWN_UP_TO:
        return None
    return model.strata(len(case.x), **case.keywords())


def _permutations(
    case: Case, model: NullModel | None, number: int, rng: np.random.Generator, codes: Indices | None = None
) -> Indices:
    """Return so many permutations of the rows, within strata, and within the classes if codes are given."""
    n, strata = len(case.x), _strata(case, model)
    if strata is not None:
        parts = strata if codes is None else strata * (int(codes.max()) + 1) + codes
        codes = np.unique(parts, return_inverse=True)[1]
    return draw_permutations(n, number, rng) if codes is None else draw_within(codes, number, rng)


def _draws(model: NullModel | None) -> int:
    return DRAWS if model is None else model.draws


@contextmanager
def _subset(case: Case, model: NullModel | None, value: float) -> Iterator[tuple[Case, float, str]]:
    """Return the groups that are permuted, with their value, and what they are in words."""
    n = len(case.x)
    if model is None or model.max_groups is None or n <= model.max_groups:
        kind = "permutation of groups"
        yield case, value, kind if _strata(case, model) is None else f"{kind} within strata"
        return
    chosen = rng_for(case.seed, "subset of groups").permutation(n)[: model.max_groups]
    some = case.take(np.sort(chosen))
    with some.watched():
        yield some, some.score(), f"permutation of {model.max_groups} of {n} groups"


def _drawn_null(case: Case, model: NullModel | None, value: float, kind: str, draws: int) -> Null:
    rng = rng_for(case.seed, "permutation", _stream(case, model))
    drawn = case.drawn(_permutations(case, model, draws, rng)) if draws else np.empty(0)
    mean, std = _mean(drawn), _std(drawn)
    if model is not None and not model.test:
        return Null("shuffled pairs", mean=mean, std=std, draws=len(drawn))
    mean, std, exactly = _exact(case, model, mean, std)
    within_mean, within_p = _within(case, model, value, draws)
    return Null(
        kind=kind + exactly,
        mean=mean,
        std=std,
        z=None if mean is None or not std else (value - mean) / std,
        p=_p(case, value, drawn) if draws else None,
        draws=draws,
        within_mean=within_mean,
        within_p=within_p,
        p_kind="drawn" if draws else None,
        within_kind=None if within_p is None else "drawn",
    )


def _exact(
    case: Case, model: NullModel | None, mean: float | None, std: float | None
) -> tuple[float | None, float | None, str]:
    """Return mean and standard deviation, exact ones in place of drawn ones where there are any."""
    if model is None or model.exact is None:
        return mean, std, ""
    exact_mean, exact_std = model.exact(case.x, case.y, **case.settings)
    if np.isnan(exact_mean):
        return mean, std, ""
    if np.isnan(exact_std):
        return float(exact_mean), std, ", exact mean"
    return float(exact_mean), float(exact_std), ", exact mean and std"


def _within(
    case: Case, model: NullModel | None, value: float, draws: int
) -> tuple[float | None, float | None]:
    """Return mean and p of permutations within the classes; None where there are none."""
    codes = _classes(case)
    if codes is None:
        return None, None
    rng = rng_for(case.seed, "permutation within classes", _stream(case, model))
    drawn = case.drawn(_permutations(case, model, draws, rng, codes)) if draws else np.empty(0)
    return _within_mean(case, model, codes, _mean(drawn)), _p(case, value, drawn) if draws else None


def _within_mean(
    case: Case, model: NullModel | None, codes: Indices, drawn_mean: float | None
) -> float | None:
    if model is None or model.within_mean is None:
        return drawn_mean
    return float(model.within_mean(case.x, case.y, codes, **case.settings))


def _classes(case: Case) -> Indices | None:
    """Return the class of each row; None for one class, or for singletons only."""
    codes = case.codes()
    return codes if codes is not None and 1 < int(codes.max()) + 1 < len(codes) else None


def _p(case: Case, value: float, drawn: NDArray[np.float64]) -> float:
    metric = case.metric
    return p_value(value, drawn, higher_is_better=metric.higher_is_better, bounds=metric.bounds)


def _mean(drawn: NDArray[np.float64]) -> float | None:
    return float(drawn.mean()) if len(drawn) else None


def _std(drawn: NDArray[np.float64]) -> float | None:
    return float(drawn.std(ddof=1)) if len(drawn) > 1 else None


def null_within(case: Case, value: float) -> Null | None:
    """Return the null of a value over permutations within the classes, of more than DRAWN_UP_TO groups.

    It is None for one class, and for singletons only.
    """
    codes = _classes(case)
    if codes is None:
        return None
    with _tests(case, case.metric.null, value) as test:
        return test(codes)


def _null_of_many(case: Case, model: NullModel | None, value: float) -> Null:
    """Return the null in closed form, or from as many draws as its p needs."""
    with _tests(case, model, value) as test:
        null, codes = test(None), _classes(case)
        if codes is None:
            return null
        within = test(codes)
    return replace(null, within_mean=within.mean, within_p=within.p, within_kind=within.p_kind)


@contextmanager
def _tests(case: Case, model: NullModel | None, value: float) -> Iterator[Callable[[Indices | None], Null]]:
    """Yield what returns the null of a value, within the classes if their codes are given."""
    with ExitStack() as stack:

        @cache
        def subset() -> tuple[Case, float, str]:
            return stack.enter_context(_subset(case, model, value))

        def test(codes: Indices | None) -> Null:
            closed = _closed(case, model, value, codes)
            return _sequential(*subset(), model, within=codes is not None) if closed is None else closed

        yield test


def _closed(case: Case, model: NullModel | None, value: float, codes: Indices | None) -> Null | None:
    """Return the null in closed form; None where that may not be used."""
    if model is None or model.moments is None:
        return None
    if codes is not None and int(codes.max()) >= MOST_CLASSES:
        return None
    moments = model.moments(case.x, case.y, codes, **case.settings)
    p = closed_p(value, moments, higher_is_better=case.metric.higher_is_better)
    if p is None:
        return None
    mean, std = float(moments.mean), float(np.sqrt(moments.variance))
    kind = "permutation of groups, closed form"
    return Null(kind, mean, std, (value - mean) / std, p, p_kind="closed_form")


def _sequential(case: Case, value: float, kind: str, model: NullModel | None, *, within: bool) -> Null:
    """Return the null from draws that stop as soon as p is known well enough."""
    metric = case.metric
    codes = case.codes() if within else None
    purpose = "permutation within classes" if within else "permutation"
    rng = rng_for(case.seed, purpose, _stream(case, model))

    def draw(number: int) -> NDArray[np.float64]:
        return case.drawn(_permutations(case, model, number, rng, codes))

    p, draws, drawn = sequential_p(
        value, draw, _draws(model), higher_is_better=metric.higher_is_better, bounds=metric.bounds
    )
    kind += f", drawn until {ENOUGH} are as good"
    mean, std = _mean(drawn), _std(drawn)
    if codes is None:
        mean, std, exactly = _exact(case, model, mean, std)
        kind += exactly
    else:
        mean = _within_mean(case, model, codes, mean)
    z = None if mean is None or not std else (value - mean) / std
    return Null(kind, mean, std, z, p, draws, p_kind="drawn_sequential")
