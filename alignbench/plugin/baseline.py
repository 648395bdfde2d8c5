"""What timings are compared with: saved timings, scaled to the machine's present speed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.reference import slowdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Run = dict[str, dict[str, Any]]  # a test's name -> its timing, as pytest-benchmark saves it

# The numbers of runs, including the one that is compared with, of which a median is taken.
MIDDLE_OF, MIDDLE_OF_AT_LEAST = 5, 3
_TIMES = {"min", "max", "mean", "median", "q1", "q3", "iqr", "stddev", "ld15iqr", "hd15iqr"}


@dataclass
class Baseline:
    """Saved timings, and how those of this run compare with them.

    Args:
        compared: the runs that pytest-benchmark compares with; these objects are its own.
        earlier: the runs before the one that is compared with.
        ratios: test -> how many times as long as expected it took.
        slowdowns: how many times as slow as then the machine itself was during each timing.
    """

    compared: Sequence[Run]
    earlier: Sequence[Run] = ()
    ratios: dict[str, float] = field(default_factory=dict)
    slowdowns: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        # `compare` changes the runs that pytest-benchmark holds, so the saved values are copied before.
        self._saved = [dict(run) for run in self.compared]

    def expected(self, nodeid: str, reference: Mapping[str, float]) -> float | None:
        """Return the median in seconds that unchanged code would have on the machine as it is now.

        It is the lowest of the saved medians, times the machine's own slowdown since then. If there are at
        least three earlier runs and their median is higher, it is that instead, because one lucky run should
        not make all later ones look slow.

        Args:
            nodeid: the test.
            reference: kind -> the seconds that unchanging reference work takes now.
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
        """Record a timing, and let pytest-benchmark compare it with the expected one; no file is changed.

        Args:
            nodeid: the test.
            median: its median in seconds.
            reference: kind -> the seconds that unchanging reference work takes now.
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
    """Return the saved seconds of the reference work; an empty mapping if it was not timed then."""
    reference = (bench.get("extra_info") or {}).get("reference")
    return reference if isinstance(reference, dict) else {}
