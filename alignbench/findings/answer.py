"""The answer for an LLM: which encoder fits best, how certain that is, and what speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.findings.choice import PAIRING_BLIND, RANKED_BY
from alignbench.findings.numbers import about, and_list, interval_text, p_sentence
from alignbench.stats import LEVEL
from alignbench.stats.verdict import MOST_NAMED, TOO_CLOSE, sentence
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.findings.ranking import Ranking
    from alignbench.types import Score


def answer(
    ranking: Ranking,
    show: Callable[[str], str],
    escape: Callable[[str], str] = str,
    *,
    numbers: bool = True,
) -> list[str]:
    """Return the answer for one LLM: the verdict, then a sentence for each thing to keep in mind.

    Args:
        ranking: the ranking for that LLM.
        show: (name) -> how the model's name is written in the output.
        escape: makes any other text from data safe in the output.
        numbers: whether to include the numbers of the top score, which a table beside the answer repeats.
    """
    if ranking.metric is None and ranking.scores:
        return [f"Not ranked: none of {', '.join(RANKED_BY)} was recorded."]
    if ranking.best is None:
        return [f"No encoder could be ranked: {_reasons(ranking, show, escape)}."]
    score = ranking.scores[ranking.best]
    first = [sentence(ranking, show)]
    if numbers and ranking.winner:
        first = [f"{first[0].removesuffix('.')} ({_numbers(score, escape)})."]
    elif numbers:
        first.append(f"Top score: {show(ranking.best)} ({_numbers(score, escape)}).")
    return [
        *first,
        *_ties(ranking, show),
        *(_needed(ranking, show) if ranking.answer else ()),
        *_doubts(ranking, score, show, escape),
        *_others(ranking, show),
        *(_controls(ranking, show) if len(ranking.scores) > 1 else ()),
    ]


def _numbers(score: Score, escape: Callable[[str], str]) -> str:
    parts = [f"{score.metric} {number(score.value)}", f"n = {score.n}"]
    if score.variant:
        parts.insert(1, escape(score.variant))
    if score.interval is not None:
        parts.append(f"95% interval {interval_text(score.interval)}")
    if score.null is not None and score.null.mean is not None:
        parts.append(f"shuffled pairs {number(score.null.mean)}")
    if score.null is not None and score.null.p is not None:
        parts.append(p_sentence(score.null.p))
    return ", ".join(parts)


def _ties(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    if len(ranking.order) < 2:
        return ["It is the only encoder that was ranked."]
    if ranking.tie_groups is None:
        return ["There is no interval, so ties are unknown and the order may be due to chance."]
    if not ranking.tied_with_best:
        return ["Every other encoder is worse by more than chance (paired differences, studentised range)."]
    if len(ranking.top) > MOST_NAMED:
        return [f"Those {TOO_CLOSE}: {', '.join(map(show, ranking.top))}."]
    return []


def _needed(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    """Return how many pairs would tell the best from the encoders that tie with it."""
    best = show(str(ranking.best))
    counts = [(show(e), count) for e, count in ranking.samples_needed.items() if count is not None]
    same = [show(e) for e, count in ranking.samples_needed.items() if count is None]
    sentences = []
    if len(counts) == 1:
        [(other, count)] = counts
        sentences.append(
            f"{best} and {other} tie at n = {ranking.n}; {about(count)} pairs would tell them apart, if the "
            "true difference is what we measured."
        )
    elif counts:
        listed = ", ".join(f"{about(count)} from {other}" for other, count in counts)
        sentences.append(
            f"{best} ties at n = {ranking.n}. Pairs that would tell it apart, if the true differences are "
            f"what we measured: {listed}."
        )
    if same:
        sentences.append(
            f"{best} differs by practically nothing from {', '.join(same)}: even many more pairs may not "
            "tell them apart."
        )
    return sentences


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
    if within is not None and within > LEVEL and ranking.answer:
        doubts.append(
            f"No alignment beyond the data type is shown (shuffled within types: {p_sentence(within)})."
        )
    if ranking.unranked:
        doubts.append(f"Not ranked: {_reasons(ranking, show, escape)}.")
    return doubts


def _others(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    """Return which encoders are the best by other scores, where these are others."""
    sentences = []
    for other in ranking.beside:
        values = {encoder: f" ({number(value)})" for encoder, value in other.values.items()}
        best, behind = (
            [f"{show(encoder)}{values.get(encoder, '')}" for encoder in encoders]
            for encoders in (other.best, ranking.answer)
        )
        sentences.append(
            f"{other.says} the best is another one: {other.metric} names {' or '.join(best)}; "
            f"{and_list(behind)} {'is' if len(behind) == 1 else 'are'} behind by more than chance."
        )
    return sentences


def _controls(ranking: Ranking, show: Callable[[str], str]) -> list[str]:
    return [
        f"{show(encoder)} is an untrained control, so the choice is not settled."
        for encoder in ranking.answer
        if ranking.scores[encoder].weights.get(encoder) == "random"
    ]


def _reasons(ranking: Ranking, show: Callable[[str], str], escape: Callable[[str], str]) -> str:
    return "; ".join(f"{show(e)}: {escape(reason)}" for e, reason in ranking.unranked.items())
