"""The table above the figures of the alignment tab: CKA, MSE and cosine of every pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.plots.inputs import pick
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alignbench.types import Score

COLUMNS = {
    "linear_cka": "CKA",
    "calibrated_cka": "calibrated CKA",
    "projection_mse": "MSE",
    "projection_cosine": "cosine",
}
_ABOUT = (
    "MSE and cosine compare held-out texts with those that a linear projection predicts from their images. "
    "Higher is better, except for MSE, where predicting the mean text gives 1. CKA as published is high even "
    "for unrelated data if n is small; for calibrated CKA, 0 is chance. Smaller numbers: 95% intervals."
)


def pair_table(scores: Sequence[Score], name: Callable[[object], str], safe: Callable[[object], str]) -> str:
    """Return a table of pairs as HTML, with 95% intervals; "" if no pair was projected.

    Args:
        scores: the scores of a run.
        name: writes a model's name as HTML.
        safe: escapes any other text.
    """
    of_pairs = [score for score in scores if score.data_type == ALL and score.other is None]
    columns = {
        metric: {(str(score.encoder), str(score.llm)): score for score in pick(of_pairs, metric)}
        for metric in COLUMNS
    }
    pairs = list(columns["projection_mse"])
    if not pairs:
        return ""
    head = "".join(f'<th scope="col">{safe(text)}</th>' for text in ("encoder", "LLM", *COLUMNS.values()))
    rows = "".join(
        f"<tr><td>{name(pair[0])}</td><td>{name(pair[1])}</td>"
        + "".join(
            f'<td data-label="{safe(COLUMNS[metric])}">{_cell(column.get(pair), safe)}</td>'
            for metric, column in columns.items()
        )
        + "</tr>"
        for pair in pairs
    )
    table = f'<table class="ab-pairs"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return (
        f'<div class="ab-scroll" tabindex="0" role="group" aria-label="CKA, MSE and cosine">{table}</div>'
        f"<p>{safe(_ABOUT)}</p>"
    )


def _cell(score: Score | None, safe: Callable[[object], str]) -> str:
    if score is None or score.value is None:
        return safe("n/a" if score is None else f"n/a: {score.reason}")
    if score.interval is None:
        return safe(number(score.value))
    low, high = number(score.interval.low), number(score.interval.high)
    return f"{safe(number(score.value))} <small>{safe(f'{low} to {high}')}</small>"
