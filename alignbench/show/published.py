"""A run's encoders beside published ones: for the terminal, and for Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.findings.beside import beside
from alignbench.findings.numbers import interval_text, value_text
from alignbench.show.text import code, encodable, markdown, pad, table, wrap
from alignbench.text import clean, display_width, fit
from alignbench.units import plural

if TYPE_CHECKING:
    from alignbench.findings.beside import Beside
    from alignbench.findings.findings import Findings

TITLE = "Beside published encoders"
HEAD = ("place", "encoder", "value", "95% interval")
NOTE = (
    "Published scores in an order are of the same samples and settings. They were not computed in this run, "
    "and nobody has checked them here. The answer above is about the encoders of this run alone."
)
NONE = "No published score is of the same data, metric and LLM."
APART = "Not in this order (A: the published run, B: this one)"
_GAP = "  "
_NAME = 44  # columns of an encoder's name


def ties_sentence(one: Beside) -> str:
    """Return what a shared place means."""
    if one.ties_known:
        return "Encoders that share a place cannot be told apart."
    return "Ties are unknown, so the order may be due to chance."


def rows_of(one: Beside) -> list[tuple[str, str, str, str]]:
    """Return (place, encoder, value, interval) of every encoder in the order."""
    return [(str(e.place), e.name, value_text(e.score), interval_text(e.score.interval)) for e in one.entries]


def beside_lines(findings: Findings, width: int, *, encoding: str = "utf-8") -> list[str]:
    """Return the lines for the terminal; none if nothing published was found."""
    lines: list[str] = []
    for one in beside(findings):
        lines += wrap(clean(one.title), width, _GAP)
        rows = [HEAD, *((p, fit(clean(name), _NAME), v, i) for p, name, v, i in rows_of(one))]
        widths = [max(display_width(row[k]) for row in rows) for k in range(len(HEAD))]
        for row in rows:
            cells = (pad(row[k], widths[k], "<" if k == 1 else ">") for k in range(len(HEAD)))
            lines.append(_GAP.join(cells).rstrip())
        lines += wrap(ties_sentence(one), width)
        if one.apart:
            listed = "; ".join(f"{name}: {why}" for name, why in one.apart.items())
            lines += wrap(clean(f"{APART}: {listed}"), width, _GAP)
        lines.append("")
    if findings.published and not lines:
        lines += [*wrap(NONE, width), ""]
    if findings.published:
        lines += wrap(f"{plural(len(findings.published), 'published file')}. {NOTE}", width)
    return [encodable(line, encoding) for line in lines]


def beside_markdown(findings: Findings) -> list[str]:
    """Return the section of summary.md; none if nothing published was found."""
    if not findings.published:
        return []
    lines = [f"## {TITLE}", ""]
    tables = beside(findings)
    for one in tables:
        rows = [[place, code(name), value, interval] for place, name, value, interval in rows_of(one)]
        lines += [f"**{markdown(one.title)}**", "", *table(list(HEAD), rows, frozenset({0, 2, 3})), ""]
        lines += [ties_sentence(one), ""]
        if one.apart:
            lines += [f"{APART}:", "", *(f"- {code(n)}: {markdown(why)}" for n, why in one.apart.items()), ""]
    return [*lines, *([] if tables else [NONE, ""]), NOTE, ""]
