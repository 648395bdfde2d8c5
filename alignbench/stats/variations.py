"""Whether a ranking survives other reasonable choices: the order under each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.stats.standings import standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import Score

OF = "calibrated_cka"
METRIC = f"varied_{OF}"
AS_SCORED = "as scored"


@dataclass(frozen=True, slots=True)
class Variation:
    """The ranking for one LLM under one variant.

    Args:
        llm: the text side.
        variant: the choice that differs.
        values: encoder -> score; for an encoder without this variant, its original score.
        unchanged: the encoders that lack this variant.
        order: the encoders, best first.
        tied: the first encoder and those that can't be told from it; None if that is unknown.
        tau: Kendall's τ with the original order; None for a single encoder.
        keeps_first: whether the original first encoder is first here, too, or can't be told from the first.
    """

    llm: str
    variant: str
    values: dict[str, float]
    unchanged: tuple[str, ...]
    order: tuple[str, ...]
    tied: tuple[str, ...] | None
    tau: float | None
    keeps_first: bool


def variations(scores: Iterable[Score]) -> list[Variation]:
    """Return for each LLM and variant the ranking of encoders, beside the original ranking.

    An encoder without a variant keeps its score.
    """
    own = [s for s in scores if s.metric == METRIC and s.value is not None and s.encoder and s.llm]
    rows = []
    for llm in dict.fromkeys(str(s.llm) for s in own):
        of = {(s.variant, str(s.encoder)): s for s in own if s.llm == llm}
        base = {encoder: s for (variant, encoder), s in of.items() if variant == AS_SCORED}
        if not base:
            continue
        for variant in sorted({variant for variant, _ in of}, key=_place):
            varied = {encoder: of.get((variant, encoder), s) for encoder, s in base.items()}
            unchanged = tuple(e for e in base if (variant, e) not in of)
            rows.append(_row(llm, variant, varied, unchanged, _order(base)))
    return rows


def _row(
    llm: str, variant: str, varied: dict[str, Score], unchanged: tuple[str, ...], before: tuple[str, ...]
) -> Variation:
    values = {encoder: float(score.value or 0.0) for encoder, score in varied.items()}
    order = _order(varied)
    groups = standings(varied).tie_groups
    tied = None if groups is None else groups[0]
    keeps_first = before[0] == order[0] or before[0] in (tied or ())
    return Variation(llm, variant, values, unchanged, order, tied, kendall(before, order), keeps_first)


def _place(variant: str) -> tuple[int, str]:
    """Return a variant's place in tables: the original first, then by kind of choice."""
    kinds = (AS_SCORED, "pooling", "fit", "encoder", "LLM", "lengths", "unit", "centred", "features")
    return next((i for i, kind in enumerate(kinds) if variant.startswith(kind)), len(kinds)), variant


def _order(scores: dict[str, Score]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda e: (-float(scores[e].value or 0.0), e)))


def kendall(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Return Kendall's τ of two orders: the share of pairs in the same order minus that of the others."""
    n = len(before)
    if n < 2:
        return None
    place = {name: rank for rank, name in enumerate(after)}
    pairs = [(a, b) for i, a in enumerate(before) for b in before[i + 1 :]]
    return sum(1 if place[a] < place[b] else -1 for a, b in pairs) / len(pairs)
