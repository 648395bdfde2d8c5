"""How long a default run takes: cold (models loaded, all embedded) and warm (embeddings cached)."""

from __future__ import annotations

import argparse
import os
import statistics

from alignbench.measure._suite import workplace


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
            loads = len(place.latest()[0]["loads"])
            warm.append(place.run())
            again = len(place.latest()[0]["loads"])
            print(f"cold {cold[-1]:5.1f} s, {loads} loads; warm {warm[-1]:5.1f} s, {again} loads")
    print(
        f"default run, {os.cpu_count()} cores, median of {rounds}: "
        f"cold {statistics.median(cold):.1f} s, warm {statistics.median(warm):.1f} s"
    )
