"""How much longer collecting the benchmarks takes than an empty project, and what that imports."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alignbench.workshop.measure._suite import workplace

HEAVY = ("torch", "transformers", "sklearn", "umap", "matplotlib")
_PROBE = f"""
import sys

def pytest_unconfigure():
    print("imported:", [name for name in {HEAVY!r} if name in sys.modules])
"""


def _timed(folder: Path, *args: str) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", *args, "--collect-only", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return time.perf_counter() - started


def main(argv: list[str]) -> None:
    """Collect the benchmarks and an empty project in turns, and print the medians and their difference."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure collect", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args(argv).rounds
    ours, empty = [], []
    with tempfile.TemporaryDirectory() as folder, workplace() as place:
        nothing = Path(folder)
        (nothing / "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
        for _ in range(rounds):
            empty.append(_timed(nothing))
            ours.append(_timed(place.root, "benchmarks"))
        (place.root / "probe.py").write_text(_PROBE, encoding="utf-8")
        variables = {"PYTHONPATH": str(place.root)}
        probed = place.finish("--collect-only", "-p", "probe", variables=variables)
        probed.check_returncode()
    difference = statistics.median(ours) - statistics.median(empty)
    print(
        f"collect-only, median of {rounds}: benchmarks {statistics.median(ours):.2f} s, "
        f"an empty project {statistics.median(empty):.2f} s, difference {difference:.2f} s"
    )
    imported = next(line for line in probed.stdout.splitlines() if line.startswith("imported:"))
    print(f"of {', '.join(HEAVY)} - {imported}")
