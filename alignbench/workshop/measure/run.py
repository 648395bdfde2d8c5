"""How long a default run takes: cold, with an empty cache, and warm, with models loaded only for timing."""

from __future__ import annotations

import argparse
import os
import statistics
from collections import Counter
from typing import TYPE_CHECKING

from alignbench.workshop.measure._suite import workplace

if TYPE_CHECKING:
    from alignbench.workshop.measure._suite import Workplace


def _loads(place: Workplace) -> str:
    """Return how many models were loaded, by purpose."""
    counts = Counter(load["purpose"] for load in place.latest()[0]["loads"])
    return ", ".join(f"{count} for {purpose}" for purpose, count in sorted(counts.items())) or "none"


def main(argv: list[str]) -> None:
    """Run the whole suite cold and warm, in turns, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(argv).rounds
    cold, warm = [], []
    with workplace() as place:
        for _ in range(rounds):
            place.forget_embeddings()
            cold.append(place.run())
            loads = _loads(place)
            warm.append(place.run())
            print(f"cold {cold[-1]:5.1f} s, loads: {loads}; warm {warm[-1]:5.1f} s, loads: {_loads(place)}")
    print(
        f"default run, {os.cpu_count()} cores, median of {rounds}: "
        f"cold {statistics.median(cold):.1f} s, warm {statistics.median(warm):.1f} s"
    )
