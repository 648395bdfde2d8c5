"""Trends over runs for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.findings.numbers import value_text
from alignbench.show.diff_words import change_text, verdict
from alignbench.show.text import encodable, pad, wrap
from alignbench.text import clean, cut, display_width, fit, number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.findings.history import History, Line, Moment, Trend

_GAP = "  "
_NAME = 24  # columns of an encoder's name
_DAY = len("2026-11-28")
_MOST = 6  # runs in a table
_SINCE = "since the run before"
_LEGEND = (
    "since the run before: the change, half its 95% interval (paired where both runs have the same samples), "
    "and in brackets a change that may be due to chance"
)


def history_lines(history: History, width: int = 100, *, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a history: for each LLM, data and settings, the encoders by the first metric.

    Args:
        history: the trends.
        width: the terminal's columns.
        encoding: the stream's encoding; characters that it lacks are replaced.
    """
    lines, further = [plural(len(history.moments), "run")], 0
    shown: dict[tuple[str, ...], str] = {}
    for trend in history.trends:
        place = (trend.llm, trend.data_type)
        if shown.setdefault(place, trend.metric) != trend.metric:
            further += 1
            continue
        lines += ["", *_table(trend, width)]
    if any(len(line.scores) > 1 for trend in history.trends for line in trend.lines):
        lines += ["", *wrap(_LEGEND, width, _GAP)]
    if further:
        lines += [f"{plural(further, 'further trend')}, by other metrics, on the page"]
    for name, why in history.left_out.items():
        lines += wrap(clean(f"left out: {name}: {why}"), width, _GAP)
    return [encodable(line, encoding) for line in lines]


def about(trend: Trend) -> str:
    """Return the metric's direction, the data and the settings that tell a trend from others."""
    direction = "higher is better" if trend.higher_is_better else "lower is better"
    facts = (direction, f"{trend.data}, {plural(trend.n, 'sample')}", *trend.apart)
    return "; ".join(facts)


def since(line: Line) -> str:
    """Return how an encoder's score has changed since the run before; "" if there is none."""
    change = line.latest
    if change is None:
        return ""
    word = verdict(change)
    if change.value is not None and change.changed:
        interval = change.interval
        largest = abs(change.value)
        half = "" if interval is None else f" ±{number((interval.high - interval.low) / 2, largest=largest)}"
        word = f"{change_text(change)}{half} {word}"
    return f"{word}, other weights" if line.other_weights else word


def times(moments: Sequence[Moment]) -> dict[Moment, str]:
    """Return when each run began: the day, or the minute if two runs began on one day."""
    days = {moment.when[:_DAY] for moment in moments}
    return {m: m.when[:_DAY] if len(days) == len(moments) else m.when for m in moments}


def _table(trend: Trend, width: int) -> Iterator[str]:
    yield from wrap(clean(f"{trend.title} ({about(trend)})"), width, _GAP)
    names = [fit(clean(line.encoder), _NAME) for line in trend.lines]
    first = max(map(display_width, ["encoder", *names]))
    changes = [since(line) for line in trend.lines]
    last = max(map(display_width, [_SINCE, *changes])) if any(changes) else 0
    whens = times(trend.moments)
    column = max(map(display_width, whens.values()))
    fitting = max(1, (width - first - (last + len(_GAP) if last else 0)) // (column + len(_GAP)))
    moments: Sequence[Moment] = trend.moments[-min(fitting, _MOST) :]
    head = [pad("encoder", first), *(pad(whens[moment], column, ">") for moment in moments)]
    yield cut(_GAP.join([*head, *([_SINCE] if last else [])]).rstrip(), width)
    for name, line, change in zip(names, trend.lines, changes, strict=True):
        values = [value_text(line.scores[m]) if m in line.scores else "" for m in moments]
        cells = [pad(name, first), *(pad(value, column, ">") for value in values), change]
        yield cut(_GAP.join(cells).rstrip(), width)
    if (hidden := len(trend.moments) - len(moments)) > 0:
        yield f"{_GAP}{plural(hidden, 'earlier run')} on the page"
