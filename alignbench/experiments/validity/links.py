"""Which score predicts performance? Correlations over training lineages, and how far to trust them.

The unit is the lineage, labels are permuted jointly over all columns, and the best of many correlations is
compared with the largest one that permuted labels give (`alignbench.stats.correlations`).
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

SUBSET = 3  # encoders, as many as in the published correlation that this examines
STRONG = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Link:
    """The relation of one score with one outcome.

    Args:
        correlation: the coefficients and their p.
        explained: R² and related measures of the score alone; its p is that of the correlation.
        without: family -> Pearson's r without its encoders; None if too few are left.
    """

    correlation: Correlation
    explained: FitQuality
    without: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Paradox:
    """The correlations of subsets of three encoders, all of them or a random choice, in every column.

    Args:
        metric, outcome: what is correlated.
        size: the number of encoders in a subset.
        subsets: how many subsets of the lineages there are.
        drawn: how many of them were examined.
        strong: |r| -> the share of subsets (and columns) that reach it.
        by_chance: |r| -> the share of independent normal data that reaches it.
        opposite: the share with the opposite sign to the correlation over all encoders.
        smallest_p: the smallest two-sided p that a subset can give.
        r: the coefficients of all subsets examined [subsets * columns].
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
    """What a table says about scores as predictors.

    Args:
        name: the name of the table.
        table: the table.
        links: the links of every metric with every outcome, sorted by outcome.
        together: outcome -> what all metrics together explain of it.
        paradoxes: the paradox of every metric with every outcome.
        agreement: outcome or metric -> the mean correlation between any two of its columns. Noise in an
            outcome bounds the correlation that any score can reach.
        left_out: encoder, metric or outcome -> why it is left out.
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
        """The number of lineages."""
        return len(set(self.table.lineages))

    @property
    def best(self) -> Link | None:
        """The link with the smallest adjusted p and, among equals, the largest |r|."""

        def key(link: Link) -> tuple[float, float]:
            return link.correlation.p_adjusted, -abs(link.correlation.pearson)

        return min(self.links, key=key, default=None)

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
                    **asdict(link.correlation),
                    "estimable": link.correlation.estimable,
                    "explained": asdict(link.explained),
                    "without_family": dict(link.without),
                }
                for link in self.links
            ],
            "all_metrics_together": {name: asdict(quality) for name, quality in self.together.items()},
            "paradox": [
                {key: value for key, value in asdict(paradox).items() if key != "r"}
                for paradox in self.paradoxes
            ],
            "agreement_of_columns": dict(self.agreement),
            "left_out": dict(self.left_out),
        }


def validity(table: Table, name: str = "", *, seed: int = 42) -> Validity:
    """Return what a table says about its metrics as predictors of its outcomes.

    Args:
        table: encoders with scores and outcomes.
        name: the name of the table.
        seed: the seed of random orders and subsets.

    Raises:
        InputError: values are not finite, or shapes don't match.
    """
    all_correlations = correlations(table.metrics, table.outcomes, table.lineages, seed=seed)
    rows = blocks_of(table.lineages, len(table.encoders)).ravel()
    families = [table.families[row] for row in rows]
    lineages = [table.lineages[row] for row in rows]
    scores = {name: values[rows] for name, values in table.metrics.items()}
    goals = {name: values[rows] for name, values in table.outcomes.items()}
    links, paradoxes = [], []
    for correlation in all_correlations:
        x, y = scores[correlation.metric], goals[correlation.outcome]
        quality = explained(x[:, None, :], y, lineages, permute=False)
        links.append(Link(correlation, quality, without_each(x, y, families)))
        paradoxes.append(_paradox(correlation, x, y, lineages, seed))
    together, missing = {}, {}
    if all_correlations:
        used = list(dict.fromkeys(correlation.metric for correlation in all_correlations))
        every = np.stack([scores[metric] for metric in used], axis=1)
        reached = list(dict.fromkeys(correlation.outcome for correlation in all_correlations))
        together = {outcome: explained(every, goals[outcome], lineages, seed=seed) for outcome in reached}
        constant = [name for name in (*scores, *goals) if name not in used and name not in together]
        missing = dict.fromkeys(constant, "it does not vary over the encoders")
    agreement = {name: _agreement(values) for name, values in {**scores, **goals}.items()}
    return Validity(
        name=name,
        table=table,
        links=tuple(links),
        together=together,
        paradoxes=tuple(paradoxes),
        agreement={name: value for name, value in agreement.items() if value is not None},
        left_out={**table.left_out, **missing},
        statement=verdict_of(len(set(table.lineages)), all_correlations),
    )


def from_table(
    path: Path,
    metrics: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    *,
    seed: int = 42,
) -> Validity:
    """Return the same for a table from elsewhere: a CSV file with one row per encoder.

    Args:
        path: a file with the columns `encoder`, `family`, optionally `lineage`, and numbers.
        metrics: the columns of scores; by default those whose name begins with `metric_`.
        outcomes: the columns of performance; by default those that begin with `performance_`.
        seed: the seed of random orders and subsets.

    Raises:
        DataError: the file can't be used; the message has file, line and column.
    """
    return validity(read_table(path, metrics, outcomes), path.stem, seed=seed)


def _paradox(whole: Correlation, x: Matrix, y: Matrix, lineages: Sequence[str], seed: int) -> Paradox:
    units = last_of_each(lineages)
    chosen = subsets_of(units, SUBSET, seed)
    r = subset_r(x, y, chosen).ravel()
    r = r[np.isfinite(r)]
    return Paradox(
        metric=whole.metric,
        outcome=whole.outcome,
        size=SUBSET,
        subsets=math.comb(len(units), SUBSET),
        drawn=len(chosen),
        strong={f"{level:g}": float((np.abs(r) >= level).mean()) for level in STRONG},
        by_chance={f"{level:g}": by_chance(SUBSET, level) for level in STRONG},
        opposite=float((np.sign(r) != np.sign(whole.pearson)).mean()),
        smallest_p=smallest_p(SUBSET),
        r=tuple(r.tolist()),
    )


def _agreement(values: Matrix) -> float | None:
    """Return the mean correlation between any two columns; None for one column, or if one does not vary."""
    if values.shape[1] < 2 or not (np.ptp(values, axis=0) > 0).all():
        return None
    r: Matrix = np.atleast_2d(np.corrcoef(values.T))
    return float(r[np.triu_indices(len(r), 1)].mean())
