"""Counted outcomes of the inputs of one part."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["accepted", "refused", "traceback", "hang", "crash", "lost", "silent"]
_FAILURES: tuple[Outcome, ...] = ("traceback", "hang", "crash", "lost", "silent")
_EXAMPLES = 20  # the number of failures that are shown


@dataclass
class Tally:
    """Counts of outcomes.

    Args:
        name: the name of the part, as it is printed.
        counts: the number of inputs for each outcome; `lost` counts scores.
        examples: the first failures, one line each.
    """

    name: str
    counts: collections.Counter[Outcome] = field(default_factory=collections.Counter)
    examples: list[str] = field(default_factory=list)
    inputs: int = 0

    def add(self, outcome: Outcome, what: str, number: int = 1) -> None:
        """Count an outcome of the input called `what`."""
        self.counts[outcome] += number
        if outcome in _FAILURES and number and len(self.examples) < _EXAMPLES:
            self.examples.append(f"{outcome}: {what}")

    @property
    def failures(self) -> int:
        """The number of bad outcomes."""
        return sum(self.counts[outcome] for outcome in _FAILURES)

    def line(self) -> str:
        """Return the counts as one line."""
        counts = self.counts
        return (
            f"{self.name}: {self.inputs} inputs tried, {counts['accepted']} accepted, "
            f"{counts['refused']} refused; lost scores {counts['lost']}, silent failures {counts['silent']}, "
            f"raw tracebacks {counts['traceback']}, hangs {counts['hang']}, crashes {counts['crash']}"
        )
