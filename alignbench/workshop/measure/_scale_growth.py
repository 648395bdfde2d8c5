"""How each metric's seconds and memory grow with the number of pairs, with fitted exponents."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from alignbench.experiments.many import in_blocks
from alignbench.experiments.scoring import Settings, evaluate_pair, forget
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of

if TYPE_CHECKING:
    import argparse

    from alignbench.metrics import Metric
    from alignbench.types import Pair

_MOST_BYTES = (
    3 * 2**30
)  # above this, a metric of n x n matrices is not computed here, and in a run it is sampled
_MOST_SECONDS = 60.0


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add the sizes."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 100_000])
    parser.add_argument("--growth-width", type=int, default=128)


def measure(options: argparse.Namespace) -> None:
    """Print a row per metric: seconds and MiB at each size, and the exponents."""
    rng = np.random.default_rng(0)
    shape = (2, max(options.sizes), options.growth_width)
    x, y = rng.standard_normal(shape, dtype=np.float32)
    y += x
    pairs = [pair_of(x[:n].copy(), y[:n].copy()) for n in options.sizes]
    print(f"value alone, {options.growth_width} columns: CPU seconds and peak MiB at n = {options.sizes}")
    for name in METRICS:
        metric, row = METRICS.get(name), []
        for pair in pairs:
            if not in_blocks(metric, len(pair)) and (len(pair) > 30_000 or _is_large(metric, len(pair))):
                break
            row.append((len(pair), *_cost(metric, pair)))
            if row[-1][1] > _MOST_SECONDS:
                break
        seconds = "  ".join(f"{s:7.2f}" for _, s, _ in row)
        mib = "  ".join(f"{m:6.0f}" for _, _, m in row)
        print(f"  {name:<22} {metric.grows:<7} s {seconds} (n^{_exponent(row, 1)})", end="")
        print(f"  MiB {mib} (n^{_exponent(row, 2)})", flush=True)


def _is_large(metric: Metric, n: int) -> bool:
    return metric.memory(n, 0) > _MOST_BYTES and metric.streamed is None


def _cost(metric: Metric, pair: Pair) -> tuple[float, float]:
    """Return the CPU seconds and the peak MiB of a value; both in calls of their own."""

    def value(of: Pair) -> None:
        evaluate_pair(metric, of, Settings(), null=False, interval=False)

    # New arrays each time, as moments of known ones are not computed again.
    first, second = (pair_of(pair.x.values.copy(), pair.y.values.copy()) for _ in range(2))
    forget()
    started = time.process_time()
    value(first)
    seconds = time.process_time() - started
    forget()
    tracemalloc.start()
    try:
        value(second)
        return seconds, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _exponent(row: list[tuple[int, float, float]], column: int) -> str:
    """Return the slope of the logarithms over the three largest sizes."""
    points = np.asarray([(entry[0], entry[column]) for entry in row[-3:] if entry[column] > 0])
    if len(points) < 2:
        return "?"
    n, cost = np.log(points.T)
    return f"{np.polyfit(n, cost, 1)[0]:.1f}"
