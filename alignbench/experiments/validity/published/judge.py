"""What a table in blocks says: each block alone, all blocks pooled, the claims and the ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DataError
from alignbench.experiments.validity.links import validity
from alignbench.experiments.validity.published.ceiling import ceilings
from alignbench.experiments.validity.published.claims import judge_claim
from alignbench.experiments.validity.table import METRIC_PREFIX
from alignbench.stats.pooled import pooled_correlations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alignbench.experiments.validity.links import Link, Validity
    from alignbench.experiments.validity.published import Published
    from alignbench.experiments.validity.published.ceiling import Ceiling
    from alignbench.experiments.validity.published.claims import Judged
    from alignbench.experiments.validity.table import Table
    from alignbench.stats.pooled import PooledCorrelation

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a table says about its scores as predictors of its outcomes.

    Args:
        about: the table's declaration.
        blocks: block -> what it says alone.
        pooled: every score with every outcome over all blocks; empty for a single block.
        claims: block -> what the table's claims are worth there.
        ceilings: outcome -> how well it agrees with itself over blocks; empty for a single block.
        left_out: encoder -> why it is not in the table.
    """

    about: Published
    blocks: Mapping[str, Validity]
    pooled: tuple[PooledCorrelation, ...]
    claims: Mapping[str, tuple[Judged, ...]]
    ceilings: Mapping[str, Ceiling]
    left_out: Mapping[str, str]

    @property
    def links(self) -> list[tuple[str, Link]]:
        """Every link of a score with an outcome, with its block."""
        return [(block, link) for block, found in self.blocks.items() for link in found.links]

    @property
    def encoders(self) -> list[str]:
        """The encoders of all blocks, each once."""
        return list(dict.fromkeys(name for found in self.blocks.values() for name in found.table.encoders))

    def of_ceiling(self, link: Link) -> float | None:
        """Return Spearman's ρ of a score divided by its outcome's ceiling; None without a ceiling above 0."""
        ceiling = self.ceilings.get(link.correlation.outcome)
        if ceiling is None or ceiling.rho <= 0:
            return None
        return link.correlation.spearman / ceiling.rho


def judge(
    about: Published,
    blocks: Mapping[str, Table],
    *,
    whole: Mapping[str, Table] | None = None,
    left_out: Mapping[str, str] | None = None,
    seed: int = 42,
) -> Judgement:
    """Return what a table in blocks says; values are never compared over blocks.

    Args:
        about: the table's declaration.
        blocks: block -> its encoders, scores and outcomes.
        whole: block -> all of its encoders, also those without scores, for the ceiling; `blocks` by default.
        left_out: encoder -> why it is not in the blocks.
        seed: the seed of drawn orders and subsets.

    Raises:
        InputError: values are not finite, or shapes don't match.
        DataError: the table has no scores, and no two blocks share four encoders, so it says nothing.
    """
    bounds = ceilings(blocks if whole is None else whole)
    if not bounds and not left_out:
        check_says_something(about, blocks)
    scored = {block: table for block, table in blocks.items() if table.metrics}
    return Judgement(
        about=about,
        blocks={block: validity(table, block, seed=seed) for block, table in scored.items()},
        pooled=tuple(_pooled(scored, seed)) if len(scored) > 1 else (),
        claims={
            block: tuple(judged for claim in about.claims for judged in judge_claim(claim, table, seed=seed))
            for block, table in scored.items()
        },
        ceilings=bounds,
        left_out=dict(left_out or {}),
    )


def check_says_something(about: Published, blocks: Mapping[str, Table]) -> None:
    """Check that a table has scores, or outcomes of which one recipe predicts another's.

    Raises:
        DataError: it has neither.
    """
    if not any(table.metrics for table in blocks.values()) and not ceilings(blocks):
        raise DataError(
            f"{about.title}: no column begins with {METRIC_PREFIX!r}, so nothing can be correlated; --fill "
            "computes our scores of the encoders whose weights a column 'spec' names"
        )


def _pooled(blocks: Mapping[str, Table], seed: int) -> list[PooledCorrelation]:
    """Return the pooled correlations over lineages; the first encoder of a lineage stands for it."""
    lineages = list(dict.fromkeys(name for table in blocks.values() for name in table.lineages))

    def gathered(values_of: Mapping[str, Mapping[str, Matrix]]) -> dict[str, Matrix]:
        names = dict.fromkeys(name for values in values_of.values() for name in values)
        matrices = {name: np.full((len(lineages), len(blocks)), np.nan) for name in names}
        for place, (block, table) in enumerate(blocks.items()):
            first = [table.lineages.index(name) for name in dict.fromkeys(table.lineages)]
            rows = [lineages.index(table.lineages[i]) for i in first]
            for name, values in values_of[block].items():
                matrices[name][rows, place] = values[first, 0]
        return matrices

    return pooled_correlations(
        gathered({block: table.metrics for block, table in blocks.items()}),
        gathered({block: table.outcomes for block, table in blocks.items()}),
        seed=seed,
    )
