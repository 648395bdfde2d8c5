"""The run's encoders beside published ones, as the page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.findings.beside import beside
from alignbench.findings.numbers import interval_text, value_text
from alignbench.plots.style import DATA_TYPES, NULL
from alignbench.show.html.bars import bar, scale_of
from alignbench.show.published import APART, NONE, NOTE, ties_sentence

if TYPE_CHECKING:
    from alignbench.findings.beside import Beside
    from alignbench.findings.findings import Findings

_HERE, _ELSEWHERE = DATA_TYPES[0], NULL


def published_context(findings: Findings) -> dict[str, Any]:
    """Return what the template of the section is filled with."""
    views = [_view(one) for one in beside(findings)] if findings.published else None
    return {"published": views, "published_note": NOTE, "published_none": NONE, "apart_note": APART}


def _view(one: Beside) -> dict[str, Any]:
    scale = scale_of(entry.score for entry in one.entries)
    rows = [
        {
            "name": entry.name,
            "place": entry.place,
            "origin": "published" if entry.published else "this run",
            "value": value_text(entry.score),
            "bar": bar(entry.score, scale, _ELSEWHERE if entry.published else _HERE),
            "interval": interval_text(entry.score.interval),
        }
        for entry in one.entries
    ]
    return {"title": one.title, "ties": ties_sentence(one), "rows": rows, "apart": one.apart}
