"""summary.md: the answer, then the numbers, then how they were made."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.failures import missing
from alignbench.findings.answer import answer
from alignbench.findings.control import control_sentences
from alignbench.findings.facts import dropped_rows, facts
from alignbench.findings.files import REPORT
from alignbench.findings.flags import flags_of
from alignbench.findings.numbers import interval_text, probability, share, value_text
from alignbench.plots.declared import needs_of, not_drawn
from alignbench.show.failures import failure_markdown
from alignbench.show.published import beside_markdown
from alignbench.show.race import race_markdown, race_tables
from alignbench.show.scaling import scaling_sentences
from alignbench.show.sensitivity import sensitivity_lines
from alignbench.show.speed import SpeedTable, speed_report
from alignbench.show.tables import tables_of
from alignbench.show.text import block, code, markdown, table
from alignbench.show.vlm import vlm_markdown
from alignbench.stats.prediction import worth
from alignbench.stats.verdict import verdict
from alignbench.text import number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from alignbench.findings.control import AgainstControl
    from alignbench.findings.findings import Findings
    from alignbench.findings.ranking import Ranking
    from alignbench.stats.prediction import Prediction
    from alignbench.types import Failure, ModelInfo, Score

_BEST = "P(best)"
_MOST_REASONS = 20
MOST_CHARACTERS = 60_000  # GitHub refuses a comment of more than 65,536
_NUMBERS = ("value", "95% interval", "shuffled pairs", "p", "p within types", "n", "flags")
_RIGHT = frozenset({"place", _BEST, "value", "shuffled pairs", "p", "p within types", "n"})
_OPTIONAL = frozenset({"variant", _BEST})


def summary_markdown(findings: Findings, figures: Sequence[str] = (), problems: Sequence[str] = ()) -> str:
    """Return the run's summary in GitHub markdown, for a CI step and for a pull request.

    Args:
        findings: the run's findings.
        figures: the file names of the figures beside the summary.
        problems: what went wrong while the report was made.
    """
    scores, run, failures = findings.scores, findings.run, findings.failures
    labels = {name: code(label) for name, label in findings.labels.items()}
    lines = ["# Which encoder fits which LLM?", ""]
    for sentence in findings.toy_warnings:
        lines += [f"**Warning:** {markdown(sentence)}", ""]
    for ranking in findings.rankings:
        lines += [_answer(ranking, labels), ""]
    for found in (races := race_tables(scores)):
        lines += [f"**For {labels[found.llm]}:** {markdown(found.statement)}", ""]
    for sentence in (sizes := scaling_sentences(scores, labels.__getitem__, markdown)):
        lines += [sentence, ""]
    lines += [f"{code(REPORT)} beside this file has the figures, every score and what it means.", ""]
    if not findings.rankings and not races and not sizes:
        lines += ["No score of an encoder with an LLM was recorded, so there is nothing to rank.", ""]
    lines += failure_markdown(failures)
    for ranking in findings.rankings:
        lines += _ranking_table(ranking, labels)
    lines += beside_markdown(findings)
    lines += _by_type(findings.details_by_type, labels)
    lines += _controls(findings.controls, labels)
    lines += [*_dropped(run), *_list("Warnings", [*run.get("warnings", ()), *problems])]
    lines += [
        *_prediction(findings.prediction, labels),
        *_tables(scores),
        *_with_gaps(race_markdown(scores, labels), "choose", scores, failures),
        *_with_gaps(vlm_markdown(scores, labels), "vlm", scores, failures),
        *_with_gaps(sensitivity_lines(findings.variations, scores, labels), "sensitivity", scores, failures),
        *_with_gaps(_speed(scores, labels), "speed", scores, failures),
        *_legend(findings.flags),
        *_how(run, findings.models),
    ]
    if figures:
        names = dict.fromkeys(PurePath(name).stem for name in figures)
        lines += ["## Figures", "", f"Beside this file, as PNG and SVG: {', '.join(map(code, names))}.", ""]
        lines += _not_drawn(names)
    room = MOST_CHARACTERS - len("\n".join(lines))
    return "\n".join([*lines, *_all_scores(scores, labels, failures, room)]).rstrip() + "\n"


def _not_drawn(drawn: Collection[str]) -> list[str]:
    """Return the figures that were not drawn, with the commands that draw them."""
    absent = not_drawn(drawn)
    if not absent:
        return []
    lines = [
        "These figures were not drawn in this run; each command draws its own, with the same options:",
        "",
    ]
    for command, names in absent.items():
        lines.append(f"- {code(command)}: {', '.join(f'{code(name)}{needs_of(name)}' for name in names)}")
    return [*lines, ""]


def _on(ranking: Ranking) -> str:
    return "" if ranking.data_type == ALL else f" on {code(ranking.data_type)}"


def _answer(ranking: Ranking, labels: Mapping[str, str]) -> str:
    sentences = answer(ranking, labels.__getitem__, markdown)
    return f"**For {labels[ranking.llm]}{_on(ranking)}:** {' '.join(sentences)}"


def _ranking_table(ranking: Ranking, labels: Mapping[str, str]) -> list[str]:
    if not ranking.scores:
        return []
    direction = "higher is better" if ranking.higher_is_better else "lower is better"
    by = _metric(next(iter(ranking.scores.values()))) + (", not ranked" if ranking.metric is None else "")
    title = f"## {labels[ranking.llm]}{_on(ranking)}: encoders by {by} ({direction})"
    places, best = ranking.places, ranking.probability_best
    rows = []
    for encoder, score in ranking.scores.items():
        certainty = markdown(share(best.get(encoder))) if best else ""
        rows.append([str(places.get(encoder, "-")), labels[encoder], certainty, *_numbers(score)])
    lines = [title, "", *_table(["place", "encoder", _BEST, *_NUMBERS], rows), ""]
    if best:
        lines += [f"{_BEST}: the probability of being the best of these (normal errors, a flat prior).", ""]
    again = next((score.reproduce for score in ranking.scores.values() if score.reproduce), None)
    if again:
        lines += ["To compute the first of these scores alone:", "", *block(again), ""]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in which numbers are right-aligned, without optional columns that are empty."""
    kept = [i for i, name in enumerate(head) if name not in _OPTIONAL or any(row[i] for row in rows)]
    right = frozenset(place for place, i in enumerate(kept) if head[i] in _RIGHT)
    return table([head[i] for i in kept], [[row[i] for i in kept] for row in rows], right)


def _metric(of: Ranking | Score) -> str:
    return code(of.metric) + (f", {markdown(of.variant)}" if of.variant else "")


def _by_type(rankings: Sequence[Ranking], labels: Mapping[str, str]) -> list[str]:
    """Return which encoder is best on each data type alone, or which may be."""
    if not rankings:
        return []
    head = ["LLM", "data type", "best", "top score", _BEST, "by", "value", "95% interval", "p", "n"]
    rows = [_type_row(ranking, labels) for ranking in rankings]
    lines = ["## By data type", "", *_table(head, rows), ""]
    return [*lines, "Each type is judged by itself; with many types, some differ by chance.", ""]


def _controls(differences: Sequence[AgainstControl], labels: Mapping[str, str]) -> list[str]:
    """Return where trained encoders can be told from the untrained one, with every paired difference."""
    if not differences:
        return []
    lines = ["## Against the untrained control", ""]
    lines += [f"- {sentence}" for sentence in control_sentences(differences, labels.__getitem__, markdown)]
    head = ["outcome", "LLM", "data", "encoder", "control", "difference, 95% interval", "above the control"]
    rows = [
        [
            markdown(one.outcome),
            labels[one.llm],
            markdown(one.data_type),
            labels[one.encoder],
            labels[one.control],
            markdown(one.text),
            "yes" if one.above else "not shown",
        ]
        for one in differences
    ]
    return [*lines, "", *table(head, rows, frozenset({5})), ""]


def _type_row(ranking: Ranking, labels: Mapping[str, str]) -> list[str]:
    about = [labels[ranking.llm], markdown(ranking.data_type)]
    if ranking.best is None:
        reasons = "; ".join(dict.fromkeys(ranking.unranked.values()))
        return [*about, f"{verdict(ranking)}: {markdown(reasons)}", *["-"] * 7]
    score = ranking.scores[ranking.best]
    best = verdict(ranking, labels.__getitem__)
    value, interval, _, p, _, n, _ = _numbers(score)
    certainty = markdown(share((ranking.probability_best or {}).get(ranking.best)))
    return [*about, best, labels[ranking.best], certainty, _metric(ranking), value, interval, p, n]


def _numbers(score: Score) -> list[str]:
    null, interval = score.null, score.interval
    value = f"n/a: {markdown(score.reason)}" if score.value is None else value_text(score)
    return [
        value,
        interval_text(interval),
        "-" if null is None else number(null.mean, "-"),
        "-" if null is None else probability(null.p),
        "-" if null is None else probability(null.within_p),
        str(score.n),
        ", ".join(markdown(flag) for flag in flags_of(score)),
    ]


def _prediction(found: Prediction | None, labels: Mapping[str, str]) -> list[str]:
    """Return whether other scores correlate with retrieval over encoders, and whether that can be known."""
    if found is None:
        return []
    lines = ["## Does a score predict retrieval?", "", markdown(found.statement), ""]
    lines += [f"- {markdown(one.metric)} with {markdown(one.outcome)}: {worth(one)}" for one in found.first]
    if found.first:
        lines.append("")
        if found.paradox:
            lines += [markdown(found.paradox), ""]
    head = ["score", "outcome", "Pearson", "left out one", "Spearman", "Kendall"]
    head += ["p", "p of all", "R² by chance"]
    rows = [
        [
            markdown(one.metric),
            markdown(one.outcome),
            f"{one.pearson:.2f}",
            "-" if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}",
            f"{one.spearman:.2f}",
            f"{one.kendall:.2f}",
            probability(one.p),
            probability(one.p_adjusted),
            f"{one.null_r2:.2f}",
        ]
        for one in found.correlations
    ]
    if rows:
        lines += [f"<details><summary>{plural(len(rows), 'correlation')}</summary>", ""]
        lines += [*table(head, rows, frozenset(range(2, 9))), "", "</details>", ""]
    reasons = "; ".join(f"{labels.get(k, code(k))}: {markdown(why)}" for k, why in found.left_out.items())
    return [*lines, f"Left out: {reasons}.", ""] if reasons else lines


def _tables(scores: Sequence[Score]) -> list[str]:
    """Return what published tables say about scores as predictors."""
    lines = []
    for said in tables_of(scores):
        lines += [f"## {markdown(said.title)}", ""]
        lines += [line for sentence in said.sentences for line in (markdown(sentence), "")]
        lines += [
            f"Source: {markdown(said.source)}.",
            "",
            *(f"- {markdown(note)}" for note in said.notes),
            "",
        ]
    return lines


def _legend(flags: Mapping[str, str]) -> list[str]:
    lines = [f"- {markdown(flag)}: {markdown(meaning)}" for flag, meaning in flags.items()]
    return ["Flags:", "", *lines, ""] if lines else []


def _with_gaps(
    lines: list[str], experiment: str, scores: Sequence[Score], failures: Sequence[Failure]
) -> list[str]:
    """Return a section with a note on what is missing from it; empty if there is no section."""
    note = missing((experiment,), failures, scores)
    return [*lines, markdown(note), ""] if lines and note else lines


def _all_scores(
    scores: Sequence[Score], labels: Mapping[str, str], failures: Sequence[Failure], room: int
) -> list[str]:
    """Return a table per experiment in at most about `room` characters; tables left out are named."""
    lines = ["## Every score", ""] if scores else []
    left_out = []
    for experiment in dict.fromkeys(score.experiment for score in scores):
        own = [score for score in scores if score.experiment == experiment]
        section = _scores_table(experiment, own, labels, missing((experiment,), failures, scores))
        size = sum(map(len, section)) + len(section)
        if size > room:
            left_out.append(f"{markdown(experiment)} ({plural(len(own), 'score')})")
        else:
            lines += section
            room -= size
    if left_out:
        text = f"Left out to keep this file as short as a comment may be; {code(REPORT)} has them: "
        lines += [f"{text}{', '.join(left_out)}.", ""]
    return lines


def _scores_table(
    experiment: str, scores: Sequence[Score], labels: Mapping[str, str], note: str
) -> list[str]:
    head = ["metric", "variant", "encoder", "LLM", "against", "data", *_NUMBERS]
    rows = [
        [
            markdown(f"{score.metric} ({score.unit})" if score.unit else score.metric),
            markdown(score.variant),
            *("" if name is None else labels[name] for name in (score.encoder, score.llm, score.other)),
            markdown(score.data_type),
            *_numbers(score),
        ]
        for score in scores
    ]
    title = f"<details><summary>{markdown(experiment)}: {plural(len(scores), 'score')}</summary>"
    lines = [title, "", *_table(head, rows), ""]
    if note:
        lines += [markdown(note), ""]
    return [*lines, "</details>", ""]


def _speed(scores: Sequence[Score], labels: Mapping[str, str]) -> list[str]:
    report = speed_report(scores)
    if report is None:
        return []
    lines = ["## Speed", "", f"{markdown(report.conditions)}.", ""]
    for timings in report.tables:
        lines += [*_timings(timings, labels), ""]
    if report.rounds is not None:
        title = "<details><summary>How much the rounds of a timing vary, in ms</summary>"
        lines += [title, "", *_timings(report.rounds, labels), "", "</details>", ""]
    for text in filter(None, (report.sentence, report.legend)):
        lines += [f"{markdown(text)}.", ""]
    return lines


def _timings(found: SpeedTable, labels: Mapping[str, str]) -> list[str]:
    rows = [[labels[name], *map(markdown, cells)] for name, *cells in found.rows]
    return table(found.head, rows, frozenset(range(1, len(found.head))))


def _how(run: Mapping[str, Any], models: Sequence[ModelInfo]) -> list[str]:
    facts_of_run = facts(run)
    if not facts_of_run:
        return ["## How it was made", "", "The run did not finish; only its scores are known.", ""]
    command = block(facts_of_run.pop("command"))
    lines = ["## How it was made", "", *command, ""]
    lines += [*(f"- {key}: {markdown(value)}" for key, value in facts_of_run.items()), ""]
    rows = [
        [
            code(m.label),
            m.side,
            markdown(m.source),
            markdown(m.weights_words),
            markdown((m.revision or "-")[:12]),
            markdown(", ".join(f"{key} {value}" for key, value in m.params.items() if value is not None)),
        ]
        for m in models
    ]
    if rows:
        lines += [*table(["model", "side", "source", "weights", "revision", "settings"], rows), ""]
    return lines


def _dropped(run: Mapping[str, Any]) -> list[str]:
    """Return how many rows could not be used and why, with a few examples per reason."""
    reasons = dropped_rows(run)
    if not reasons:
        return []
    lines = [f"## {plural(sum(row.count for row in reasons), 'row')} could not be used", ""]
    for row in reasons[:_MOST_REASONS]:
        more = ", ..." if row.count > len(row.examples) else ""
        lines.append(
            f"- {plural(row.count, 'time')}: {markdown(row.reason)} ({code(', '.join(row.examples))}{more})"
        )
    if len(reasons) > _MOST_REASONS:
        lines.append(f"- and {len(reasons) - _MOST_REASONS} other reasons, in scores.json")
    return [*lines, ""]


def _list(title: str, items: Iterable[object]) -> list[str]:
    rows = [f"- {markdown(item)}" for item in items]
    return [f"## {title}", "", *rows, ""] if rows else []
