"""What null and interval of one pair cost beside the values, for each metric that sees the pairing."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from alignbench.cli.listing import table
from alignbench.experiments.scoring import Settings, evaluate_pair, score_pair
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of, written

if TYPE_CHECKING:
    import argparse

    from alignbench.metrics import Metric
    from alignbench.types import Pair

_WIDTHS = (768, 1024)
_MOST_RATIO = 4.0
_MOST_SECONDS = {1000: 25.0, 5000: 150.0}
_COLUMNS = ("value", "+ null", "+ within classes", "+ interval", "in a run")


@dataclass(frozen=True, slots=True)
class _Costs:
    """CPU seconds of one metric; `null` is None where there is none without classes."""

    value: float
    null: float | None
    within: float
    interval: float
    in_run: float

    @property
    def cells(self) -> list[str]:
        parts = (self.value, self.null, self.within, self.interval, self.in_run)
        return ["-" if part is None else f"{part:.2f}" for part in parts]


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add how many pairs there are, and of which metrics."""
    parser.add_argument("--pair-rows", type=int, default=1000)
    parser.add_argument("--pair-widths", type=int, nargs=2, default=_WIDTHS)
    seeing = [name for name in METRICS.names(pairing=True) if METRICS.get(name).default]
    parser.add_argument("--pair-metrics", nargs="+", default=seeing)


def measure(options: argparse.Namespace) -> None:
    """Print a row per metric, and the sums with their ratio to the values alone."""
    rows, metrics = options.pair_rows, [METRICS.get(name) for name in options.pair_metrics]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, user_api="blas"):
        sides = [
            written(Path(folder), name, rows, width, number)
            for number, (name, width) in enumerate(zip("xy", options.pair_widths, strict=True))
        ]
        pair = pair_of(*sides)
        for metric in metrics:  # imports and the first allocations are nobody's cost
            evaluate_pair(metric, pair.take(range(100)), Settings())
        run = pair_of(*sides)
        costs = [_costs(metric, pair, run) for metric in metrics]
        values = pair_of(*sides)
        started = time.process_time()
        for metric in metrics:
            evaluate_pair(metric, values, Settings(), null=False, interval=False)
        only_values = time.process_time() - started
    widths = " x ".join(f"{width:,}" for width in options.pair_widths)
    print(f"CPU seconds of one pair, {rows:,} rows, {widths}, one thread of BLAS:")
    body = [(metric.name, *cost.cells) for metric, cost in zip(metrics, costs, strict=True)]
    total = sum(cost.in_run for cost in costs)
    print("\n".join(table(("metric", *_COLUMNS), [*body, ("all", *_sum(costs).cells)])))
    bound = f" (aim {_MOST_SECONDS[rows]:.0f})" if rows in _MOST_SECONDS else ""
    print(f"all metrics in one run: {total:.1f} CPU seconds{bound}, their values alone {only_values:.1f}")
    print(f"ratio {total / only_values:.1f} (aim {_MOST_RATIO:.0f})", flush=True)


def _costs(metric: Metric, pair: Pair, run: Pair) -> _Costs:
    """Return what each step takes on its own, and all of them together on the pair `run` of all metrics."""
    value = _seconds(metric, pair, null=False, interval=False)
    within = _seconds(metric, pair, null=True, interval=False)
    interval = _seconds(metric, pair, null=False, interval=True)
    null = None
    if not metric.needs_labels:
        # Samples of one type are scored without classes.
        null = _seconds(metric, replace(pair, labels=("chart",) * len(pair)), null=True, interval=False)
    started = time.process_time()
    score_pair(metric, run, Settings(), experiment="scale")
    in_run = time.process_time() - started
    without = value if null is None else null
    return _Costs(value, None if null is None else null - value, within - without, interval - value, in_run)


def _seconds(metric: Metric, pair: Pair, *, null: bool, interval: bool) -> float:
    # New arrays each time: what is known of others is not computed again.
    fresh = pair_of(pair.x.values.copy(), pair.y.values.copy())
    fresh = replace(fresh, labels=pair.labels)
    started = time.process_time()
    evaluate_pair(metric, fresh, Settings(), null=null, interval=interval)
    return time.process_time() - started


def _sum(costs: list[_Costs]) -> _Costs:
    return _Costs(
        sum(cost.value for cost in costs),
        sum(cost.null or 0.0 for cost in costs),
        sum(cost.within for cost in costs),
        sum(cost.interval for cost in costs),
        sum(cost.in_run for cost in costs),
    )
