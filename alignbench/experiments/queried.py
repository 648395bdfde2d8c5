"""Scores of nearest neighbours among many pairs: estimated from some of them, compared with all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.columns import codes_of, count_of, names_of
from alignbench.errors import DegenerateError
from alignbench.metrics.checks import bounded
from alignbench.metrics.lists import Known
from alignbench.metrics.queries import Asked
from alignbench.stats.evaluation import Evaluation, settings_of
from alignbench.stats.interval import deletion_blocks, jackknife_interval
from alignbench.stats.permutation import ENOUGH, sequential_p
from alignbench.stats.splits import one_per_group, rng_for, some_groups
from alignbench.stats.streamed import MANY_ROWS
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.metrics.lists import Rows
    from alignbench.metrics.queries import Answers
    from alignbench.types import Pair

    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Keep = Callable[[Literal["x", "y"], type[Rows], int, Callable[[], Known]], Known]

QUERIES = MANY_ROWS  # groups that are compared with all others: the standard error is then below .01
FURTHER = 1_000  # if the neighbours of up to k times as many rows are needed, too: below .02
QUERIED = "queried"


def asks(metric: Metric, n: int) -> bool:
    """Return whether a metric of n groups is estimated from some of them."""
    return metric.queried is not None and n > QUERIES


def queries_of(metric: Metric) -> int:
    """Return how many groups (or rows, for a metric of one side) a metric asks."""
    return FURTHER if metric.queried is not None and metric.queried.further else QUERIES


def evaluate_queried(
    metric: Metric,
    pair: Pair,
    seed: int,
    keep: Keep,
    *,
    labelled: bool,
    n_permutations: int | None = None,
    null: bool = True,
    interval: bool = True,
) -> Evaluation:
    """Return what `evaluate` returns for a pair whose metric `asks`.

    Rows are re-paired among those that are asked, and among the others, so that only neighbours that are
    known are needed. The interval is that of an estimate from as many rows.

    Args:
        metric: the metric.
        pair: the embeddings; their arrays may be memory-mapped.
        seed: the seed of rows and permutations.
        keep: (side, how rows are compared, k, compute) -> the lists of a side, computed if they are not kept.
        labelled: whether the labels are classes.
        n_permutations: the largest number of permutations; None leaves that to the metric.
        null: whether to compute the null.
        interval: whether to compute deletions and the interval.
    """
    assert metric.queried is not None
    asked = asked_of(metric, pair, seed, keep)
    answers, identity = metric.queried.ask(asked), np.arange(asked.n)
    terms = answers.terms(identity)

    def score(of: NDArray[np.float64]) -> float:
        return bounded(answers.score(of), metric.bounds, metric.name)

    value = score(terms)
    flags = [] if metric.flags is None else list(metric.flags(value, answers.parts))
    deletions: tuple[float, ...] = ()
    if interval and metric.interval is not None:
        blocks = deletion_blocks(asked.groups[asked.queries], "jackknife", seed)
        try:
            deletions = tuple(score(np.delete(terms, block, axis=0)) for block in blocks)
        except DegenerateError:
            flags.append("no_interval")
    most = _most(metric, n_permutations)

    def tested(codes: Indices | None) -> tuple[float, int, Vector]:
        rng = rng_for(seed, "permutation" if codes is None else "permutation within classes", metric.name)
        strata = _strata(asked, answers, codes)
        return sequential_p(
            value,
            lambda number: _drawn(answers, strata, number, rng),
            most,
            higher_is_better=metric.higher_is_better,
            bounds=metric.bounds,
        )

    codes = codes_of(asked.labels) if labelled and count_of(asked.labels) > 1 else None
    return Evaluation(
        value=value,
        n=count_of(asked.groups),
        null=_null(value, tested, codes) if null and metric.pairing and most else None,
        interval=jackknife_interval(
            value, deletions, bounds=metric.bounds, method="delete-block jackknife over queries"
        )
        if deletions
        else None,
        deletions=deletions,
        chance=None if metric.chance is None else float(metric.chance(asked.n, codes, asked.settings)),
        flags=(*flags, QUERIED),
        params={**asked.settings, "queries": len(asked.queries)},
        parts=answers.parts,
    )


def asked_of(metric: Metric, pair: Pair, seed: int, keep: Keep) -> Asked:
    """Return the rows that a metric of this pair asks; the arguments are those of `evaluate_queried`.

    They are one of each group, or rows of any groups for a metric of one side.
    """
    names, number = np.asarray(pair.groups), queries_of(metric)
    rows = one_per_group(names, seed) if metric.two_sided else np.arange(len(names))
    groups = names_of(names[rows], len(rows), "groups")
    if metric.two_sided:
        queries = np.flatnonzero(some_groups(groups, number, seed, QUERIED))
        dims: tuple[int, ...] = (pair.x.dim, pair.y.dim)
    else:
        queries = np.sort(rng_for(seed, QUERIED, "rows").permutation(len(rows))[:number])
        dims = (pair.x.dim,)

    def known(side: Literal["x", "y"], compared: type[Rows], k: int) -> Known:
        values = (pair.x if side == "x" else pair.y).values
        return keep(side, compared, k, lambda: Known(compared.of(values, rows, side), k))

    return Asked(
        x=pair.x.values,
        rows=rows,
        queries=queries,
        settings=settings_of(metric, len(rows), dims, {}),
        labels=names_of(np.asarray(pair.labels)[rows], len(rows), "labels"),
        groups=groups,
        seed=seed,
        known=known,
    )


def _strata(asked: Asked, answers: Answers, codes: Indices | None) -> Indices:
    """Return the part of each row that it is re-paired in: queries and others, further parts, classes."""
    strata = np.isin(np.arange(asked.n), asked.queries).astype(np.intp)
    for further in (answers.strata, codes):
        if further is not None:
            strata = (int(further.max()) + 1) * strata + further
    return strata


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


def _drawn(answers: Answers, strata: Indices, number: int, rng: np.random.Generator) -> Vector:
    """Return the scores of so many permutations within the strata."""
    members = np.split(np.argsort(strata, kind="stable"), np.cumsum(np.bincount(strata))[:-1])
    partner, scores = np.empty_like(strata), np.empty(number)
    for draw in range(number):
        for rows in members:
            partner[rows] = rng.permutation(rows)
        scores[draw] = answers.score(answers.terms(partner))
    return scores
