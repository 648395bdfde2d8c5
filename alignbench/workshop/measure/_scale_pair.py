"""What null and interval of one pair cost beside the values, for each metric that sees the pairing."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from alignbench.cli.listing import table
from alignbench.experiments.scoring import Settings, evaluate_pair, forget, score_pair
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of, written

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from alignbench.metrics import Metric
    from alignbench.types import Pair

_WIDTHS = (768, 1024)
_CLOSED = 301  # rows, from which on closed forms are used, which import more
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
    parser.add_argument("--pair-whole", action="store_true", help="only all steps in a run, not each alone")


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
        evaluate_pair(METRICS.get("linear_cka"), pair.take(range(min(_CLOSED, rows))), Settings())
        parts = [] if options.pair_whole else [_parts(metric, pair) for metric in metrics]
        forget()
        in_run = [_seconds(_scored, metric, pair) for metric in metrics]
        forget()
        pair = pair_of(*sides)  # whose moments are not known
        only_values = sum(
            _seconds(_evaluated, metric, pair, null=False, interval=False) for metric in metrics
        )
    widths = " x ".join(f"{width:,}" for width in options.pair_widths)
    print(f"CPU seconds of one pair, {rows:,} rows, {widths}, one thread of BLAS:")
    total = sum(in_run)
    if options.pair_whole:
        names = [metric.name for metric in metrics]
        print(
            "\n".join(
                table(("metric", _COLUMNS[-1]), [*zip(names, map("{:.2f}".format, in_run), strict=True)])
            )
        )
    else:
        costs = [_Costs(*of_metric, seconds) for of_metric, seconds in zip(parts, in_run, strict=True)]
        body = [(metric.name, *cost.cells) for metric, cost in zip(metrics, costs, strict=True)]
        print("\n".join(table(("metric", *_COLUMNS), [*body, ("all", *_sum(costs).cells)])))
    bound = f" (aim {_MOST_SECONDS[rows]:.0f})" if rows in _MOST_SECONDS else ""
    print(f"all metrics in one run: {total:.1f} CPU seconds{bound}, their values alone {only_values:.1f}")
    print(f"ratio {total / only_values:.1f} (aim {_MOST_RATIO:.0f})", flush=True)


def _parts(metric: Metric, pair: Pair) -> tuple[float, float | None, float, float]:
    """Return the CPU seconds of value, null, null within classes, and interval, each without the others'."""

    def alone(of: Pair, *, null: bool, interval: bool) -> float:
        forget()
        return _seconds(_evaluated, metric, of, null=null, interval=interval)

    value = alone(pair, null=False, interval=False)
    within = alone(pair, null=True, interval=False)
    interval = alone(pair, null=False, interval=True)
    if metric.needs_labels:
        return value, None, within - value, interval - value
    # Samples of one type are scored without classes.
    null = alone(replace(pair, labels=("chart",) * len(pair)), null=True, interval=False)
    return value, null - value, within - null, interval - value


def _evaluated(metric: Metric, pair: Pair, **how: bool) -> None:
    evaluate_pair(metric, pair, Settings(), **how)


def _scored(metric: Metric, pair: Pair) -> None:
    score_pair(metric, pair, Settings(), experiment="scale")


def _seconds(call: Callable[..., None], *args: Any, **keywords: Any) -> float:
    started = time.process_time()
    call(*args, **keywords)
    return time.process_time() - started


def _sum(costs: list[_Costs]) -> _Costs:
    return _Costs(
        sum(cost.value for cost in costs),
        sum(cost.null or 0.0 for cost in costs),
        sum(cost.within for cost in costs),
        sum(cost.interval for cost in costs),
        sum(cost.in_run for cost in costs),
    )
