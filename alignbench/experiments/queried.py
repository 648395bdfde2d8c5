"""Scores of nearest neighbours among many pairs: the mean over some of them, compared with all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of, names_of
from alignbench.metrics.lists import Lists, cosine_lists
from alignbench.stats.evaluation import Evaluation, settings_of
from alignbench.stats.interval import deletion_blocks, jackknife_interval
from alignbench.stats.permutation import ENOUGH, sequential_p
from alignbench.stats.splits import one_per_group, rng_for, some_groups
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.types import Embeddings, Pair

    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

QUERIES = 5_000  # groups that are compared with all others: the standard error is then below .01
QUERIED = "queried"


def asks(metric: Metric, n: int) -> bool:
    """Return whether a metric of n groups is the mean over QUERIES of them."""
    return metric.queried is not None and n > QUERIES


def evaluate_queried(
    metric: Metric,
    pair: Pair,
    seed: int,
    lists_of: Callable[[Embeddings, Callable[[], Lists]], Lists],
    *,
    labelled: bool,
    n_permutations: int | None = None,
    null: bool = True,
    interval: bool = True,
) -> Evaluation:
    """Return what `evaluate` returns for a pair whose metric `asks`.

    Rows are re-paired among those that are asked, and among the others, so that only neighbours that are
    known are needed. The interval is that of a mean over as many rows.

    Args:
        metric: the metric.
        pair: the embeddings; their arrays may be memory-mapped.
        seed: the seed of rows and permutations.
        lists_of: returns the lists of a side, computed if they are not kept.
        labelled: whether the labels are classes.
        n_permutations: the largest number of permutations; None leaves that to the metric.
        null: whether to compute the null.
        interval: whether to compute deletions and the interval.
    """
    assert metric.queried is not None
    rows = one_per_group(np.asarray(pair.groups), seed)
    groups = names_of(np.asarray(pair.groups)[rows], len(rows), "groups")
    queries = np.flatnonzero(some_groups(groups, QUERIES, seed, QUERIED))
    settings = settings_of(metric, len(rows), (pair.x.dim, pair.y.dim), {})

    def lists(side: Embeddings, name: str) -> Lists:
        return lists_of(side, lambda: cosine_lists(side.values, rows, queries, settings["k"], name))

    of_x, of_y = lists(pair.x, "x"), lists(pair.y, "y")
    values = metric.queried(of_x, of_y)
    value = float(values.mean())
    deletions: tuple[float, ...] = ()
    if interval:
        blocks = deletion_blocks(groups[queries], "jackknife", seed)
        deletions = tuple(float(np.delete(values, block).mean()) for block in blocks)

    def tested(codes: Indices | None) -> tuple[float, int, Vector]:
        rng = rng_for(seed, "permutation" if codes is None else "permutation within classes", metric.name)
        strata = np.isin(np.arange(len(rows)), queries).astype(np.intp)
        if codes is not None:
            strata = 2 * codes + strata
        most = _most(metric, n_permutations)
        return sequential_p(
            value,
            lambda number: _drawn(metric, of_x, of_y, queries, strata, number, rng),
            most,
            higher_is_better=metric.higher_is_better,
            bounds=metric.bounds,
        )

    codes = codes_of(np.asarray(pair.labels)[rows]) if labelled and len(set(pair.labels)) > 1 else None
    return Evaluation(
        value=value,
        n=len(rows),
        null=_null(value, tested, codes) if null and _most(metric, n_permutations) else None,
        interval=jackknife_interval(
            value, deletions, bounds=metric.bounds, method="delete-block jackknife over queries"
        )
        if deletions
        else None,
        deletions=deletions,
        chance=None if metric.chance is None else float(metric.chance(len(rows), codes, settings)),
        flags=(QUERIED,),
        params={**settings, "queries": len(queries)},
    )


def _most(metric: Metric, n_permutations: int | None) -> int:
    draws = 999 if metric.null is None else metric.null.draws
    return draws if n_permutations is None else n_permutations


def _null(
    value: float, tested: Callable[[Indices | None], tuple[float, int, Vector]], codes: Indices | None
) -> Null:
    p, draws, drawn = tested(None)
    mean, std = float(drawn.mean()), float(drawn.std(ddof=1)) if len(drawn) > 1 else 0.0
    within: dict[str, Any] = {}
    if codes is not None:
        within_p, _, inside = tested(codes)
        within = {
            "within_p": within_p,
            "within_mean": float(inside.mean()),
            "within_kind": "drawn_sequential",
        }
    return Null(
        f"permutation of groups within strata, drawn until {ENOUGH} are as good",
        mean,
        std,
        (value - mean) / std if std else None,
        p,
        draws,
        p_kind="drawn_sequential",
        **within,
    )


def _drawn(
    metric: Metric,
    of_x: Lists,
    of_y: Lists,
    queries: Indices,
    strata: Indices,
    number: int,
    rng: np.random.Generator,
) -> Vector:
    """Return the scores of so many permutations within the strata."""
    assert metric.queried is not None
    place = np.full(len(strata), -1)
    place[queries] = np.arange(len(queries))
    members = np.split(np.argsort(strata, kind="stable"), np.cumsum(np.bincount(strata))[:-1])
    partner, names, scores = np.empty_like(place), np.empty_like(place), np.empty(number)
    for draw in range(number):
        for rows in members:
            partner[rows] = rng.permutation(rows)
        names[partner] = np.arange(len(partner))
        scores[draw] = metric.queried(of_x, of_y.repaired(place[partner[queries]], names)).mean()
    return scores
