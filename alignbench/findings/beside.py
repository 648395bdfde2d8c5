"""A run's encoders beside published ones: in one order where they are comparable, and only there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.choice import is_cross_modal
from alignbench.findings.files import PUBLISHED
from alignbench.findings.unlike import what_else_differs, why_unlike
from alignbench.stats import joint_of, standings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alignbench.findings.findings import Findings
    from alignbench.findings.ranking import Ranking
    from alignbench.stats import Standings
    from alignbench.types import Score


@dataclass(frozen=True, slots=True)
class Entry:
    """An encoder in the order.

    Args:
        name: its label; of a published one with the file that it comes from.
        score: its score.
        place: its place, which it shares with those that can't be told from it.
        published: whether it is from elsewhere.
    """

    name: str
    score: Score
    place: int
    published: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """The encoders of a run for one LLM, and the published ones that are comparable with them.

    Args:
        ranking: the run's own ranking, in which no published encoder takes part.
        title: the LLM, the data type and the metric.
        entries: all encoders, best first.
        ties_known: whether encoders that share a place can't be told apart; otherwise nothing is known of it.
        apart: name of a published encoder -> why it is in no order with those of the run.
    """

    ranking: Ranking
    title: str
    entries: tuple[Entry, ...]
    ties_known: bool
    apart: Mapping[str, str]


def beside(findings: Findings) -> list[Beside]:
    """Return the run's encoders beside published ones, for each LLM that both have scores with."""
    return [table for ranking in findings.rankings if (table := _beside(findings, ranking)) is not None]


def _beside(findings: Findings, ranking: Ranking) -> Beside | None:
    own = {findings.labels[e]: ranking.scores[e] for e in ranking.order}
    reference = next(iter(own.values()), None)
    theirs = list(_theirs(findings, ranking))
    if reference is None or ranking.metric is None or not theirs:
        return None
    counts = Counter(label for label, _, _ in theirs)
    joined, apart, published = dict(own), {}, set()
    for label, score, other in theirs:
        source = PUBLISHED if counts[label] == 1 else f"{PUBLISHED}: {other.name}"
        name = f"{label} ({source})"
        if why := _why_apart(score, reference, other, findings):
            apart[name] = why
        elif label in own and _same(own[label], score):
            apart[name] = "this run has it, too"
        else:
            joined[name] = score
            published.add(name)
    standing = standings(joined)
    places = _places(standing)
    on = "" if ranking.data_type == ALL else f" on {ranking.data_type}"
    metric = " ".join(filter(None, (ranking.metric, ranking.variant)))
    return Beside(
        ranking,
        f"{findings.labels[ranking.llm]}{on}: {metric}",
        tuple(Entry(name, joined[name], places[name], name in published) for name in standing.order),
        standing.tie_groups is not None,
        apart,
    )


def _theirs(findings: Findings, ranking: Ranking) -> Iterator[tuple[str, Score, Findings]]:
    """Yield (label, score, where it is from) of the published scores of the same kind."""
    llm = findings.labels[ranking.llm]
    wanted = (ranking.metric, ranking.variant, ranking.data_type)
    for other in findings.published:
        found: dict[str, Score] = {}
        for score in other.scores:
            of_llm = is_cross_modal(score) and other.labels[str(score.llm)] == llm
            if of_llm and (score.metric, score.variant, score.data_type) == wanted:
                found.setdefault(other.labels[str(score.encoder)], score)
        for label, score in found.items():
            if score.value is not None:
                yield label, score, other


def _why_apart(score: Score, mine: Score, other: Findings, findings: Findings) -> str:
    """Return why a published score can't be in one order with those of the run; "" if it can."""
    pair = [(_without_encoder(score), _without_encoder(mine))]
    lines = [*why_unlike(other.run, findings.run, pair), *what_else_differs({}, {}, pair)]
    if (
        not lines
        and joint_of({"A": score, "B": mine}) is None
        and joint_of({"A": mine, "B": mine}) is not None
    ):
        lines = [f"{score.n} groups in A, {mine.n} in B, or other blocks of them"]
    return "; ".join(lines)


def _without_encoder(score: Score) -> Score:
    """Return the score without its encoder, in which two comparable scores may differ."""
    how = dict(score.params.get("preprocessing") or {})
    kept = {name: value for name, value in how.items() if name != score.encoder}
    return replace(score, encoder=None, params={**score.params, "preprocessing": kept})


def _same(mine: Score, theirs: Score) -> bool:
    """Return whether the two are one measurement: a value that was published with ten digits."""
    assert mine.value is not None
    assert theirs.value is not None
    return abs(mine.value - theirs.value) <= 1e-9 * max(1.0, abs(mine.value))


def _places(standing: Standings) -> dict[str, int]:
    groups = standing.tie_groups if standing.tie_groups is not None else [(e,) for e in standing.order]
    places: dict[str, int] = {}
    for group in groups:
        places |= dict.fromkeys(group, len(places) + 1)
    return places
