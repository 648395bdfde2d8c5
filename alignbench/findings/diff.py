"""Compares two runs: which scores changed, which by more than chance, and which beyond their gates."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.errors import UnlikeError
from alignbench.findings.gate import check_gates, rounding
from alignbench.findings.unlike import TIMED, machines_differ, same_data, what_else_differs, why_unlike
from alignbench.stats import joint_of, paired_difference, unpaired_difference
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.findings.findings import Findings
    from alignbench.findings.gate import Gate
    from alignbench.types import Interval, Score


@dataclass(frozen=True, slots=True)
class Difference:
    """One score in two runs.

    Args:
        before: the score in run A.
        after: the score in run B.
        interval: the interval of B - A; None if there is none.
        failed: the gate that makes it a regression, if any.
    """

    before: Score
    after: Score
    interval: Interval | None = None
    failed: Gate | None = None

    @property
    def value(self) -> float | None:
        """B - A; None if a run has no value."""
        a, b = self.before.value, self.after.value
        return None if a is None or b is None else b - a

    @property
    def lost(self) -> bool:
        """Whether only A has a value."""
        return self.before.value is not None and self.after.value is None

    @property
    def gained(self) -> bool:
        """Whether only B has a value."""
        return self.before.value is None and self.after.value is not None

    @property
    def changed(self) -> bool:
        """Whether the two differ by more than rounding."""
        a, b = self.before.value, self.after.value
        return a is not b if a is None or b is None else abs(b - a) > rounding(a, b)

    @property
    def better(self) -> bool:
        """Whether B has the better value."""
        return self.gained or (self.value is not None and (self.value > 0) == self.after.higher_is_better)

    @property
    def timed(self) -> bool:
        """Whether it is a timing or a size, which differs in every run."""
        return self.after.experiment == TIMED

    @property
    def paired(self) -> bool:
        """Whether its interval is paired over the same samples."""
        return self.interval is not None and self.interval.method.startswith("paired")

    @property
    def covers_zero(self) -> bool:
        """Whether other samples might have shown no change, or the opposite one."""
        return self.interval is not None and self.interval.low <= 0 <= self.interval.high

    @property
    def order(self) -> tuple[Any, ...]:
        """A key that sorts regressions first, then lost values, then the clearest changes."""
        place = 0 if self.lost else 1 if self.gained else 2 if self.changed else 3
        return (self.failed is None, place, self.interval is None, -self._clearness())

    def _clearness(self) -> float:
        if self.value is None or not self.changed:
            return 0.0
        if self.interval is None:
            return abs(self.value) / max(abs(self.before.value or 0.0), 1e-12)
        half = (self.interval.high - self.interval.low) / 2
        return abs(self.value) / half if half else math.inf


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Args:
        before: run A.
        after: run B.
        differences: the scores in both runs, the most important first.
        only_before: the scores that only A has.
        only_after: the scores that only B has.
        gates: the gates that scores were judged by.
        unlike: the reasons against the comparison, if it was made in spite of them.
        notes: other differences between the runs.
    """

    before: Findings
    after: Findings
    differences: tuple[Difference, ...]
    only_before: tuple[Score, ...]
    only_after: tuple[Score, ...]
    gates: tuple[Gate, ...] = ()
    unlike: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def regressions(self) -> tuple[Difference, ...]:
        """The scores that became worse by more than their gate allows."""
        return tuple(d for d in self.differences if d.failed)

    @property
    def changes(self) -> tuple[Difference, ...]:
        """The scores that changed without being a regression, except timings, which always change."""
        return tuple(d for d in self.differences if d.changed and not d.failed and not d.timed)

    @property
    def timings(self) -> tuple[Difference, ...]:
        """The timings and sizes without a regression."""
        return tuple(d for d in self.differences if d.timed and not d.failed)


def compare(
    before: Findings,
    after: Findings,
    gates: Sequence[Gate] = (),
    *,
    unlike: bool = False,
    option: str = "--fail",
    way_out: str = "--unlike",
) -> Comparison:
    """Compare two runs score by score.

    Args:
        before: run A.
        after: run B.
        gates: how much worse each metric may become.
        unlike: compare the runs even if their data, weights, preprocessing or seeds differ.
        option: the option that gave the gates, for messages.
        way_out: the option that sets `unlike`, for messages.

    Raises:
        UnlikeError: the runs can't be compared; the message has a line for each reason.
        UnknownNameError: the runs have no score in common for a gate's metric.
    """
    matched, only_before, only_after = match(before.scores, after.scores)
    if "answers" in before.run:  # a file of scores alone holds no timings
        only_after = tuple(score for score in only_after if score.experiment != TIMED)
    judged = {score.metric for score, _ in matched}
    check_gates(gates, judged, option, f"of the scores that are in both {before.name} and {after.name}")
    reasons = why_unlike(before.run, after.run, matched)
    gated = {gate.metric for gate in gates}
    timed = [(a, b) for a, b in matched if a.experiment == TIMED and a.metric in gated]
    reasons += machines_differ(before.run, after.run, timed)
    if reasons and not unlike:
        lines = "\n  ".join(map(clean, reasons))
        raise UnlikeError(
            f"A ({before.name}) and B ({after.name}) are not alike; {way_out} compares them all the same:"
            f"\n  {lines}"
        )
    same = same_data(before.run, after.run)
    differences = [difference(a, b, gates, same=same) for a, b in matched]
    notes = [note for note in what_else_differs(before.run, after.run, matched) if note not in reasons]
    return Comparison(
        before,
        after,
        tuple(sorted(differences, key=lambda difference: difference.order)),
        only_before,
        only_after,
        tuple(gates),
        tuple(reasons),
        tuple(notes),
    )


def match(
    before: Iterable[Score], after: Iterable[Score]
) -> tuple[list[tuple[Score, Score]], tuple[Score, ...], tuple[Score, ...]]:
    """Return the scores that are in both runs, as (A's, B's), then those only in A and only in B.

    Scores are matched by what they measure, and also by their test if several tests recorded the same.
    """
    sides = [_by_key(scores) for scores in (before, after)]
    matched: list[tuple[Score, Score]] = []
    for key, first in sides[0].items():
        second = sides[1].get(key, {})
        if len(first) == len(second) == 1:
            matched.append((first.popitem()[1], second.popitem()[1]))
        else:
            common = [test for test in first if test in second]
            matched += [(first.pop(test), second.pop(test)) for test in common]
    only = [tuple(score for by_test in side.values() for score in by_test.values()) for side in sides]
    return matched, only[0], only[1]


def _by_key(scores: Iterable[Score]) -> dict[tuple[str, ...], dict[str | None, Score]]:
    found: dict[tuple[str, ...], dict[str | None, Score]] = {}
    for score in scores:
        at = json.dumps(score.params.get("at"), sort_keys=True, default=str)
        found.setdefault((*score.key, at), {})[score.nodeid] = score
    return found


def difference(before: Score, after: Score, gates: Iterable[Gate] = (), *, same: bool | None) -> Difference:
    """Return how a score differs between two runs.

    Args:
        before: the score in run A.
        after: the score in run B.
        gates: how much worse each metric may become.
        same: whether the runs are of the same samples and groups; None if that is not recorded.
    """
    shared = same is not False and before.dataset == after.dataset
    interval = _interval(before, after, shared=shared)
    failed = next(
        (gate for gate in gates if gate.metric == after.metric and _fails(gate, before, after)), None
    )
    return Difference(before, after, interval, failed)


def _fails(gate: Gate, before: Score, after: Score) -> bool:
    if before.value is None:
        return False
    if after.value is None:  # a score must not escape its gate by having no value
        return True
    return not gate.allows(before.value, after.value, higher_is_better=after.higher_is_better)


def _interval(before: Score, after: Score, *, shared: bool) -> Interval | None:
    if before.value is None or after.value is None:
        return None
    if shared and before.seed == after.seed:  # the seed determines blocks and splits
        joint = joint_of({"first": before, "second": after})
        if joint is not None:
            return paired_difference(before.value, after.value, joint)
    if before.interval is None or after.interval is None:
        return None
    return unpaired_difference(before.value, before.interval, after.value, after.interval)
