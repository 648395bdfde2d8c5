"""Which score predicts performance? Correlations over training lineages, and what they are worth.

The unit is the lineage, labels are permuted jointly over all columns, and the best of many correlations is
judged by the largest one that permuted labels give (`alignbench.stats.correlations`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.experiments.validity.table import Table, read_table
from alignbench.stats import correlations, explained, smallest_p, without_each
from alignbench.stats.correlation import blocks_of, by_chance, last_of_each, subset_r, subsets_of
from alignbench.stats.prediction import verdict_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.stats import Correlation, FitQuality

    Matrix = NDArray[np.float64]

SUBSET = 3  # encoders: as many as the correlation was made of that this answers
STRONG = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Link:
    """One score with one outcome.

    Args:
        correlation: the coefficients and their p.
        explained: R² and its kin of the score alone; its p is that of the correlation.
        without: family -> Pearson's r without its encoders; None where too few are left.
    """

    correlation: Correlation
    explained: FitQuality
    without: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Paradox:
    """What three encoders would have said: all their subsets, or as many as were drawn, in every column.

    Args:
        metric, outcome: whose correlation.
        size: encoders in a subset.
        subsets: how many there are of lineages.
        drawn: how many were looked at.
        strong: |r| -> the share of subsets (and columns) that reach it.
        by_chance: the same of independent normal data.
        opposite: the share with another sign than the correlation of all.
        smallest_p: the smallest two-sided p that so few can give.
        r: the coefficients of all that were looked at [subsets * columns].
    """

    metric: str
    outcome: str
    size: int
    subsets: int
    drawn: int
    strong: Mapping[str, float]
    by_chance: Mapping[str, float]
    opposite: float
    smallest_p: float
    r: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Validity:
    """What a table says of scores as predictors.

    Args:
        name: what the table is over.
        table: the table.
        links: of every metric with every outcome, outcome by outcome.
        together: outcome -> what all metrics explain at once.
        paradoxes: of every metric with every outcome.
        agreement: outcome or metric -> how its columns agree: the mean correlation between any two. Noise in
            an outcome bounds what any score can reach.
        left_out: what is not in it, and why.
        statement: what may be concluded, in a sentence.
    """

    name: str
    table: Table
    links: tuple[Link, ...]
    together: Mapping[str, FitQuality]
    paradoxes: tuple[Paradox, ...]
    agreement: Mapping[str, float]
    left_out: Mapping[str, str]
    statement: str

    @property
    def lineages(self) -> int:
        """How many trainings there are."""
        return len(set(self.table.lineages))

    @property
    def best(self) -> Link | None:
        """The link that stands out most: of the smallest adjusted p, the largest |r|."""
        return min(
            self.links,
            key=lambda one: (one.correlation.p_adjusted, -abs(one.correlation.pearson)),
            default=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        table = self.table
        return {
            "name": self.name,
            "statement": self.statement,
            "lineages": self.lineages,
            "encoders": [
                {"encoder": e, "lineage": lineage, "family": family}
                for e, lineage, family in zip(table.encoders, table.lineages, table.families, strict=True)
            ],
            "columns": list(table.columns),
            "links": [
                {
                    **asdict(one.correlation),
                    "estimable": one.correlation.estimable,
                    "explained": asdict(one.explained),
                    "without_family": dict(one.without),
                }
                for one in self.links
            ],
            "all_metrics_together": {name: asdict(one) for name, one in self.together.items()},
            "paradox": [
                {key: value for key, value in asdict(one).items() if key != "r"} for one in self.paradoxes
            ],
            "agreement_of_columns": dict(self.agreement),
            "left_out": dict(self.left_out),
        }


def validity(table: Table, name: str = "", *, seed: int = 42) -> Validity:
    """Return what a table says of its metrics as predictors of its outcomes.

    Args:
        table: encoders with scores and outcomes.
        name: what the table is over.
        seed: of drawn orders and subsets.

    Raises:
        InputError: values that are not finite, or shapes that don't match.
    """
    found = correlations(table.metrics, table.outcomes, table.lineages, seed=seed)
    rows = blocks_of(table.lineages, len(table.encoders)).ravel()
    families = [table.families[row] for row in rows]
    lineages = [table.lineages[row] for row in rows]
    scores = {name: values[rows] for name, values in table.metrics.items()}
    goals = {name: values[rows] for name, values in table.outcomes.items()}
    links, paradoxes = [], []
    for one in found:
        x, y = scores[one.metric], goals[one.outcome]
        links.append(
            Link(one, explained(x[:, None, :], y, lineages, permute=False), without_each(x, y, families))
        )
        paradoxes.append(_paradox(one, x, y, lineages, seed))
    used = list(dict.fromkeys(one.metric for one in found))
    together = {}
    if used:
        every = np.stack([scores[metric] for metric in used], axis=1)
        reached = list(dict.fromkeys(one.outcome for one in found))
        together = {outcome: explained(every, goals[outcome], lineages, seed=seed) for outcome in reached}
    missing = {
        name: "it does not vary over the encoders"
        for name in (*scores, *goals)
        if found and name not in used and name not in together
    }
    agreement = {name: _agreement(values) for name, values in {**scores, **goals}.items()}
    return Validity(
        name=name,
        table=table,
        links=tuple(links),
        together=together,
        paradoxes=tuple(paradoxes),
        agreement={name: value for name, value in agreement.items() if value is not None},
        left_out={**table.left_out, **missing},
        statement=verdict_of(len(set(table.lineages)), found),
    )


def from_table(
    path: Path,
    metrics: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    *,
    seed: int = 42,
) -> Validity:
    """Return the same for a table from elsewhere: a CSV with a row an encoder.

    Args:
        path: a file with the columns `encoder`, `family`, maybe `lineage`, and numbers.
        metrics: the columns of scores; by default those whose name begins with `metric_`.
        outcomes: the columns of performance; by default those that begin with `performance_`.
        seed: of drawn orders and subsets.

    Raises:
        DataError: the file can't be used: with file, line and column.
    """
    return validity(read_table(path, metrics, outcomes), path.stem, seed=seed)


def _paradox(one: Correlation, x: Matrix, y: Matrix, lineages: Sequence[str], seed: int) -> Paradox:
    units = last_of_each(lineages)
    chosen = subsets_of(units, SUBSET, seed)
    r = subset_r(x, y, chosen).ravel()
    r = r[np.isfinite(r)]
    return Paradox(
        metric=one.metric,
        outcome=one.outcome,
        size=SUBSET,
        subsets=math.comb(len(units), SUBSET),
        drawn=len(chosen),
        strong={f"{level:g}": float((np.abs(r) >= level).mean()) for level in STRONG},
        by_chance={f"{level:g}": by_chance(SUBSET, level) for level in STRONG},
        opposite=float((np.sign(r) != np.sign(one.pearson)).mean()),
        smallest_p=smallest_p(SUBSET),
        r=tuple(r.tolist()),
    )


def _agreement(values: Matrix) -> float | None:
    """Return the mean correlation between any two columns; None of one column, or where one does not vary."""
    if values.shape[1] < 2 or not (np.ptp(values, axis=0) > 0).all():
        return None
    r: Matrix = np.atleast_2d(np.corrcoef(values.T))
    return float(r[np.triu_indices(len(r), 1)].mean())
