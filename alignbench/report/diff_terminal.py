"""A comparison of two runs for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.text import clean, cut, display_width, fit, number
from alignbench.report.diff_words import (
    PAIRED,
    UNPAIRED,
    change_text,
    headline,
    not_judged,
    of_what,
    only_in,
    recorded_twice,
    run_line,
    score_name,
    shared_legend,
    timings_line,
    values_of,
    verdict,
)
from alignbench.report.text import encodable, pad, plural, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.report.diff import Comparison, Difference

WIDEST = 100
_ROWS = 20  # of changes beside the regressions
_MOST = 40  # regressions, and lines of what is only in one run
_LISTED = 12
_GAP = "  "
_HEAD = ("", "score", "of", "A", "B", "B - A", "\u00b1 95%", "")
_TEXT = (0, 1, 2, 7)
_SCORE, _OF = 1, 2
_LEAST = 8


def terminal_diff(comparison: Comparison, width: int = WIDEST, *, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a comparison: regressions, the clearest changes, counts, what is in one run only.

    Args:
        comparison: of `compare`.
        width: the terminal's columns; no line is wider, and none wider than 100.
        encoding: the stream's; what it can't say is replaced.
    """
    width = min(width, WIDEST)
    regressions, changes = comparison.regressions, comparison.changes
    shown = [*regressions[:_MOST], *changes[:_ROWS]]
    several = recorded_twice(comparison.differences)
    lines = _wrapped([f"A  {run_line(comparison.before)}", f"B  {run_line(comparison.after)}"], width)
    lines += _wrapped([f"unlike: {reason}" for reason in comparison.unlike], width)
    lines += _wrapped([f"note: {note}" for note in comparison.notes], width)
    lines += ["", *_rows(shown, several, width)] if shown else [""]
    hidden = len(regressions) + len(changes) - len(shown)
    if hidden:
        lines += _wrapped([f"and {plural(hidden, 'smaller change')}, all of them in markdown"], width)
    lines += _wrapped([headline(comparison), *not_judged(comparison), *timings_line(comparison)], width)
    for name, scores in (("A", comparison.only_before), ("B", comparison.only_after)):
        if scores:
            listed = only_in(scores, _LISTED)
            more = [f"and {len(listed) - _MOST} more, all of them in markdown"] if listed[_MOST:] else []
            lines.append(f"Only in {name}: {plural(len(scores), 'score')}")
            lines += [_GAP + cut(clean(line), width - len(_GAP)) for line in (*listed[:_MOST], *more)]
    lines += _wrapped(_legend(shown), width)
    return [encodable(line, encoding) for line in lines]


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    return [line for text in texts for line in wrap(clean(text), width, _GAP)]


def _rows(shown: Sequence[Difference], several: frozenset[str], width: int) -> list[str]:
    rows = [list(_HEAD), *(_cells(difference, several) for difference in shown)]
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(_HEAD))]
    kept = [i for i, of in enumerate(widths) if of]
    room = width - len(_GAP) * (len(kept) - 1) - sum(widths[i] for i in kept if i not in {_SCORE, _OF})
    widths[_SCORE], widths[_OF] = _share(room, widths[_SCORE], widths[_OF])
    lines = []
    for row in rows:
        cells = [fit(row[i], widths[i]) if i in {_SCORE, _OF} else row[i] for i in kept]
        padded = (pad(c, widths[i], "<" if i in _TEXT else ">") for c, i in zip(cells, kept, strict=True))
        lines.append(cut(_GAP.join(padded).rstrip(), width))
    return lines


def _share(room: int, first: int, second: int) -> tuple[int, int]:
    """Return the widths of two columns of names that have `room` together, and need so much."""
    half = max(room // 2, _LEAST)
    if first + second > room:
        first = min(first, max(half, room - second))
        second = max(room - first, _LEAST)
    return first, second


def _cells(difference: Difference, several: frozenset[str]) -> list[str]:
    interval = difference.interval
    half = None if interval is None else (interval.high - interval.low) / 2
    return [
        verdict(difference),
        clean(score_name(difference.after, several)),
        clean(of_what(difference.after)),
        *values_of(difference),
        change_text(difference),
        number(half, "-"),
        "" if interval is None or difference.paired else "u",
    ]


def _legend(shown: Sequence[Difference]) -> list[str]:
    lines = shared_legend(shown)
    if any(d.paired for d in shown):
        lines.append(f"\u00b1 95%: half the interval of B - A, {PAIRED}")
    if any(d.interval is not None and not d.paired for d in shown):
        lines.append(f"u = {UNPAIRED}")
    return lines
