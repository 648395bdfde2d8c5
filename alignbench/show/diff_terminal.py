"""A comparison of two runs for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.show import diff_words as words
from alignbench.show.text import encodable, pad, wrap
from alignbench.text import clean, cut, display_width, fit, number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.findings.diff import Comparison, Difference

WIDEST = 100
_ROWS = 20  # the number of changes shown after the regressions
_MOST = 40  # the number of regressions, and of lines on scores that only one run has
_LISTED = 12
_GAP = "  "
_HALF = "±"
_HEAD = ("", "score", "of", "A", "B", "B - A", f"{_HALF} 95%", "")
_TEXT = (0, 1, 2, 7)
_NAMES = _SCORE, _OF = 1, 2
_LEAST = 8


def terminal_diff(comparison: Comparison, width: int = WIDEST, *, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a comparison: regressions, the clearest changes, counts, scores of one run only.

    Args:
        comparison: the result of `compare`.
        width: the terminal's columns; lines are at most this wide, and at most 100.
        encoding: the stream's encoding; characters that it lacks are replaced.
    """
    page = _Page(min(width, WIDEST), encoding)
    regressions, changes = comparison.regressions[:_MOST], comparison.changes[:_ROWS]
    lines = page.wrapped(
        f"A  {words.run_line(comparison.before)}",
        f"B  {words.run_line(comparison.after)}",
        *(f"unlike: {reason}" for reason in comparison.unlike),
        *(f"note: {note}" for note in comparison.notes),
    )
    lines += ["", *page.rows([*regressions, *changes], words.recorded_twice(comparison.differences))]
    if hidden := len(comparison.regressions) - len(regressions):
        lines += page.wrapped(f"and {plural(hidden, 'more regression')}, all of them in markdown")
    if hidden := len(comparison.changes) - len(changes):
        lines += page.wrapped(f"and {plural(hidden, 'smaller change')}, all of them in markdown")
    lines += page.wrapped(words.headline(comparison), *words.remarks(comparison))
    for name, scores in (("A", comparison.only_before), ("B", comparison.only_after)):
        if scores:
            lines += [
                f"Only in {name}: {plural(len(scores), 'score')}",
                *page.listed(words.only_in(scores, _LISTED)),
            ]
    return [*lines, *page.wrapped(*_legend([*regressions, *changes]))]


@dataclass(frozen=True, slots=True)
class _Page:
    """Makes lines of at most `width` columns for a stream with this encoding."""

    width: int
    encoding: str

    def plain(self, text: object) -> str:
        return encodable(clean(text), self.encoding)

    @property
    def ellipsis(self) -> str:
        return encodable("…", self.encoding)

    def wrapped(self, *texts: str) -> list[str]:
        return [line for text in texts for line in wrap(self.plain(text), self.width, _GAP)]

    def listed(self, texts: Sequence[str]) -> list[str]:
        hidden = len(texts) - _MOST
        more = [f"and {hidden} more, all of them in markdown"] if hidden > 0 else []
        room = self.width - len(_GAP)
        return [_GAP + cut(self.plain(text), room, self.ellipsis) for text in (*texts[:_MOST], *more)]

    def rows(self, shown: Sequence[Difference], several: frozenset[str]) -> list[str]:
        """Return differences as a table; the two columns of names share the remaining width."""
        if not shown:
            return []
        rows = [[self.plain(cell) for cell in row] for row in (_HEAD, *(_cells(d, several) for d in shown))]
        widths = [max(display_width(row[i]) for row in rows) for i in range(len(_HEAD))]
        kept = [i for i, of in enumerate(widths) if of]
        room = self.width - len(_GAP) * (len(kept) - 1)
        room -= sum(widths[i] for i in kept if i not in _NAMES)
        widths[_SCORE], widths[_OF] = _share(room, widths[_SCORE], widths[_OF])
        lines = []
        for row in rows:
            cells = [fit(row[i], widths[i], self.ellipsis) if i in _NAMES else row[i] for i in kept]
            padded = (pad(c, widths[i], "<" if i in _TEXT else ">") for c, i in zip(cells, kept, strict=True))
            lines.append(cut(_GAP.join(padded).rstrip(), self.width, self.ellipsis))
        return lines


def _share(room: int, first: int, second: int) -> tuple[int, int]:
    """Return the widths of two columns that need `first` and `second` and have `room` together."""
    if first + second > room:
        first = min(first, max(room // 2, room - second, _LEAST))
        second = max(room - first, _LEAST)
    return first, second


def _cells(difference: Difference, several: frozenset[str]) -> list[str]:
    interval = difference.interval
    half = None if interval is None else (interval.high - interval.low) / 2
    return [
        words.verdict(difference),
        words.score_name(difference.after, several),
        words.of_what(difference.after),
        *words.values_of(difference),
        words.change_text(difference),
        number(half, "-"),
        "" if interval is None or difference.paired else "u",
    ]


def _legend(shown: Sequence[Difference]) -> list[str]:
    lines = words.shared_legend(shown)
    if any(d.paired for d in shown):
        lines.append(f"{_HALF} 95%: half the interval of B - A, {words.PAIRED}")
    if any(d.interval is not None and not d.paired for d in shown):
        lines.append(f"u = {words.UNPAIRED}")
    return lines
