"""The answer in a sentence: which encoder for this LLM, how sure, and what speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.text import number
from alignbench.report.choice import PAIRING_BLIND, RANKED_BY
from alignbench.report.ranking import ranked_scores
from alignbench.report.text import about, probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alignbench.report.ranking import Ranking
    from alignbench.types import Score

ALPHA = 0.05


def answer(
    ranking: Ranking,
    scores: Sequence[Score],
    show: Callable[[str], str],
    escape: Callable[[str], str] = str,
    *,
    numbers: bool = True,
) -> list[str]:
    """Return the answer for one LLM: the headline, then a sentence for each thing to keep in mind.

    Args:
        ranking: of that LLM.
        scores: all of the run.
        show: how a model's name is written where the answer goes.
        escape: what makes other text from data safe there.
        numbers: whether the headline has them; beside a table it needs none.
    """
    if ranking.metric is None:
        return [f"Not ranked: none of {', '.join(RANKED_BY)} was recorded."]
    if ranking.best is None:
        return [f"No encoder could be ranked: {_reasons(ranking, show, escape)}."]
    own = ranked_scores(ranking, scores)
    score = own[ranking.best]
    return [
        _headline(score, show, _numbers(score, escape) if numbers else ""),
        *_ties(ranking, show),
        *(_needed(ranking, show) if beats_shuffled(score) else ()),
        *_doubts(ranking, score, show, escape),
        *(_controls(ranking, own, show) if len(own) > 1 and beats_shuffled(score) else ()),
    ]


def _headline(score: Score, show: Callable[[str], str], how: str) -> str:
    name = show(str(score.encoder))
    if not beats_shuffled(score):
        return f"None is shown to fit: the best, {name}, does no better than shuffled pairs{how}."
    return f"Best: {name}{how}."


def _numbers(score: Score, escape: Callable[[str], str]) -> str:
    found = [f"{score.metric} {number(score.value)}", f"n = {score.n}"]
    if score.variant:
        found.insert(1, escape(score.variant))
    if score.interval is not None:
        found.append(f"95% interval {number(score.interval.low)} to {number(score.interval.high)}")
    if score.null is not None and score.null.mean is not None:
        found.append(f"shuffled pairs {number(score.null.mean)}")
    if score.null is not None and score.null.p is not None:
        found.append(f"p = {probability(score.null.p)}")
    return f" ({', '.join(found)})"


def beats_shuffled(score: Score) -> bool:
    """Return whether the score's own null gives no reason to doubt it; True where there is no null."""
    return score.null is None or score.null.p is None or score.null.p <= ALPHA


def _ties(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    if len(ranking.order) < 2:
        return ["It is the only one that was ranked."]
    if ranking.tie_groups is None:
        return ["No interval: ties unknown, so the order may be chance."]
    tied = ranking.tied_with_best
    if tied:
        return [f"Not distinguishable from the best: {', '.join(show(e) for e in tied)}."]
    return ["Every other one is worse by more than chance (paired differences, Holm-corrected)."]


def _needed(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    """Say how many pairs would tell the best from those that tie with it."""
    best = show(str(ranking.best))
    counts = [(show(e), count) for e, count in ranking.samples_needed.items() if count is not None]
    same = [show(e) for e, count in ranking.samples_needed.items() if count is None]
    said = []
    if len(counts) == 1:
        [(other, count)] = counts
        said.append(
            f"{best} and {other} tie at n = {ranking.n}; {about(count)} pairs would tell them apart, if the "
            "difference stays as it was seen."
        )
    elif counts:
        listed = ", ".join(f"{about(count)} from {other}" for other, count in counts)
        said.append(
            f"{best} ties at n = {ranking.n}; pairs that would tell it apart, if the differences stay as "
            f"they were seen: {listed}."
        )
    if same:
        said.append(
            f"{best} differs by practically nothing from {', '.join(same)}: more pairs may never tell."
        )
    return said


def _doubts(
    ranking: Ranking, score: Score, show: Callable[[str], str], escape: Callable[[str], str]
) -> list[str]:
    doubts = []
    if ranking.metric in PAIRING_BLIND:
        doubts.append(
            f"{ranking.metric} does not see which image belongs to which text: it says how alike the two "
            "distributions are, not whether they are aligned."
        )
    within = score.null.within_p if score.null is not None else None
    if within is not None and within > ALPHA and beats_shuffled(score):
        doubts.append(
            f"Beyond the data type nothing is shown (shuffled within types: p = {probability(within)})."
        )
    if ranking.unranked:
        doubts.append(f"Not ranked: {_reasons(ranking, show, escape)}.")
    return doubts


def _controls(ranking: Ranking, own: dict[str, Score], show: Callable[[str], str]) -> list[str]:
    top = (str(ranking.best), *ranking.tied_with_best)
    controls = [encoder for encoder in top if own[encoder].weights.get(encoder) == "random"]
    return [
        f"{show(encoder)}, an untrained control, is among the best: the choice is not settled."
        for encoder in controls
    ]


def _reasons(ranking: Ranking, show: Callable[[str], str], escape: Callable[[str], str]) -> str:
    return "; ".join(f"{show(e)}: {escape(reason)}" for e, reason in ranking.unranked.items())
