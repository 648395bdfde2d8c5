"""How each metric's seconds and memory grow with the number of pairs, with fitted exponents."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from alignbench.experiments.many import most_groups, subsample
from alignbench.experiments.queried import asks
from alignbench.experiments.scoring import Settings, evaluate_pair, forget
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.types import Pair

    Vectors = NDArray[np.float32]

_MOST_SECONDS = 120.0  # more pairs are not tried above this


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a metric of n pairs costs: CPU seconds, peak MiB, and the mark of a part that stands for all."""

    n: int
    seconds: float
    mib: float
    part: str

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.mib:,.0f}{self.part}"


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add the sizes, the metrics, and how much of a score is computed."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 100_000])
    parser.add_argument("--growth-width", type=int, default=128)
    default = [name for name in METRICS.names() if METRICS.get(name).default]
    parser.add_argument("--growth-metrics", nargs="+", default=default)
    parser.add_argument("--growth-whole", action="store_true", help="null and interval, too")


def measure(options: argparse.Namespace) -> None:
    """Print a row per metric: seconds and MiB at each size, and the exponents."""
    rng = np.random.default_rng(0)
    shape = (2, max(options.sizes), options.growth_width)
    x, y = rng.standard_normal(shape, dtype=np.float32)
    y += x
    what = "value, null and interval" if options.growth_whole else "value alone"
    sizes = ", ".join(f"{n:,}" for n in options.sizes)
    print(
        f"{what}, {options.growth_width} columns, as in a run: "
        f"CPU seconds and peak MiB beside the vectors at n = {sizes}"
    )
    print("s: of a sample of the groups; q: some groups asked among all")
    for name in options.growth_metrics:
        metric, costs = METRICS.get(name), list[_Cost]()
        for n in options.sizes:
            costs.append(_cost(metric, x[:n], y[:n], whole=options.growth_whole))
            if costs[-1].seconds > _MOST_SECONDS:
                break
        print(f"  {name:<22} {' | '.join(map(str, costs))} | {_exponents(costs)}", flush=True)


def _cost(metric: Metric, x: Vectors, y: Vectors, *, whole: bool) -> _Cost:
    """Return what a score of these rows costs; seconds and memory are measured in calls of their own."""
    settings, n = Settings(), len(x)

    def score() -> tuple[float, float]:
        pair = pair_of(x.copy(), y.copy())  # moments of arrays that are known are not computed again
        forget()
        before = time.process_time(), tracemalloc.get_traced_memory()[0]
        evaluate_pair(metric, _part(metric, pair), settings, null=whole, interval=whole)
        return time.process_time() - before[0], (tracemalloc.get_traced_memory()[1] - before[1]) / 2**20

    with threadpool_limits(1, user_api="blas"):
        seconds, _ = score()
        tracemalloc.start()
        try:
            _, mib = score()
        finally:
            tracemalloc.stop()
    return _Cost(n, seconds, mib, " q" if asks(metric, n) else " s" if most_groups(metric, n) < n else "")


def _part(metric: Metric, pair: Pair) -> Pair:
    """Return what a run looks at: the pair, or a sample of it."""
    most = most_groups(metric, len(pair))
    return pair if most == len(pair) else subsample(pair, most, Settings().seed)


def _exponents(costs: list[_Cost]) -> str:
    """Return the slopes of the logarithms over the three largest sizes of which all pairs were compared."""
    whole = [cost for cost in costs if not cost.part][-3:]
    if len(whole) < 2:
        return "?"
    n, seconds, mib = (np.log([getattr(cost, name) for cost in whole]) for name in ("n", "seconds", "mib"))
    of_seconds, of_mib = (float(np.polyfit(n, costs, 1)[0]) for costs in (seconds, mib))
    return f"n^{of_seconds:.1f}, n^{of_mib:.1f}"
