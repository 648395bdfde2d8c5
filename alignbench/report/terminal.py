"""The table at the end of a run, for a person at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.plots.names import labels_of, models_of
from alignbench.plots.text import clean, display_width, fit, number
from alignbench.report.answer import answer
from alignbench.report.flags import letter, meaning, of_weights
from alignbench.report.ranking import in_order, is_cross_modal, rank, ranked_scores
from alignbench.report.text import encodable, pad, plural, probability, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from alignbench.report.ranking import Ranking
    from alignbench.types import Run, Score

_HEAD = ("", "encoder", "value", "95% interval", "null", "p", "p in type", "flags")
_RIGHT = frozenset({0, 2, 3, 4, 5, 6})
_NAME = 1
_GAP = "  "


def terminal_table(
    scores: Sequence[Score],
    run: Run | Mapping[str, Any],
    width: int = 80,
    *,
    report: Path | str | None = None,
    encoding: str = "utf-8",
) -> list[str]:
    """Return the lines that end a run: for each LLM the encoders ranked, then what the flags mean.

    Args:
        scores: all scores of the run.
        run: its description, a `Run` or what `read_run` gave.
        width: the terminal's columns; no line is wider.
        report: where the report is, to be said in the last line.
        encoding: the stream's; what it can't say is replaced.
    """
    scores = in_order(scores, models_of(run))
    labels = {name: encodable(clean(label), encoding) for name, label in labels_of(run, scores).items()}
    ellipsis = encodable("…", encoding)
    lines: list[str] = []
    used: dict[str, None] = {}
    for ranking in rank(scores):
        own = ranked_scores(ranking, scores)
        used |= dict.fromkeys(flag for score in own.values() for flag in all_flags(score))
        lines += [*_title(ranking, labels), *_rows(ranking, own, labels, width, ellipsis)]
        for sentence in answer(ranking, scores, lambda name: labels.get(name, clean(name))):
            lines += wrap(encodable(clean(sentence), encoding), width, "  ")
        lines.append("")
    lines += _others(scores, width)
    for flag in used:
        lines += wrap(encodable(clean(f"{letter(flag)} = {flag}: {meaning(flag)}"), encoding), width, "    ")
    if report is not None:
        lines.append(f"report: {report}")
    return [line if line.startswith("report: ") else fit(line, width, ellipsis) for line in lines]


def all_flags(score: Score) -> tuple[str, ...]:
    """Return the score's flags and those that follow from its models' weights."""
    return tuple(dict.fromkeys((*score.flags, *of_weights(score.weights.values()))))


def _title(ranking: Ranking, labels: Mapping[str, str]) -> list[str]:
    on = "" if ranking.data_type == "all" else f" on {clean(ranking.data_type)}"
    if ranking.metric is None:
        return [f"LLM {labels[ranking.llm]}{on}"]
    direction = "higher is better" if ranking.higher_is_better else "lower is better"
    return [f"LLM {labels[ranking.llm]}{on}: ranked by {ranking.metric} ({direction}), n = {ranking.n}"]


def _rows(
    ranking: Ranking, own: Mapping[str, Score], labels: Mapping[str, str], width: int, ellipsis: str
) -> list[str]:
    if not own:
        return []
    places = ranking.places
    rows = [list(_HEAD), *(_cells(places.get(e), labels[e], score) for e, score in own.items())]
    empty = {i for i in range(len(_HEAD)) if i > 2 and all(row[i] in {"", "-"} for row in rows[1:])}
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(_HEAD))]
    others = sum(widths[i] + len(_GAP) for i in range(len(_HEAD)) if i != _NAME and i not in empty)
    widths[_NAME] = max(8, min(widths[_NAME], width - others))
    return [
        _GAP.join(
            pad(fit(cell, widths[i], ellipsis), widths[i], ">" if i in _RIGHT else "<")
            for i, cell in enumerate(row)
            if i not in empty
        ).rstrip()
        for row in rows
    ]


def _cells(place: int | None, label: str, score: Score) -> list[str]:
    null = score.null
    interval = score.interval
    return [
        "-" if place is None else str(place),
        label,
        number(score.value),
        "-" if interval is None else f"[{number(interval.low)}, {number(interval.high)}]",
        "-" if null is None else number(null.mean, "-"),
        "-" if null is None else probability(null.p),
        "-" if null is None else probability(null.within_p),
        " ".join(letter(clean(flag)) for flag in all_flags(score)),
    ]


def _others(scores: Sequence[Score], width: int) -> list[str]:
    metrics = dict.fromkeys(clean(score.metric) for score in scores)
    missing = sum(score.value is None for score in scores)
    text = f"{plural(len(scores), 'score')} of {plural(len(metrics), 'metric')}: {', '.join(metrics)}"
    if missing:
        text += f"; {missing} not applicable, with reasons in the report"
    if not any(is_cross_modal(score) for score in scores):
        text += " (nothing to rank: no score of an encoder with an LLM)"
    return wrap(text, width, "  ") if scores else []
