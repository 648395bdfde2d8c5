"""A comparison of two runs for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.findings.numbers import interval_text
from alignbench.show import diff_words as words
from alignbench.show.text import markdown, table
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.findings.diff import Comparison, Difference
    from alignbench.types import Score

_SHOWN = 20
_MOST = 250  # the number of rows that fit into a comment on GitHub
_HEAD = ["", "score", "of", "A", "B", "B - A", "95% of B - A"]
_RIGHT = frozenset({3, 4, 5, 6})


def markdown_diff(comparison: Comparison) -> str:
    """Return a comparison as GitHub Markdown: the answer, regressions, the clearest changes, the rest."""
    several = words.recorded_twice(comparison.differences)
    regressions, changes = comparison.regressions, comparison.changes
    head, rest = [*regressions, *changes[:_SHOWN]], changes[_SHOWN:]
    lines = ["## What changed?", "", f"**{markdown(words.headline(comparison))}**", ""]
    for name, side in (("A", comparison.before), ("B", comparison.after)):
        lines.append(f"- {name}: {markdown(words.run_line(side))}")
    lines += [f"- **unlike**: {markdown(reason)}" for reason in comparison.unlike]
    lines += [f"- {markdown(text)}" for text in (*words.remarks(comparison), *comparison.notes)]
    lines += ["", *_table(head, several)]
    if rest:
        lines += _folded(plural(len(rest), "smaller change"), _table(rest, several))
    if comparison.timings:
        title = f"{plural(len(comparison.timings), 'measurement')} of speed"
        lines += _folded(title, _table(comparison.timings, several))
    if lost := [d for d in comparison.differences if d.lost or d.gained]:
        lines += [*(f"- {_why(difference, several)}" for difference in lost), ""]
    for name, scores in (("A", comparison.only_before), ("B", comparison.only_after)):
        if scores:
            listed = [f"- {markdown(line)}" for line in words.only_in(scores, _MOST)]
            lines += _folded(f"{plural(len(scores), 'score')} only in {name}", listed)
    lines += [markdown(text) for text in _legend([*head, *rest])]
    return "\n".join(lines).rstrip() + "\n"


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    body = [*lines, ""] if lines[-1] else lines
    return [f"<details><summary>{title}</summary>", "", *body, "</details>", ""]


def _table(differences: Sequence[Difference], several: frozenset[str]) -> list[str]:
    if not differences:
        return []
    rows = [_cells(difference, several) for difference in differences[:_MOST]]
    lines = [*table(_HEAD, rows, _RIGHT), ""]
    hidden = len(differences) - len(rows)
    return [*lines, f"and {hidden} more, in both runs' scores.json", ""] if hidden else lines


def _cells(difference: Difference, several: frozenset[str]) -> list[str]:
    interval = difference.interval
    unpaired = "" if interval is None or difference.paired else " (unpaired)"
    word = markdown(words.verdict(difference))
    return [
        f"**{word}**" if difference.failed else word,
        markdown(words.score_name(difference.after, several)),
        markdown(words.of_what(difference.after)),
        *words.values_of(difference),
        words.change_text(difference),
        interval_text(interval) + unpaired,
    ]


def _why(difference: Difference, several: frozenset[str]) -> str:
    """Return why a score has lost its value, or had none before."""
    missing: Score = difference.after if difference.lost else difference.before
    name = f"{words.score_name(missing, several)} of {words.of_what(missing)}"
    return markdown(f"{name}: not applicable in {'B' if difference.lost else 'A'}: {missing.reason}")


def _legend(differences: Sequence[Difference]) -> list[str]:
    lines = words.shared_legend(differences)
    if any(d.interval is not None and not d.paired for d in differences):
        lines.append(f"{words.UNPAIRED[0].upper()}{words.UNPAIRED[1:]}.")
    return lines
