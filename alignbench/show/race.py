"""What a race between encoders found, as a run tells it at its end and in its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.experiments.choose.record import races_of
from alignbench.findings.numbers import probability
from alignbench.show.text import markdown, table
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.experiments.choose.record import RecordedRace
    from alignbench.types import Score

HEAD = ("encoder", "groups", "value", "95% interval", "behind", "p", "in the end")
NUMBERS = frozenset({"groups", "value", "behind", "p"})
LEGEND = (
    "groups: at the encoder's last look; behind: how much worse than the leader of that look on the same "
    "samples; p: one-sided, of being at least as good as that leader"
)


@dataclass(frozen=True, slots=True)
class RaceSays:
    """What one race found.

    Args:
        llm: the LLM.
        statement: the outcome in words.
        rows: encoder, then its cells; those that stayed longest first.
    """

    llm: str
    statement: str
    rows: list[tuple[str, list[str]]]


def race_tables(scores: Iterable[Score]) -> list[RaceSays]:
    """Return what each race of a run found; there is one for each LLM."""
    return [
        RaceSays(found.llm, found.statement, [(name, _cells(found, name)) for name in found.last_look])
        for found in races_of(scores)
    ]


def race_markdown(scores: Sequence[Score], labels: Mapping[str, str]) -> list[str]:
    """Return the tables of summary.md; empty if there was no race.

    Args:
        scores: the run's scores.
        labels: model -> its name in Markdown.
    """
    lines = []
    for found in race_tables(scores):
        rows = [[labels[name], *map(markdown, cells)] for name, cells in found.rows]
        lines += [f"## The race for {labels[found.llm]}", ""]
        right = frozenset(place for place, name in enumerate(HEAD) if name in NUMBERS)
        lines += [*table(list(HEAD), rows, right), ""]
    return [*lines, f"{LEGEND[0].upper()}{LEGEND[1:]}.", ""] if lines else []


def _cells(found: RecordedRace, name: str) -> list[str]:
    look = found.last_look[name]
    score, behind = found.scores[name, look.groups], look.behind.get(name)
    interval = score.interval
    ended = "no score" if name in look.unscored else "dropped" if name in look.dropped else "left"
    return [
        f"{look.groups:,}",
        number(score.value),
        "-" if interval is None else f"[{number(interval.low)}, {number(interval.high)}]",
        "-" if behind is None else number(behind.lead),
        "-" if behind is None else probability(behind.p),
        ended,
    ]
