"""What timings are compared with: saved ones, brought to the speed that the machine has now."""

from __future__ import annotations

import json
import statistics
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.reference import slowdown
from alignbench.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    Run = Mapping[str, dict[str, Any]]  # a test's name -> its timing, as pytest-benchmark saves it

MIDDLE_OF, MIDDLE_OF_AT_LEAST = 5, 3  # runs, the one that is compared with included
_TIMES = {"min", "max", "mean", "median", "q1", "q3", "iqr", "stddev", "ld15iqr", "hd15iqr"}


@dataclass
class Baseline:
    """Saved timings.

    Args:
        compared: the runs that pytest-benchmark compares with, as it holds them.
        earlier: runs before the one that is compared with.
        slowdowns: how many times as slow the machine itself was for each timing so far.
    """

    compared: Sequence[Run]
    earlier: Sequence[Run] = ()
    slowdowns: list[float] = field(default_factory=list)
    _saved: tuple[Run, ...] = field(init=False)

    def __post_init__(self) -> None:
        # What pytest-benchmark holds is adjusted; what is expected follows from what was saved.
        self._saved = tuple(
            {nodeid: bench | {"stats": dict(bench["stats"])} for nodeid, bench in run.items()}
            for run in self.compared
        )

    def expected(self, nodeid: str, reference: Mapping[str, float]) -> float | None:
        """Return the median that unchanged code has on the machine as it is now, in seconds.

        It is the saved one, the lowest of several, times what the machine itself has become slower since. One
        lucky run is no measure of what comes after: where the middle of the last runs, three at least, is
        higher, it is that.

        Args:
            nodeid: the test.
            reference: what work that never changes takes now, kind -> seconds.
        """

        def now(runs: Iterable[Run]) -> list[float]:
            found = [run[nodeid] for run in runs if nodeid in run]
            return [bench["stats"]["median"] * slowdown(_reference(bench), reference) for bench in found]

        compared, earlier = now(self._saved), now(self.earlier)
        if not compared:
            return None
        if len(earlier) < MIDDLE_OF_AT_LEAST - 1:
            return min(compared)
        return max(min(compared), statistics.median_low([*compared, *earlier]))

    def adjust(self, nodeid: str, reference: Mapping[str, float]) -> None:
        """Replace what pytest-benchmark compares a timing with by what is expected; no file changes."""
        expected = self.expected(nodeid, reference)
        for bench in (run[nodeid] for run in self.compared if nodeid in run):
            self.slowdowns.append(slowdown(_reference(bench), reference))
            stats = bench["stats"]
            if expected and stats["median"]:
                change = expected / stats["median"]
                stats |= {name: stats[name] * change for name in _TIMES & stats.keys()}

    def ratios(self, medians: Mapping[str, float]) -> dict[str, float]:
        """Return how many times as long each test took as expected, of those that were saved."""
        expected = {nodeid: self._adjusted(nodeid) for nodeid in medians}
        return {nodeid: medians[nodeid] / median for nodeid, median in expected.items() if median}

    def _adjusted(self, nodeid: str) -> float:
        return min((run[nodeid]["stats"]["median"] for run in self.compared if nodeid in run), default=0.0)


def runs_like(machine_info: Mapping[str, Any], paths: Iterable[Path]) -> Iterator[Run]:
    """Return the timings in these files, but for runs of another machine."""
    for path in paths:
        with suppress(
            OSError, ValueError, KeyError, TypeError, RecursionError
        ):  # a file that can't be read is no measure of anything
            run = json.loads(read_regular(path))
            if run["machine_info"] == machine_info:
                yield {bench["fullname"]: bench for bench in run["benchmarks"]}


def _reference(bench: Mapping[str, Any]) -> dict[str, float]:
    """Return what the reference work took when these timings were saved; nothing where it was not timed."""
    found = (bench.get("extra_info") or {}).get("reference")
    return found if isinstance(found, dict) else {}
