"""The scores of a run for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from alignbench.findings.files import finite
from alignbench.show.text import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score


def scores_csv(scores: Iterable[Score]) -> str:
    """Return the scores as CSV, one line per score; no cell starts a formula."""
    head = ["experiment", "metric", "encoder", "llm", "other", "data_type", "variant", "n", "value"]
    head += ["low", "high", "null_mean", "p", "within_p", "chance", "higher_is_better", "flags", "status"]
    head += ["reason", "dataset", "seed"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for score in scores:
        null, interval = score.null, score.interval
        cells: dict[str, Any] = {
            "low": interval and interval.low,
            "high": interval and interval.high,
            "null_mean": null and null.mean,
            "p": null and null.p,
            "within_p": null and null.within_p,
            "flags": " ".join(score.flags),
        }
        writer.writerow([csv_cell(finite(cells.get(name, getattr(score, name, None)))) for name in head])
    return buffer.getvalue()
