"""The ceiling of a table: how well the encoders' results under one recipe agree with those of another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats.correlation import spearman

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments.validity.table import Table

FEWEST = 4  # encoders that two blocks have to share


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How well an outcome agrees with itself over blocks, which are recipes or sources.

    It is what the results under another recipe achieve as a predictor. It bounds a score only in what differs
    between the recipes: what all of them share, such as the LLM, is in every block.

    Args:
        outcome: the outcome.
        rho: the mean of Spearman's ρ over all pairs of blocks.
        pairs: (block, block) -> (ρ, the number of encoders that they share).
    """

    outcome: str
    rho: float
    pairs: Mapping[tuple[str, str], tuple[float, int]]

    @property
    def low(self) -> float:
        """The smallest ρ of two blocks."""
        return min(rho for rho, _ in self.pairs.values())

    @property
    def high(self) -> float:
        """The largest ρ of two blocks."""
        return max(rho for rho, _ in self.pairs.values())


def ceilings(blocks: Mapping[str, Table]) -> dict[str, Ceiling]:
    """Return outcome -> its ceiling, for those that two blocks have for at least four shared encoders."""
    found: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}
    for (first, a), (second, b) in itertools.combinations(blocks.items(), 2):
        shared = [name for name in a.encoders if name in b.encoders]
        if len(shared) < FEWEST:
            continue
        rows = [[table.encoders.index(name) for name in shared] for table in (a, b)]
        for outcome in a.outcomes:
            if outcome in b.outcomes:
                x, y = a.outcomes[outcome][rows[0], 0], b.outcomes[outcome][rows[1], 0]
                if np.ptp(x) > 0 and np.ptp(y) > 0:
                    found.setdefault(outcome, {})[first, second] = spearman(x, y), len(shared)
    return {
        outcome: Ceiling(outcome, float(np.mean([rho for rho, _ in pairs.values()])), pairs)
        for outcome, pairs in found.items()
    }
