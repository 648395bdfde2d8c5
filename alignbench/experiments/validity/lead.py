"""Whether one score goes with an outcome more closely than another, over lineages that are drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats import rng_for
from alignbench.stats.correlation import ESTIMABLE, last_of_each, subset_r

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.experiments.validity.table import Table

DRAWS = 9_999


@dataclass(frozen=True, slots=True)
class Lead:
    """The lead of one score over another in |r| with an outcome.

    Args:
        metric, other, outcome: |r| of `metric` with `outcome` minus that of `other`.
        value: the lead, each r a mean over columns.
        low, high: its 95% percentile interval over lineages that are drawn with replacement.
    """

    metric: str
    other: str
    outcome: str
    value: float
    low: float
    high: float


def lead(table: Table, metric: str, other: str, outcome: str, *, seed: int = 42) -> Lead:
    r"""Return $|r_\mathrm{metric}| - |r_\mathrm{other}|$ with an outcome, and its bootstrap interval.

    Lineages are drawn with replacement, the same for both scores and all columns; of a lineage, its last
    checkpoint stands for it. A draw of fewer than five different lineages is drawn again.

    Args:
        table: encoders with scores and outcomes.
        metric: one of its scores.
        other: the score that it is held against.
        outcome: one of its outcomes.
        seed: the seed of the draws.

    Raises:
        InputError: there are fewer than five lineages.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, 13.3.
    """
    units = last_of_each(table.lineages)
    if len(units) < ESTIMABLE:
        raise InputError(f"a lead needs {ESTIMABLE} lineages, and there are {len(units)}")
    y, whole = table.outcomes[outcome][units], np.arange(len(units))[None]

    def strength(name: str, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        r: NDArray[np.float64] = subset_r(table.metrics[name][units], y, chosen).mean(axis=1)
        return np.abs(r)

    drawn = _drawn(len(units), seed)
    leads = strength(metric, drawn) - strength(other, drawn)
    low, high = np.percentile(leads, [2.5, 97.5])
    value = strength(metric, whole)[0] - strength(other, whole)[0]
    return Lead(metric, other, outcome, float(value), float(low), float(high))


def _drawn(units: int, seed: int) -> NDArray[np.intp]:
    """Return units drawn with replacement [draws, units], each draw with enough different ones."""
    rng = rng_for(seed, "lineages drawn again")
    drawn = rng.integers(units, size=(DRAWS, units))
    while (few := np.asarray([len(set(draw)) < ESTIMABLE for draw in drawn.tolist()])).any():
        drawn[few] = rng.integers(units, size=(int(few.sum()), units))
    return drawn
