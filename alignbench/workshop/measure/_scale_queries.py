"""Scores of some of many rows: over draws of these rows, their mean, their error, and how often it holds."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from alignbench.cli.listing import table
from alignbench.experiments.queried import asked_of, queries_of
from alignbench.metrics import METRICS
from alignbench.stats.interval import MAX_JACKKNIFE_BLOCKS, jackknife_error, jackknife_interval
from alignbench.workshop.measure._many_pairs import pair_of, written

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.experiments.queried import Keep
    from alignbench.metrics import Metric
    from alignbench.metrics.lists import Known, Rows
    from alignbench.metrics.queries import Answers
    from alignbench.types import Pair

_COLUMNS = ("metric", "queries", "all rows", "mean", "std", "standard error", "in the interval")
_SEED = 42


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add how many pairs and draws of queries there are."""
    parser.add_argument("--queried-rows", type=int, default=8000)
    parser.add_argument("--queried-widths", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--queried-draws", type=int, default=400)


def measure(options: argparse.Namespace) -> None:
    """Print for each metric what all rows give, and what draws of queries give."""
    metrics = [METRICS.get(name) for name in METRICS if METRICS.get(name).queried is not None]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, user_api="blas"):
        sides = [
            written(Path(folder), name, options.queried_rows, width, number)
            for number, (name, width) in enumerate(zip("xy", options.queried_widths, strict=True))
        ]
        pair, kept = pair_of(*sides), {}

        def keep(side: str, compared: type[Rows], k: int, compute: Callable[[], Known]) -> Known:
            if (side, compared, k) not in kept:
                kept[side, compared, k] = compute()
            return kept[side, compared, k]

        rows = [_row(metric, pair, keep, options.queried_draws) for metric in metrics]
    print(f"{options.queried_rows:,} rows, {options.queried_draws} draws of queries:")
    print("\n".join(table(_COLUMNS, rows)), flush=True)


def _row(metric: Metric, pair: Pair, keep: Keep, draws: int) -> tuple[str, ...]:
    assert metric.queried is not None
    of_some = asked_of(metric, pair, _SEED, keep)
    answers = metric.queried.ask(replace(of_some, queries=np.arange(of_some.n)))
    # What a query contributes does not depend on who else is asked.
    terms, queries = answers.terms(np.arange(of_some.n)), queries_of(metric)
    value = answers.score(terms)
    rng = np.random.default_rng(0)
    found = np.array([_drawn(metric, answers, terms, value, queries, rng) for _ in range(draws)])
    mean, error, inside = found.mean(axis=0)
    numbers = (value, mean, float(found[:, 0].std(ddof=1)), error)
    return metric.name, f"{queries:,}", *(f"{number:.5f}" for number in numbers), f"{inside:.1%}"


def _drawn(
    metric: Metric,
    answers: Answers,
    terms: NDArray[np.float64],
    value: float,
    queries: int,
    rng: np.random.Generator,
) -> tuple[float, float, bool]:
    """Return the score of random queries, its standard error, and whether its interval has the value."""
    some = terms[rng.permutation(len(terms))[:queries]]
    blocks = np.array_split(np.arange(len(some)), MAX_JACKKNIFE_BLOCKS)
    deletions = [answers.score(np.delete(some, block, axis=0)) for block in blocks]
    estimate = answers.score(some)
    interval = jackknife_interval(estimate, deletions, bounds=metric.bounds)
    return estimate, jackknife_error(deletions), interval.low <= value <= interval.high
