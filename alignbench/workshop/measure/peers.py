"""How long each score takes, compared with the fastest other form of it: packages and textbook forms.

All compute in float64 with one thread, and take turns in one process. A ratio is our processor time divided
by that of the fastest peer, or of the bare products, in the same round: below 1, ours is faster. The peak is
the memory that a score needs on top of its inputs, each in a process of its own.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.experiments.speed.machine import Machine, keep_freed_memory, threads
from alignbench.units import plural
from alignbench.workshop.measure import _peers_packages as packages
from alignbench.workshop.measure._peers_contests import Contest, Inputs, contests
from alignbench.workshop.measure._race import Spread, cost_of, race, ratios
from alignbench.workshop.measure.embed import environment
from alignbench.workshop.measure.truth import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NS = (1000, 5000)
WIDTHS = ((768, 4096), (1024, 1024))
ROUNDS = 5
MOST_DIGITS = 16
HOPELESS = 3.0  # a peer that took so many times as long as the fastest one in the first turn is out
OURS, BARE = "ours", "bare"
NOT_HERE = "not installable here"
GOAL, GOAL_BARE = 0.9, 1.15
HEAD = ("score", "ours, s", "fastest peer", "ratio", "to bare products", "equal digits", "peak, MiB")


@dataclass(frozen=True, slots=True)
class Result:
    """One score at one n and two widths.

    Args:
        seconds: the median of our processor time.
        peer: the name of the fastest peer.
        ratio: our time divided by that peer's.
        bare: our time divided by that of the bare products; None if there are none.
        digits: the number of decimal digits in which our value and that peer's are equal.
        peak: the MiB that ours needs on top of its inputs; None if the system does not tell.
    """

    seconds: float
    peer: str
    ratio: Spread
    bare: Spread | None
    digits: int
    peak: float | None

    @property
    def reached(self) -> bool:
        """Whether the goal is reached: faster than any peer, or little slower than the bare products."""
        return self.ratio.median <= GOAL or (self.bare is not None and self.bare.median <= GOAL_BARE)


def main(argv: list[str]) -> int:
    """Install the peers, compare all scores, and print a table for each n and widths."""
    options = _parser().parse_args(argv)
    with threads(1):
        keep_freed_memory()
        if options.peak:
            ((dx, dy),) = options.widths
            print(peak_of(contests(packages.PACKAGES)[options.peak], options.n[0], dx, dy))
            return 0
        print(environment())
        with tempfile.TemporaryDirectory() as folder:
            missing = packages.install(Path(folder))
            for name, reason in missing.items():
                print(f"{name}: {NOT_HERE} ({reason})")
            chosen = contests(missing)
            for n in options.n:
                for dx, dy in options.widths:
                    print(f"\nn = {n:,}, widths {dx:,} and {dy:,}, {plural(options.rounds, 'round')}\n")
                    print(table(HEAD, []), flush=True)
                    inputs = Inputs.drawn(n, dx, dy)
                    results = []
                    for name in options.only:
                        peak = partial(_peak, name, n, dx, dy)
                        results.append(compare(chosen[name], inputs, options.rounds, peak))
                        print(row(name, results[-1]), flush=True)
                    print(f"\n{verdict(results)}")
    return 0


def compare(
    contest: Contest, inputs: Inputs, rounds: int, peak: Callable[[], float | None] = lambda: None
) -> Result:
    """Let all contenders take turns, after a first turn that compares their values.

    Args:
        contest: the score.
        inputs: what it is computed of.
        rounds: the number of turns that count.
        peak: measures the memory of our form.
    """
    arguments = contest.arguments(inputs)
    forms = {OURS: contest.ours, **contest.peers}
    values: dict[str, float] = {}
    first: dict[str, float] = {}
    for name, form in forms.items():

        def run(name: str = name, form: Callable[..., float] = form) -> None:
            values[name] = form(*arguments)

        first[name] = cost_of(run).cpu
    quickest = min(first[name] for name in contest.peers)
    able = [name for name in contest.peers if first[name] <= HOPELESS * quickest]
    work: dict[str, Callable[[], object]] = {name: partial(forms[name], *arguments) for name in (OURS, *able)}
    if contest.bare is not None:
        work[BARE] = partial(contest.bare, *arguments)
    turns = race(work, rounds, calm=math.inf)

    def median(name: str) -> float:
        return statistics.median(turn.costs[name].cpu for turn in turns)

    peer = min(able, key=median)
    return Result(
        seconds=median(OURS),
        peer=peer,
        ratio=ratios(turns, OURS, peer, "cpu"),
        bare=ratios(turns, OURS, BARE, "cpu") if contest.bare else None,
        digits=equal_digits(values[OURS], values[peer]),
        peak=peak(),
    )


def equal_digits(a: float, b: float) -> int:
    """Return in how many decimal digits two values are equal, at most 16."""
    gap = abs(a - b) / max(abs(a), abs(b), sys.float_info.min)
    return MOST_DIGITS if gap == 0 else max(0, min(MOST_DIGITS, math.floor(-math.log10(gap))))


def row(name: str, result: Result) -> str:
    """Return the row of one score; a star marks what misses the goal."""
    cells = [
        name if result.reached else f"{name} *",
        f"{result.seconds:.3f}",
        result.peer,
        str(result.ratio),
        "–" if result.bare is None else str(result.bare),
        str(result.digits),
        "–" if result.peak is None else f"{result.peak:.0f}",
    ]
    return table(HEAD, [cells]).splitlines()[-1]


def verdict(results: Sequence[Result]) -> str:
    """Return how many scores reach the goal."""
    reached = sum(result.reached for result in results)
    goal = f"at most {GOAL} of the fastest peer, or {GOAL_BARE} of the bare products"
    return f"{reached} of {len(results)} reach the goal: {goal}"


def peak_of(contest: Contest, n: int, dx: int, dy: int) -> float | None:
    """Return the MiB that our form needs on top of its inputs, after a first call on a few rows."""
    small, inputs = (contest.arguments(Inputs.drawn(rows, dx, dy)) for rows in (32, n))
    contest.ours(*small)
    return Machine().peak_memory(lambda: contest.ours(*inputs))


def _peak(name: str, n: int, dx: int, dy: int) -> float | None:
    command = [sys.executable, "-m", "alignbench.measure", "peers", "--peak", name]
    command += ["--n", str(n), "--widths", f"{dx}x{dy}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)


def numbers(text: str) -> list[int]:
    """Return the numbers of `1000,5000`."""
    return [int(part) for part in text.split(",")]


def widths(text: str) -> list[tuple[int, int]]:
    """Return the pairs of `768x4096,1024x1024`."""
    pairs = [part.split("x") for part in text.split(",")]
    return [(int(dx), int(dy)) for dx, dy in pairs]


def _parser() -> argparse.ArgumentParser:
    names: Sequence[str] = list(contests(packages.PACKAGES))
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure peers", description=__doc__)
    parser.add_argument("--n", type=numbers, default=list(NS), help="numbers of rows: 1000,5000")
    parser.add_argument(
        "--widths", type=widths, default=list(WIDTHS), help="widths of both sides: 768x4096,1024x1024"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="the scores to compare")
    parser.add_argument("--peak", choices=names, help="measure nothing but the memory of this score")
    return parser
