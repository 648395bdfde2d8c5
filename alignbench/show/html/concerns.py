"""Reasons to doubt the numbers of a run: stand-ins, flags, and missing rows and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.failures import by_reason, listed
from alignbench.findings.facts import dropped_rows
from alignbench.findings.flags import FLAGS, meaning
from alignbench.names import failures_of, models_of
from alignbench.show.failures import title
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.show.html.rows import ScoreRow
    from alignbench.types import Score

_MOST = 8


@dataclass(frozen=True, slots=True)
class Concern:
    """A reason to doubt: its title, why it matters, and the cases."""

    title: str
    text: str
    cases: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """A flag of the run's scores: its meaning, the number of scores that have it, and their metrics."""

    flag: str
    meaning: str
    count: int
    metrics: str


def concerns(
    run: Mapping[str, Any],
    rows: Sequence[ScoreRow],
    controls: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> list[Concern]:
    """Return what a reader must know before trusting the numbers, the most serious first.

    Args:
        run: the facts of the run.
        rows: one row per score.
        controls: sentences on trained encoders beside the untrained control.
        problems: what went wrong while the page was made.
    """
    doubts = [*_failed(run), *_weights(run), *_unfinished(run), *_dropped(run), *_missing(rows)]
    if controls:
        text = "What an untrained encoder gets as well is no merit of a trained one."
        doubts.append(Concern("Beside an untrained encoder", text, controls))
    warnings = [*run.get("warnings", ()), *run.get("dataset", {}).get("notes", ()), *problems]
    if warnings:
        doubts.append(Concern("Warnings during the run", "", list(map(str, warnings))))
    return doubts


def raised_flags(rows: Iterable[ScoreRow]) -> list[Raised]:
    """Return the flags of the run's scores, in the order of the legend."""
    flagged: dict[str, list[Score]] = {}
    for row in rows:
        for flag in row.flags:
            flagged.setdefault(flag, []).append(row.score)
    return [
        Raised(flag, meaning(flag, scores), len(scores), listed((s.metric for s in scores), _MOST))
        for flag in dict.fromkeys((*FLAGS, *flagged))
        if (scores := flagged.get(flag))
    ]


def _weights(run: Mapping[str, Any]) -> list[Concern]:
    models = models_of(run)
    doubts = []
    if stand_ins := [m for m in models if m.stand_in_for]:
        doubts.append(
            Concern(
                f"{plural(len(stand_ins), 'stand-in')} instead of what was asked for",
                "The weights were not available, so a built-in toy model of the family was used instead. "
                "Its numbers say nothing about the model that was asked for.",
                [f"{m.name} stood in for {m.stand_in_for}" for m in stand_ins],
            )
        )
    if toys := [m for m in models if m.weights == "embedded"]:
        doubts.append(
            Concern(
                "These are built-in toy models",
                "They come with alignbench, so that a run needs no download. They show how the suite "
                "works; to measure the large models of their families, name them: --encoders clip,siglip "
                "--llms llama3.",
                [", ".join(m.name for m in toys)],
            )
        )
    return doubts


def _failed(run: Mapping[str, Any]) -> list[Concern]:
    failures = failures_of(run)
    if not failures:
        return []
    text = "Each section and figure names what is missing. A failed test says nothing about its models."
    cases = [f"{reason.said} ({listed(reason.tests, _MOST)})" for reason in by_reason(failures)]
    return [Concern(title(failures), text, cases)]


def _unfinished(run: Mapping[str, Any]) -> list[Concern]:
    if run:
        return []
    return [
        Concern("The run did not finish", "Only the scores that it recorded before it stopped are known.")
    ]


def _dropped(run: Mapping[str, Any]) -> list[Concern]:
    reasons = dropped_rows(run)
    if not reasons:
        return []
    cases = [
        f"{plural(row.count, 'time')}: {row.reason} ({', '.join(row.examples)}"
        f"{', ...' if row.count > len(row.examples) else ''})"
        for row in reasons
    ]
    total = plural(sum(row.count for row in reasons), "row")
    return [Concern(f"{total} of the data could not be used", "No score includes them.", cases)]


def _missing(rows: Sequence[ScoreRow]) -> list[Concern]:
    by_reason: dict[str, list[ScoreRow]] = {}
    for row in rows:
        if row.score.value is None:
            by_reason.setdefault(row.score.reason or "not applicable", []).append(row)
    if not by_reason:
        return []
    cases = [f"{reason}: {listed(map(_name, alike), _MOST)}" for reason, alike in by_reason.items()]
    count = plural(sum(map(len, by_reason.values())), "score")
    text = "The reasons, each with the scores that it concerns:"
    return [Concern(f"{count} could not be computed", text, cases)]


def _name(row: ScoreRow) -> str:
    return f"{row.score.metric} of {row.models}" if row.models else row.score.metric
