"""Scores as a table for a web page or a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from alignbench.findings.flags import flags_of
from alignbench.findings.numbers import interval_text, probability, value_text
from alignbench.text import clean, number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score

HEAD = ("metric", "encoder", "LLM", "data", "value", "95% interval", "shuffled", "p", "n", "notes")

Row = list[str]


def score_table(scores: Iterable[Score]) -> tuple[list[str], list[Row]]:
    """Return the head of the table, without the columns that no score fills, and one row per score."""
    rows = [_row(score) for score in scores]
    used = [i for i in range(len(HEAD)) if any(row[i] for row in rows)]
    return [HEAD[i] for i in used], [[row[i] for i in used] for row in rows]


def html_table(scores: Iterable[Score]) -> str:
    """Return the table as HTML for a notebook."""
    head, rows = score_table(scores)
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _row(score: Score) -> Row:
    null = score.null
    metric = f"{score.metric}, {score.variant}" if score.variant else score.metric
    second = score.llm or score.other
    return [
        clean(metric),
        clean(score.encoder or ""),
        clean(second or ""),
        clean(score.data_type),
        f"{value_text(score)} {score.unit}".strip() if score.value is not None else "n/a",
        interval_text(score.interval, ""),
        number(null.mean, "") if null else "",
        probability(null.p, "") if null else "",
        str(score.n),
        clean(score.reason or ", ".join(flags_of(score))),
    ]
