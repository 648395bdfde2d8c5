"""The tables that a run prints at its end, for a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.answer import answer
from alignbench.findings.choice import is_cross_modal
from alignbench.findings.control import control_sentences
from alignbench.findings.flags import flags_of, letter, meaning
from alignbench.findings.numbers import probability, share
from alignbench.plots.declared import needs_of, not_drawn
from alignbench.show.failures import failure_lines
from alignbench.show.race import HEAD as RACE_HEAD
from alignbench.show.race import LEGEND as RACE_LEGEND
from alignbench.show.race import race_tables
from alignbench.show.scaling import scaling_sentences
from alignbench.show.speed import speed_report
from alignbench.show.tables import tables_of
from alignbench.show.text import encodable, pad, wrap
from alignbench.show.vlm import HEAD, LEGEND, vlm_tables
from alignbench.stats.prediction import OUTCOME, worth
from alignbench.stats.verdict import verdict
from alignbench.text import clean, cut, display_width, fit, number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from alignbench.findings.findings import Findings
    from alignbench.findings.ranking import Ranking
    from alignbench.stats.prediction import Prediction
    from alignbench.types import Score

_HEAD = ("", "encoder", "value", "95% interval", "best", "null", "p", "in type", "flags")
_LEFT = frozenset({"encoder", "flags"})
_NAME = 1
_GAP = "  "
_COLUMNS = {
    "best": "best = the probability of being the best of these",
    "null": "null = the mean over shuffled pairs",
    "p": "p = how often shuffled pairs do as well",
    "in type": "in type = p with pairs shuffled only within each data type",
}
_FEW_COMMANDS = 3  # more would stand between the answer and its report


def terminal_table(
    findings: Findings,
    width: int = 80,
    *,
    report: Path | str | None = None,
    encoding: str = "utf-8",
    figures: Collection[str] = (),
) -> list[str]:
    """Return the lines that end a run: the ranked encoders for each LLM, then the meaning of the flags.

    Args:
        findings: the run's findings.
        width: the terminal's columns; only a long word in the reason of a failed test can make a line wider.
        report: the path of the report, for the last line.
        encoding: the stream's encoding; characters that it lacks are replaced.
        figures: the names of the figures that were drawn; the others are listed with their commands.
    """
    scores = findings.scores
    ellipsis = encodable("…", encoding)

    def plain(text: object) -> str:
        return encodable(clean(text), encoding)

    labels = {name: plain(label) for name, label in findings.labels.items()}
    lines: list[str] = []
    used: dict[str, None] = {}
    columns: dict[str, None] = {}
    for sentence in findings.toy_warnings:
        lines += wrap(plain(f"WARNING: {sentence}"), width, _GAP)
    for ranking in findings.rankings:
        ranked = ranking.scores
        used |= dict.fromkeys(flag for score in ranked.values() for flag in flags_of(score))
        largest = _largest(ranked.values())
        cells = (_cells(ranking, labels[e], score, largest) for e, score in ranked.items())
        rows = _filled([list(_HEAD), *cells])
        columns |= dict.fromkeys(rows[0] if rows else ())
        lines += wrap(plain(_title(ranking, labels)), width, _GAP)
        lines += _aligned(rows, width, ellipsis)
        sentences = answer(ranking, lambda name: labels.get(name, plain(name)), numbers=False)
        lines += wrap(plain(" ".join(sentences)), width)
        types = [r for r in findings.details_by_type if r.llm == ranking.llm]
        if any(r.best is not None for r in types):
            lines += wrap(plain(_by_type(types, labels)), width, _GAP)
        lines.append("")
    for paragraph in [*retrieved(scores, labels), *_predicted(findings.prediction)]:
        lines += wrap(plain(paragraph), width, _GAP)
    lines += [encodable(line, encoding) for line in _races(scores, labels, width, ellipsis)]
    for sentence in scaling_sentences(scores, lambda name: labels.get(name, plain(name))):
        lines += wrap(plain(sentence), width, _GAP)
    lines += [encodable(line, encoding) for line in _vlm(scores, labels, width, ellipsis)]
    controls = control_sentences(findings.controls, lambda name: labels.get(name, plain(name)))
    for sentence in controls:
        lines += wrap(plain(sentence), width, _GAP)
    if controls:
        lines.append("")
    lines += [encodable(line, encoding) for line in _speed(scores, labels, width, ellipsis)]
    if scores:
        lines += wrap(plain(_count(scores)), width, _GAP)
    lines += wrap("; ".join(_COLUMNS[name] for name in columns if name in _COLUMNS), width, _GAP)
    for flag in used:
        lines += wrap(plain(f"{letter(flag)} = {flag}: {meaning(flag, scores)}"), width, _GAP * 2)
    lines += wrap(plain(_not_drawn(figures)), width, _GAP)
    for sentence in (sentence for table in tables_of(scores) for sentence in table.sentences):
        lines += wrap(plain(sentence), width, _GAP)
    lines += failure_lines(findings.failures, width, encoding)
    if report is not None:
        lines.append(f"report: {plain(report)}")
    return lines


def _title(ranking: Ranking, labels: Mapping[str, str]) -> str:
    about = f"LLM {labels[ranking.llm]}" + ("" if ranking.data_type == ALL else f" on {ranking.data_type}")
    first = next(iter(ranking.scores.values()), None)
    if first is None:
        return about
    direction = "higher is better" if first.higher_is_better else "lower is better"
    verb = "not ranked; " if ranking.metric is None else "ranked by "
    metric = f"{first.metric}, {first.variant}" if first.variant else first.metric
    return f"{about}: {verb}{metric} ({direction}), n = {ranking.n or first.n}"


def _by_type(types: Sequence[Ranking], labels: Mapping[str, str]) -> str:
    """Return the verdict on each data type."""
    verdicts = (f"{ranking.data_type}: {verdict(ranking, labels.__getitem__)}" for ranking in types)
    return f"By type: {'; '.join(verdicts)}."


def _largest(scores: Iterable[Score]) -> float:
    """Return the largest absolute value that a table shows in one column."""
    return max((abs(score.value) for score in scores if score.value is not None), default=0.0)


def _cells(ranking: Ranking, label: str, score: Score, largest: float) -> list[str]:
    null, interval = score.null, score.interval

    def shown(value: float | None, missing: str = "n/a") -> str:
        return number(value, missing, largest=largest)

    return [
        str(ranking.places.get(str(score.encoder), "-")),
        label,
        shown(score.value),
        "-" if interval is None else f"[{shown(interval.low)}, {shown(interval.high)}]",
        share((ranking.probability_best or {}).get(str(score.encoder))),
        "-" if null is None else shown(null.mean, "-"),
        "-" if null is None else probability(null.p),
        "-" if null is None else probability(null.within_p),
        " ".join(letter(clean(flag)) for flag in flags_of(score)),
    ]


def _filled(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows without the columns that are empty in all of them."""
    kept = [i for i in range(len(_HEAD)) if i <= 2 or any(row[i] not in {"", "-"} for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows] if len(rows) > 1 else []


def _aligned(
    rows: list[list[str]], width: int, ellipsis: str, *, left: frozenset[str] = _LEFT, names: int = _NAME
) -> list[str]:
    """Return the rows as lines; names get the remaining width, and a second line for their brackets.

    Args:
        rows: the head, then the others.
        width: the terminal's columns.
        ellipsis: the mark for omitted characters.
        left: the heads of the columns of text, which are left-aligned.
        names: the number of the column with the names.
    """
    if not rows:
        return []
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = width - sum(widths) + widths[names] - len(_GAP) * (len(widths) - 1)
    widths[names] = min(widths[names], max(8, room))
    lines = []
    for row in rows:
        name, bracket = row[names], ""
        if display_width(name) > widths[names] and name.endswith(")"):
            name, _, bracket = name.partition(" (")
        cells = [fit(name, widths[names], ellipsis) if i == names else cell for i, cell in enumerate(row)]
        padded = (
            pad(cell, of, "<" if head in left else ">")
            for cell, of, head in zip(cells, widths, rows[0], strict=True)
        )
        lines.append(cut(_GAP.join(padded).rstrip(), width, ellipsis))
        if bracket:
            before = f"{' ' * widths[0]}{_GAP}" if names else _GAP
            lines.append(cut(f"{before}({bracket}", width, ellipsis))
    return lines


def retrieved(scores: Sequence[Score], labels: Mapping[str, str]) -> list[str]:
    """Return one sentence per LLM on retrieval after training a projector, the best encoder first."""
    outcomes = [s for s in scores if (s.experiment, s.metric) == OUTCOME and s.value is not None and s.llm]
    if not outcomes:
        return []
    first = outcomes[0]
    alike = [s for s in outcomes if (s.variant, s.data_type) == (first.variant, first.data_type)]
    sentences = []
    for llm in dict.fromkeys(str(score.llm) for score in alike):
        of_llm = sorted((s for s in alike if s.llm == llm), key=lambda s: -(s.value or 0.0))
        values = ", ".join(f"{labels[str(s.encoder)]} {number(s.value)}" for s in of_llm)
        guess = "" if of_llm[0].chance is None else f", {number(of_llm[0].chance)} for a guesser"
        sentences.append(f"Retrieval for {labels[llm]} ({first.metric} {first.variant}{guess}): {values}.")
    return sentences


def _predicted(prediction: Prediction | None) -> list[str]:
    """Return whether scores predict retrieval: r with p, and what three encoders would have suggested."""
    if prediction is None:
        return []
    lines = [f"{one.metric} with {one.outcome}: {worth(one)}" for one in prediction.first]
    question = f"Does a score predict retrieval? {prediction.statement}"
    return [question, *lines, *filter(None, [prediction.paradox])]


def _not_drawn(drawn: Collection[str]) -> str:
    """Return the figures that were not drawn, with the commands that draw them if these are few."""
    missing = not_drawn(drawn)
    if not missing:
        return ""
    if len(missing) > _FEW_COMMANDS:
        figures = sum(map(len, missing.values()))
        return f"{figures} figures were not drawn; summary and report name the commands that draw them"
    commands = (
        f"{command}: {', '.join(f'{figure}{needs_of(figure)}' for figure in figures)}"
        for command, figures in missing.items()
    )
    return f"figures that were not drawn, after the commands that draw them: {'; '.join(commands)}"


def _speed(scores: Sequence[Score], labels: Mapping[str, str], width: int, ellipsis: str) -> list[str]:
    """Return the timings: a table of encoders, one of LLMs, and a sentence on metrics."""
    report = speed_report(scores)
    if report is None:
        return []
    lines = wrap(report.conditions, width, _GAP)
    for table in report.tables:
        rows = [table.head, *([labels[name], *cells] for name, *cells in table.rows)]
        lines += _aligned(rows, width, ellipsis, left=frozenset({table.head[0]}), names=0)
    for text in filter(None, (report.sentence, report.legend)):
        lines += wrap(text, width, _GAP)
    return [*lines, ""]


def _races(scores: Sequence[Score], labels: Mapping[str, str], width: int, ellipsis: str) -> list[str]:
    """Return the outcome of each race, and a table of its encoders."""
    lines = []
    for found in race_tables(scores):
        lines += wrap(found.statement, width, _GAP)
        rows = [list(RACE_HEAD), *([labels[name], *cells] for name, cells in found.rows)]
        lines += _aligned(rows, width, ellipsis, left=frozenset({RACE_HEAD[0], RACE_HEAD[-1]}), names=0)
        lines.append("")
    return [*lines[:-1], *wrap(RACE_LEGEND, width, _GAP), ""] if lines else []


def _vlm(scores: Sequence[Score], labels: Mapping[str, str], width: int, ellipsis: str) -> list[str]:
    """Return the results of trained VLMs: a table per LLM, and what speaks against it."""
    lines = []
    for table in vlm_tables(scores):
        lines += wrap(f"VLM of {labels[table.llm]}: {LEGEND}", width, _GAP)
        rows = [list(HEAD), *([labels[row.encoder], *row.cells] for row in table.rows)]
        lines += _aligned(rows, width, ellipsis, left=frozenset(HEAD[:2]), names=0)
        for text in table.notes(labels):
            lines += wrap(text, width, _GAP)
        lines.append("")
    return lines


def _count(scores: Sequence[Score]) -> str:
    metrics = {score.metric for score in scores}
    counts = Counter(score.experiment for score in scores)
    missing = sum(score.value is None for score in scores)
    text = f"{plural(len(scores), 'score')} of {plural(len(metrics), 'metric')}: "
    text += ", ".join(f"{experiment} {count}" for experiment, count in counts.items())
    if missing:
        text += f"; {missing} not applicable, with reasons in the report"
    if not any(is_cross_modal(score) for score in scores):
        text += " (nothing to rank: no score of an encoder with an LLM)"
    return text
