"""Claims that several scores together predict an outcome: a polynomial, in the sample and out of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats import explained
from alignbench.stats.correlation import blocks_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.experiments.validity.table import Table
    from alignbench.stats import FitQuality

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Claim:
    """That a polynomial of some scores predicts every outcome of a table.

    Args:
        name: what the combination is called.
        metrics: the columns of the scores.
        degree: the degree of the polynomial.
    """

    name: str
    metrics: tuple[str, ...]
    degree: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a claim is worth for one outcome.

    Args:
        claim: the claim.
        outcome: the outcome.
        quality: R² in the sample, Q² for lineages that were left out, R² by chance, and p.
        without: family -> the same without its encoders; None if too few are left to fit.
    """

    claim: Claim
    outcome: str
    quality: FitQuality
    without: Mapping[str, FitQuality | None]


def monomials(scores: ArrayLike, degree: int) -> Matrix:
    """Return all products of at most `degree` of the standardised scores [units, terms]; no constant.

    A least-squares fit with a constant is the same whatever the scores' units and zero points.

    Args:
        scores: [units, k].
        degree: the degree of the polynomial.

    Raises:
        InputError: the degree is below 1, or a score does not vary.
    """
    x = np.asarray(scores, dtype=np.float64)
    if degree < 1 or not (np.ptp(x, axis=0) > 0).all():
        raise InputError("monomials: expected a degree of at least 1 and scores that vary")
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    terms = [
        np.prod(x[:, list(chosen)], axis=1)
        for size in range(1, degree + 1)
        for chosen in itertools.combinations_with_replacement(range(x.shape[1]), size)
    ]
    return np.stack(terms, axis=1)


def judge_claim(claim: Claim, table: Table, *, seed: int = 42) -> list[Judged]:
    """Return what a claim is worth for each outcome of a table that has its scores; without them, nothing.

    Args:
        claim: the claim.
        table: one block.
        seed: the seed of drawn orders.
    """
    if not set(claim.metrics) <= set(table.metrics):
        return []
    rows = blocks_of(table.lineages, len(table.encoders)).ravel()
    lineages = [table.lineages[row] for row in rows]
    families = np.asarray([table.families[row] for row in rows])
    scores = np.column_stack([table.metrics[name][rows, 0] for name in claim.metrics])
    judged = []
    for outcome, values in table.outcomes.items():
        y = values[rows, 0]
        without: dict[str, FitQuality | None] = {}
        for family in dict.fromkeys(families.tolist()):
            rest = families != family
            names = [name for name, kept in zip(lineages, rest, strict=True) if kept]
            without[family] = _fit(scores[rest], y[rest], names, claim.degree, seed, permute=False)
        quality = _fit(scores, y, lineages, claim.degree, seed, permute=True)
        if quality is not None:
            judged.append(Judged(claim, outcome, quality, without))
    return judged


def _fit(
    scores: Matrix, y: Matrix, lineages: list[str], degree: int, seed: int, *, permute: bool
) -> FitQuality | None:
    """Return the quality of a fit; None if it has as many terms as there are units, or nothing varies."""
    if len(y) < 3 or not (np.ptp(scores, axis=0) > 0).all() or not np.ptp(y) > 0:
        return None
    terms = monomials(scores, degree)
    if len(y) <= terms.shape[1] + 1 or len(set(lineages)) < 3:
        return None
    return explained(terms, y, lineages, seed=seed, permute=permute)
