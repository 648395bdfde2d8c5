"""The section of summary.md on whether the ranking survives other choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.show.text import code, markdown, table
from alignbench.stats.variations import AS_SCORED, METRIC, OF
from alignbench.stats.verdict import TOO_CLOSE
from alignbench.text import number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.stats.variations import Variation
    from alignbench.types import Score


def sensitivity_lines(
    rows: Sequence[Variation], scores: Sequence[Score], labels: Mapping[str, str]
) -> list[str]:
    """Return the section on sensitivity; empty if it was not recorded.

    Args:
        rows: the ranking under each choice.
        scores: the run's scores.
        labels: model -> its name in Markdown.
    """
    if not rows:
        return []
    lines = ["## Does the ranking survive other choices?", ""]
    for llm in dict.fromkeys(row.llm for row in rows):
        lines += _of_llm([row for row in rows if row.llm == llm], labels)
    lines += _lost(scores, labels)
    return [
        *lines,
        f"{code(OF)} with one choice changed at a time. For an encoder without that variant, the unchanged "
        "score is in brackets. τ: Kendall's rank correlation with the order as scored.",
        "",
    ]


def _of_llm(rows: Sequence[Variation], labels: Mapping[str, str]) -> list[str]:
    others = [row for row in rows if row.variant != AS_SCORED]
    if not others:
        return []
    encoders = next(row.order for row in rows if row.variant == AS_SCORED)
    kept = sum(row.keeps_first for row in others)
    sentence = (
        f"For {labels[rows[0].llm]}: {labels[encoders[0]]}, the first of {_these(encoders)} as scored, "
        f"stays the first or {TOO_CLOSE} under {kept} of {plural(len(others), 'other choice')}."
    )
    head = ["variant", *(labels[encoder] for encoder in encoders), f"first, or {TOO_CLOSE}", "τ"]
    cells = [
        [
            markdown(row.variant),
            *(_value(row, encoder) for encoder in encoders),
            "unknown" if row.tied is None else ", ".join(labels[encoder] for encoder in row.tied),
            "-" if row.tau is None else f"{row.tau:.2f}",
        ]
        for row in rows
    ]
    right = frozenset({*range(1, len(encoders) + 1), len(head) - 1})
    return [sentence, "", *table(head, cells, right), ""]


def _lost(scores: Sequence[Score], labels: Mapping[str, str]) -> list[str]:
    """Return a line for each encoder and choice without a value, once for all LLMs."""
    lost = {
        (str(score.encoder), score.variant): str(score.reason)
        for score in scores
        if score.metric == METRIC and score.value is None
    }
    lines = [
        f"- {labels.get(encoder, markdown(encoder))}, {markdown(variant)}: {markdown(reason)}"
        for (encoder, variant), reason in lost.items()
    ]
    return ["Without a value:", "", *lines, ""] if lines else []


def _these(encoders: Sequence[str]) -> str:
    return "this one encoder" if len(encoders) == 1 else f"these {len(encoders)} encoders"


def _value(row: Variation, encoder: str) -> str:
    value = number(row.values[encoder])
    return f"({value})" if encoder in row.unchanged else value
