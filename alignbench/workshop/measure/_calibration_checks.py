"""What the draws of a cell show: rejections, tested with Holm's correction over cells; coverage and width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics import METRICS, debiased_cka
from alignbench.stats import LEVEL, holm_rejects
from alignbench.workshop.measure._calibration_cases import CASES
from alignbench.workshop.measure._calibration_cells import E2E

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.workshop.measure._calibration_cells import ScoreDraws

WANTED = 0.90  # the least coverage of 95% intervals
_HUGE = 20_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class RejectionRate:
    """How often a null rejects pairs in which it should find nothing.

    Args:
        column: the draws.
        null: "global", or "within" types.
        draws: the number of p-values.
        rejections: how many of them are at most .05.
        shares: the shares rejected at .01, .05 and .10.
        p: the two-sided binomial p of this many rejections if 5% is true.
    """

    column: ScoreDraws
    null: str
    draws: int
    rejections: int
    shares: tuple[float, float, float]
    p: float

    @property
    def says(self) -> str:
        """The direction of the deviation, if there is one."""
        return "too many" if self.rejections > LEVEL * self.draws else "too few"


def size(column: ScoreDraws) -> RejectionRate | None:
    """Return what the p-values of independent pairs show, or None if there are none or pairs are aligned.

    For pairs that share their types, it is the p within types: the global one detects the types, as it
    should.
    """
    case = CASES[column.cell.case]
    if case.shared:
        return None
    null = "within" if case.separation else "global"
    return size_of(column, null)


def size_of(column: ScoreDraws, null: str) -> RejectionRate | None:
    """Return what the p-values of one null show, whether or not they should find nothing."""
    from scipy.stats import binomtest

    p = column.numbers("within_p" if null == "within" else "p")
    p = p[np.isfinite(p)]
    if not len(p):
        return None
    shares = [float(np.mean(p <= level + _ROUNDING)) for level in (0.01, LEVEL, 0.10)]
    rejections = round(shares[1] * len(p))
    test = binomtest(rejections, len(p), LEVEL)
    return RejectionRate(
        column, null, len(p), rejections, (shares[0], shares[1], shares[2]), float(test.pvalue)
    )


def off(sizes: Sequence[RejectionRate]) -> list[bool]:
    """Return for each cell whether it deviates by Holm's procedure."""
    return holm_rejects([rate.p for rate in sizes], LEVEL)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals contain the expected score, and how wide they are.

    Args:
        column: the draws.
        draws: the number of intervals.
        expected: the mean score over all draws, which an interval at this n is meant to contain.
        covered: the share of intervals that contain it.
        below: the share of intervals that lie entirely below it.
        of_population: the share that contains the value for infinitely many pairs; only for debiased CKA.
        width: the mean width over 2 · 1.96 · the standard deviation of the scores over draws.
        p: the one-sided binomial p of this coverage if 90% is true.
    """

    column: ScoreDraws
    draws: int
    expected: float
    covered: float
    below: float
    of_population: float | None
    width: float
    p: float

    @property
    def flagged(self) -> bool:
        """Whether a run flags this interval as conservative."""
        name = self.column.score
        return name in METRICS.names() and METRICS.get(name).interval == "blocks"

    @property
    def above(self) -> float:
        """The share of intervals that lie entirely above the expected score."""
        return 1 - self.covered - self.below

    @property
    def short(self) -> bool:
        """Whether the intervals cover less than they should."""
        return self.covered < WANTED


def coverage(column: ScoreDraws) -> Coverage | None:
    """Return how good the intervals are, or None if there are none."""
    from scipy.stats import binomtest

    values, low, high = (column.numbers(name) for name in ("value", "low", "high"))
    there = np.isfinite(low)
    if there.sum() < 2:
        return None
    expected = float(np.nanmean(values))
    low, high = low[there], high[there]
    covered = (low <= expected + _ROUNDING) & (expected <= high + _ROUNDING)
    spread = float(np.nanstd(values, ddof=1))
    population = None
    if column.score == "debiased_cka":
        truth = _population(column.cell.case)
        population = float(((low <= truth) & (truth <= high)).mean())
    return Coverage(
        column,
        len(low),
        expected,
        float(covered.mean()),
        float((high < expected - _ROUNDING).mean()),
        population,
        float((high - low).mean() / (2 * 1.96 * spread)) if spread else np.inf,
        float(binomtest(int(covered.sum()), len(low), WANTED, alternative="less").pvalue),
    )


@cache
def _population(case: str) -> float:
    """Return debiased CKA of a huge sample, close enough to the population's."""
    known = CASES[case]
    pair = known.draw(_HUGE, 0)
    return debiased_cka(pair.x.values[:: known.wordings], pair.y.values[:: known.wordings])


def trained(column: ScoreDraws) -> bool:
    """Whether the score needs a training; then p is twice the median over splits, valid but not exact."""
    return column.cell.metric == E2E
