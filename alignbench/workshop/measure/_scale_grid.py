"""Several encoders with several LLMs: all pairs in one run, beside as many runs of one pair."""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of, written

if TYPE_CHECKING:
    import argparse

    from alignbench.types import Pair

_AIM = 1 / 5


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add how many models and pairs there are."""
    parser.add_argument("--models", type=int, default=10, help="of each side")
    parser.add_argument("--grid-rows", type=int, default=100_000)
    parser.add_argument("--grid-width", type=int, default=256)
    parser.add_argument("--singles", type=int, default=10, help="how many single runs are measured")
    parser.add_argument("--grid-metrics", nargs="+", default=["linear_cka", "calibrated_cka", "debiased_cka"])


def measure(options: argparse.Namespace) -> None:
    """Print the CPU seconds of all pairs, and of single runs."""
    rows, width, models = options.grid_rows, options.grid_width, options.models
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            [written(Path(folder), f"{side}{i}", rows, width, 100 * number + i) for i in range(models)]
            for number, side in enumerate("xy")
        ]
        pairs = [pair_of(x, y) for x, y in itertools.product(*sides)]
        started = time.process_time()
        for pair in pairs:
            _score(pair, options.grid_metrics)
        together = time.process_time() - started
        single = 0.0
        for number in range(options.singles):
            place = number * len(pairs) // options.singles
            # New arrays, as in a process of its own.
            pair = pair_of(pairs[place].x.values.copy(), pairs[place].y.values.copy())
            started = time.process_time()
            _score(pair, options.grid_metrics)
            single += (time.process_time() - started) / options.singles
    apart = single * len(pairs)
    print(f"{models} x {models} models, {rows:,} pairs, {width} columns: {', '.join(options.grid_metrics)}")
    print(f"  together {together:.1f} CPU seconds; apart {apart:.1f} ({options.singles} runs, multiplied)")
    print(f"  ratio {together / apart:.2f} (aim {_AIM})")


def _score(pair: Pair, metrics: list[str]) -> None:
    for name in metrics:
        score_pair(METRICS.get(name), pair, Settings(), experiment="scale")
