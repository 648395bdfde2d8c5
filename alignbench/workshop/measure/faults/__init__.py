"""What hostile input and a failing machine do to the suite: lost scores, raw tracebacks, hangs.

There are four parts: `kill` (kill -9 at many moments, serial and with workers), `disk` (a full and a
read-only disk at every place that is written), `models` (mutated model files) and `fuzz` (minutes of mutated
input at each entrance for text, arrays and earlier runs). Every count should be 0.
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS: Final = ("kill", "disk", "models", "fuzz")


def main(argv: Sequence[str]) -> int:
    """Run the parts and print their counts; return 1 if one is not 0."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the parts to run")
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of everything that is drawn (default: 0)"
    )
    parser.add_argument("--kills", type=int, default=16, help="how many runs are killed (default: 16)")
    parser.add_argument(
        "--mutations", type=int, default=120, help="how many model files are mutated (default: 120)"
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="how long each entrance is fuzzed (default: 5)"
    )
    parser.add_argument("--entrances", nargs="+", default=None, help="the entrances to fuzz (default: all)")
    options = parser.parse_args(argv)
    failures = 0
    for part in options.only:
        module = importlib.import_module(f"{__name__}.{part}")
        for tally in module.measure(options):
            print(tally.line(), flush=True)
            for example in tally.examples:
                print(f"    {example}", flush=True)
            failures += tally.failures
    return int(failures > 0)
