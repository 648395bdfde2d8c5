"""What timings are compared with: saved ones, brought to the speed that the machine has now."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.reference import slowdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Run = dict[str, dict[str, Any]]  # a test's name -> its timing, as pytest-benchmark saves it

MIDDLE_OF, MIDDLE_OF_AT_LEAST = 5, 3  # runs, the one that is compared with included
_TIMES = {"min", "max", "mean", "median", "q1", "q3", "iqr", "stddev", "ld15iqr", "hd15iqr"}


@dataclass
class Baseline:
    """Saved timings, and how those of this run compare with them.

    Args:
        compared: the runs that pytest-benchmark compares with, as it holds them.
        earlier: runs before the one that is compared with.
        ratios: test -> how many times as long as expected it took.
        slowdowns: how many times as slow the machine itself was for each timing.
    """

    compared: Sequence[Run]
    earlier: Sequence[Run] = ()
    ratios: dict[str, float] = field(default_factory=dict)
    slowdowns: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What pytest-benchmark holds is replaced; what is expected follows from what was saved.
        self._saved = [dict(run) for run in self.compared]

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
            saved = [run[nodeid] for run in runs if nodeid in run]
            return [bench["stats"]["median"] * slowdown(_reference(bench), reference) for bench in saved]

        compared, earlier = now(self._saved), now(self.earlier)
        if not compared:
            return None
        if len(earlier) < MIDDLE_OF_AT_LEAST - 1:
            return min(compared)
        return max(min(compared), statistics.median_low([*compared, *earlier]))

    def compare(self, nodeid: str, median: float, reference: Mapping[str, float]) -> None:
        """Take note of a timing, and have pytest-benchmark compare it with what is expected; no file changes.

        Args:
            nodeid: the test.
            median: its seconds.
            reference: what work that never changes takes now, kind -> seconds.
        """
        expected = self.expected(nodeid, reference)
        if not expected:
            return
        self.ratios[nodeid] = median / expected
        for run, saved in zip(self.compared, self._saved, strict=True):
            if nodeid in saved and (stats := saved[nodeid]["stats"])["median"]:
                self.slowdowns.append(slowdown(_reference(saved[nodeid]), reference))
                change = expected / stats["median"]
                scaled = {name: stats[name] * change for name in _TIMES & stats.keys()}
                run[nodeid] = saved[nodeid] | {"stats": stats | scaled}


def _reference(bench: Mapping[str, Any]) -> dict[str, float]:
    """Return what the reference work took when these timings were saved; nothing where it was not timed."""
    reference = (bench.get("extra_info") or {}).get("reference")
    return reference if isinstance(reference, dict) else {}
