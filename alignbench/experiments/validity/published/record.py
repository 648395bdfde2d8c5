"""What a table says, as scores of a run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from alignbench.experiments.validity.published.words import NO_SCORES, plain, said
from alignbench.stats.correlation import ESTIMABLE
from alignbench.types import Interval, Null, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments.validity.links import Link
    from alignbench.experiments.validity.published.judge import Judgement
    from alignbench.types import Pair

EXPERIMENT = "validity"
LARGEST, ONE, POOLED, CLAIM, CEILING = "largest_r", "table_r", "pooled_r", "claim_q2", "ceiling"
_PERMUTED = "labels of lineages permuted, the largest of all"
_INTERVAL = "Fisher z, random effects over blocks; a shared encoder's errors count once"


def scores_of(
    judgement: Judgement,
    pairs: Mapping[str, Pair] | None = None,
    *,
    llm: str | None = None,
    seed: int = 42,
) -> list[Score]:
    """Return the largest r with the conclusion in words, then every r, pooled r, claim and ceiling.

    Args:
        judgement: what the table says.
        pairs: encoder -> the embeddings that its scores were computed from, if the table was filled.
        llm: the LLM whose metrics fill the table; None if it was not filled.
        seed: the seed of the run.
    """
    about = judgement.about
    digest = hashlib.blake2b(about.path.read_bytes(), digest_size=4).hexdigest()
    common: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "encoder": None,
        "llm": llm,
        "dataset": f"{about.name}@{digest}",
        "dims": (),
        "seed": seed,
        "weights": {
            side.model.label: side.model.weights
            for pair in (pairs or {}).values()
            for side in (pair.x, pair.y)
        },
    }
    filled = {
        name: {"source": pair.x.model.source, "weights": pair.x.model.weights, "data": pair.dataset}
        for name, pair in (pairs or {}).items()
    }
    return [
        _largest(judgement, filled, common),
        *(_one(judgement, block, link, common) for block, link in judgement.links),
        *_pooled(judgement, common),
        *_claims(judgement, common),
        *_ceilings(judgement, common),
    ]


def _largest(judgement: Judgement, filled: Mapping[str, Any], common: dict[str, Any]) -> Score:
    """Return the largest |r| of a score with an outcome, pooled if there are blocks, and what it all says.

    A label of the encoders counts only if the table has no score.
    """
    about, n = judgement.about, len(judgement.encoders)
    params: dict[str, Any] = {
        "table": about.name,
        "title": about.title,
        "source": about.source,
        "notes": list(about.notes),
        "blocks": {block: found.lineages for block, found in judgement.blocks.items()},
        "encoders": judgement.encoders,
        "left_out": dict(judgement.left_out),
        **({"filled": dict(filled)} if filled else {}),
        "statement": said(judgement),
    }
    if not judgement.links:
        return Score(
            metric=LARGEST,
            value=None,
            status="not_applicable",
            reason=_nothing(judgement),
            n=n,
            params=params,
            **common,
        )
    if judgement.pooled:
        pooled = [one for one in judgement.pooled if one.metric not in about.labels] or judgement.pooled
        best = max(pooled, key=lambda one: abs(one.pooled.r))
        metric, outcome, r = best.metric, best.outcome, best.pooled.r
        p, draws = best.p_adjusted, best.orders
    else:
        every = [link.correlation for _, link in judgement.links]
        one = max(
            [own for own in every if own.metric not in about.labels] or every,
            key=lambda own: abs(own.pearson),
        )
        metric, outcome, r, p, draws = one.metric, one.outcome, one.pearson, one.p_adjusted, one.orders
    params["points"] = [
        {
            "block": block,
            "encoders": list(found.table.encoders),
            "families": list(found.table.families),
            "x": found.table.metrics[metric][:, 0].tolist(),
            "y": found.table.outcomes[outcome][:, 0].tolist(),
        }
        for block, found in judgement.blocks.items()
        if metric in found.table.metrics and outcome in found.table.outcomes
    ]
    params |= {"score": plain(metric), "label": metric in about.labels, "outcome": plain(outcome), "r": r}
    return Score(
        metric=LARGEST,
        value=abs(r),
        variant=f"{plain(metric)} with {plain(outcome)}",
        null=Null(_PERMUTED, p=p, draws=draws),
        n=n,
        flags=_flags(min(found.lineages for found in judgement.blocks.values())),
        params=params,
        **common,
    )


def _nothing(judgement: Judgement) -> str:
    if not judgement.left_out:
        return NO_SCORES
    return (
        f"too few encoders could be scored: {'; '.join(': '.join(why) for why in judgement.left_out.items())}"
    )


def _one(judgement: Judgement, block: str, link: Link, common: dict[str, Any]) -> Score:
    one = link.correlation
    names = ("spearman", "kendall", "p", "p_adjusted", "low", "high", "null_r2", "exact")
    return Score(
        metric=ONE,
        value=one.pearson,
        variant=_variant(judgement, f"{plain(one.metric)} with {plain(one.outcome)}", block),
        null=Null(_PERMUTED, p=one.p_adjusted, draws=one.orders),
        n=one.lineages,
        flags=_flags(one.lineages),
        params={
            "block": block,
            "score": plain(one.metric),
            "label": one.metric in judgement.about.labels,
            "outcome": plain(one.outcome),
            **{name: getattr(one, name) for name in names},
            "r2": link.explained.r2,
            "q2": link.explained.q2,
            "without_family": dict(link.without),
            "rho_of_ceiling": judgement.of_ceiling(link),
        },
        **common,
    )


def _pooled(judgement: Judgement, common: dict[str, Any]) -> list[Score]:
    blocks = list(judgement.blocks)
    lineages = {name for found in judgement.blocks.values() for name in found.table.lineages}
    return [
        Score(
            metric=POOLED,
            value=one.pooled.r,
            variant=f"{plain(one.metric)} with {plain(one.outcome)}",
            null=Null(_PERMUTED, p=one.p_adjusted, draws=one.orders),
            interval=Interval(one.pooled.low, one.pooled.high, _INTERVAL),
            n=len(lineages),
            flags=_flags(len(lineages)),
            params={
                "score": plain(one.metric),
                "label": one.metric in judgement.about.labels,
                "outcome": plain(one.outcome),
                "p": one.p,
                "p_adjusted": one.p_adjusted,
                "i2": one.pooled.i2,
                "by_block": {blocks[place]: list(own) for place, own in one.by_block.items()},
            },
            **common,
        )
        for one in judgement.pooled
    ]


def _claims(judgement: Judgement, common: dict[str, Any]) -> list[Score]:
    scores = []
    for block, judged in judgement.claims.items():
        for one in judged:
            quality = one.quality
            told = {name: fit and {"r2": fit.r2, "q2": fit.q2} for name, fit in one.without.items()}
            lacks = quality.q2 is None
            scores.append(
                Score(
                    metric=CLAIM,
                    value=quality.q2,
                    status="not_applicable" if lacks else "ok",
                    reason="too few lineages are left for a fit without one of them" if lacks else None,
                    variant=_variant(judgement, f"{one.claim.name} with {plain(one.outcome)}", block),
                    n=judgement.blocks[block].lineages,
                    params={
                        "block": block,
                        "claim": one.claim.name,
                        "scores": [plain(name) for name in one.claim.metrics],
                        "degree": one.claim.degree,
                        "outcome": plain(one.outcome),
                        "r2": quality.r2,
                        "null_r2": quality.null_r2,
                        "p_of_r2": quality.p,
                        "without_family": told,
                    },
                    **common,
                )
            )
    return scores


def _ceilings(judgement: Judgement, common: dict[str, Any]) -> list[Score]:
    return [
        Score(
            metric=CEILING,
            value=ceiling.rho,
            variant=plain(outcome),
            n=min(shared for _, shared in ceiling.pairs.values()),
            params={
                "outcome": plain(outcome),
                "low": ceiling.low,
                "high": ceiling.high,
                "pairs": {f"{a} and {b}": list(own) for (a, b), own in ceiling.pairs.items()},
            },
            **common,
        )
        for outcome, ceiling in judgement.ceilings.items()
    ]


def _variant(judgement: Judgement, what: str, block: str) -> str:
    return f"{what}, {block}" if len(judgement.blocks) > 1 else what


def _flags(lineages: int) -> tuple[str, ...]:
    return () if lineages >= ESTIMABLE else ("not_estimable",)
