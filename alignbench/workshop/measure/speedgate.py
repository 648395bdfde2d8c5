"""How often the speed gate fails on unchanged code, and whether it catches a planted slowdown."""

from __future__ import annotations

import argparse
import json
import re
import statistics
from typing import TYPE_CHECKING

from alignbench.experiments.speed.machine import Machine
from alignbench.workshop.measure._suite import CONFTEST, workplace

if TYPE_CHECKING:
    import subprocess

    from alignbench.workshop.measure._suite import Workplace

GATE = ("--benchmark-compare", "--benchmark-compare-fail=median:10%")
PLANTED = (
    CONFTEST
    + """
import time

from alignbench.encoders.base import Encoder

FACTOR = {factor}


def slower(forward):
    def wrapper(self, batch):
        started = time.process_time()
        vectors = forward(self, batch)
        now = time.process_time()
        end = now + (FACTOR - 1) * (now - started)
        while time.process_time() < end:
            pass
        return vectors

    return wrapper


Encoder.forward = slower(Encoder.forward)
"""
)


def main(argv: list[str]) -> None:
    """Save timings once, then compare unchanged code and slower encoders with them."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure speedgate", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of unchanged code")
    parser.add_argument("--planted", type=int, default=3, help="runs of each slowdown")
    parser.add_argument(
        "--factors",
        type=float,
        nargs="*",
        default=[1.3, 2.0],
        help="how many times slower the encoders become",
    )
    options = parser.parse_args(argv)
    with workplace() as place:
        for path in (place.root / "benchmarks").glob("test_*.py"):
            if path.name != "test_speed.py":
                path.unlink()
        place.run("-p", "no:randomly")
        first = next(place.root.glob("reports/speed/*/*/0001_*.json"))
        print(f"saved: {len(json.loads(first.read_text(encoding='utf-8'))['benchmarks'])} timings")
        passed = sum(_one(place, "unchanged") == 0 for _ in range(options.runs))
        print(f"unchanged code: {passed} of {options.runs} runs passed")
        for factor in options.factors:
            (place.root / "conftest.py").write_text(PLANTED.format(factor=factor), encoding="utf-8")
            caught = sum(
                _one(place, f"encoders {factor:g} times slower") == 1 for _ in range(options.planted)
            )
            print(f"encoders {factor:g} times slower: caught in {caught} of {options.planted} runs")


def _one(place: Workplace, what: str) -> int:
    """Compare one run with the last good one, print the result, and return its exit status."""
    machine = Machine()
    since = machine.usage()
    result = place.finish("-p", "no:randomly", "--align-no-figures", *GATE)
    used = machine.usage()
    load = None if used.everybody is None or since.everybody is None else used.everybody - since.everybody
    busy = "" if load is None else f"; {load / (used.at - since.at):.1f} of {machine.cores} cores busy in all"
    print(f"{what}: exit {result.returncode}, {_verdict(result)}{busy}", flush=True)
    if result.returncode not in (0, 1):
        raise SystemExit(result.stdout[-3000:] + result.stderr[-1000:])
    return result.returncode


def _verdict(result: subprocess.CompletedProcess[str]) -> str:
    """Return the gate's result in one line, with the number of slower timings and their ratio."""
    text = " ".join(result.stdout.split())
    compared = re.search(r"\d+ of \d+ timings compared: \d+ slower by more than \d+%, \d+ faster", text)
    line = compared.group(0) if compared else "nothing compared"
    if machine := re.search(r"the machine itself is (\d+\.\d+) times as slow", text):
        line += f", the machine itself {machine.group(1)} times as slow"
    if unjudged := re.search(r"not judged: (\d+)", text):
        line += f", {unjudged.group(1)} not judged"
    if ratios := [float(ratio) for ratio in re.findall(r"(\d+\.\d+) times as long", text)]:
        line += f" (the median slow timing takes {statistics.median(ratios):.2f} times as long)"
    return line
