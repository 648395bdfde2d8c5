"""The tables that validity is judged by, made from the study's cells, and the files of its result."""

from __future__ import annotations

import csv
import io
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.experiments.validity.lead import lead
from alignbench.experiments.validity.links import validity
from alignbench.experiments.validity.study import DRAWINGS
from alignbench.experiments.validity.study_cells import OUTCOMES, STUDIED, TRAINED_PREDICTORS
from alignbench.experiments.validity.table import Table, complete_values
from alignbench.files import make_folder, write_bytes
from alignbench.stats import LEVEL
from alignbench.zoo.lineages import CONTRASTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from alignbench.experiments.validity.lead import Lead
    from alignbench.experiments.validity.links import Validity
    from alignbench.experiments.validity.study import Cell

    Column = tuple[str, str, str]  # drawings, LLM, data type
    Values = Mapping[str, Mapping[str, float]]


BASELINE = "debiased_cka"
"""The score that those which stand after all comparisons are held against."""
LABEL = "language_supervised"
"""1 for an encoder that was trained with texts, else 0: it costs nothing, so a score has to beat it."""


def study_validities(cells: Sequence[Cell], *, seed: int = 42) -> list[Validity]:
    """Return the validity of each table of the study's cells, the primary table first.

    The primary table has the ends of all trainings on the first drawings with all LLMs, and every outcome.
    The others show how far its result holds: on the other drawings, on all drawings, by data type, without
    untrained encoders, and with early checkpoints as blocks of their lineages.
    """
    drawings = sorted({cell.drawings for cell in cells}, key=lambda d: (list(DRAWINGS).index(d), d))
    final = {d: [cell for cell in cells if cell.card.final and cell.drawings == d] for d in drawings}
    first = final[drawings[0]] if drawings else []
    types = sorted({t for cell in first for t in cell.outcomes} - {ALL})
    early = {cell.card.lineage for cell in cells if not cell.card.final}
    wanted: dict[str, tuple[Sequence[Cell], Sequence[str]]] = {
        **{f"{d} drawings": (of_drawings, [ALL]) for d, of_drawings in final.items()},
        "all drawings": (list(chain(*final.values())) if len(drawings) > 1 else [], [ALL]),
        "by data type": (first, types),
        "without untrained encoders": ([c for c in first if c.card.family != "random"], [ALL]),
        "with early checkpoints": (
            [c for c in cells if c.card.lineage in early and c.drawings == drawings[0]],
            [ALL],
        ),
    }
    results = []
    for name, (chosen, of_types) in wanted.items():
        table = study_table(chosen, of_types)
        if len(table.encoders) > 2 and table.metrics and table.outcomes:
            results.append(validity(table, name, seed=seed))
    return results


def study_table(cells: Iterable[Cell], types: Sequence[str] = (ALL,)) -> Table:
    """Return cells as a table: one row per encoder, one column per set of drawings, LLM and data type.

    Encoders that lack a column are left out with the reason, and so are metrics that lack a value for some
    encoder and column.
    """
    by_encoder: dict[str, dict[Column, Cell]] = {}
    for cell in cells:
        for data_type in types:
            by_encoder.setdefault(cell.encoder, {})[cell.drawings, cell.llm, data_type] = cell
    columns = list(dict.fromkeys(column for of_encoder in by_encoder.values() for column in of_encoder))
    left_out = {
        encoder: f"{len(columns) - len(of_encoder)} of {len(columns)} columns are not computed"
        for encoder, of_encoder in by_encoder.items()
        if len(of_encoder) < len(columns)
    }
    encoders = [encoder for encoder in by_encoder if encoder not in left_out]
    cards = [next(iter(by_encoder[encoder].values())).card for encoder in encoders]
    # the checkpoints of a lineage are sorted by step, so that blocks can be compared
    order = sorted(range(len(encoders)), key=lambda i: (cards[i].lineage, cards[i].step))
    encoders, cards = [encoders[i] for i in order], [cards[i] for i in order]

    def values_of(names: Iterable[str], of: Callable[[Cell], Values]) -> dict[str, Any]:
        def rows_of(name: str) -> list[list[float]]:
            return [
                [of(by_encoder[e][column]).get(column[2], {}).get(name, np.nan) for column in columns]
                for e in encoders
            ]

        return complete_values(names, rows_of, left_out, "column")

    label = np.asarray([[float(card.family == CONTRASTIVE)] * len(columns) for card in cards])
    return Table(
        encoders=tuple(encoders),
        lineages=tuple(card.lineage for card in cards),
        families=tuple(card.family for card in cards),
        columns=tuple(" ".join(column) for column in columns),
        metrics=values_of((*STUDIED, *TRAINED_PREDICTORS), lambda cell: cell.metrics) | {LABEL: label},
        outcomes=values_of(OUTCOMES, lambda cell: cell.outcomes),
        left_out=left_out,
    )


def links_csv(results: Sequence[Validity]) -> str:
    """Return all links of all tables as CSV."""
    families = list(dict.fromkeys(family for result in results for family in result.table.families))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_HEADER, *(f"r_without_{family}" for family in families)])
    for result in results:
        size = len(result.table.encoders), len(result.table.columns)
        for link in result.links:
            c, e = link.correlation, link.explained
            numbers: list[float | None] = [c.pearson, c.spearman, c.kendall]
            numbers += [c.p, c.spearman_p, c.kendall_p, c.p_adjusted]
            numbers += [c.low, c.high, e.r2, e.q2, e.null_r2, *(link.without.get(f) for f in families)]
            row = [result.name, c.metric, c.outcome, c.lineages, *size]
            writer.writerow([*row, *("" if v is None else f"{v:.5g}" for v in numbers)])
    return buffer.getvalue()


_HEADER = (
    "table",
    "metric",
    "outcome",
    "lineages",
    "encoders",
    "columns",
    "pearson",
    "spearman",
    "kendall",
    "p",
    "spearman_p",
    "kendall_p",
    "p_max_r",
    "r_leave_one_out_low",
    "r_leave_one_out_high",
    "r2",
    "q2",
    "null_r2",
)


def links_markdown(results: Sequence[Validity]) -> str:
    """Return r of every score (down) with every outcome of every table (across), the best score first.

    An asterisk: p of the largest |r| of all comparisons of that table is at most .05.
    """
    found = {
        (result.name, one.outcome, one.metric): one
        for result in results
        for one in (link.correlation for link in result.links)
    }
    columns = list(dict.fromkeys((table, outcome) for table, outcome, _ in found))
    first = [column for column in columns if column[0] == results[0].name]

    def strength(metric: str) -> float:
        return -float(np.mean([abs(found[*column, metric].pearson) for column in first]))

    def shown(column: tuple[str, str], metric: str) -> str:
        one = found.get((*column, metric))
        if one is None:
            return "–"
        value = f"{one.pearson:.2f}".replace("0.", ".", 1)
        return f"{value}\\*" if one.estimable and one.p_adjusted <= LEVEL else value

    metrics = dict.fromkeys(metric for table, _, metric in found if table == results[0].name)
    lines = [
        "| score | " + " | ".join(f"{table}: {outcome}" for table, outcome in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for metric in sorted(metrics, key=strength):
        lines.append(f"| {metric} | " + " | ".join(shown(column, metric) for column in columns) + " |")
    agreed = {result.name: result.agreement for result in results}
    lines.append(
        "| *columns agree* | "
        + " | ".join(f"{agreed[table].get(outcome, np.nan):.2f}" for table, outcome in columns)
        + " |"
    )
    return "\n".join(lines) + "\n"


def leads_of(result: Validity) -> list[Lead]:
    """Return the leads over `debiased_cka` of the scores whose correlation stands after all comparisons."""
    if BASELINE not in result.table.metrics:
        return []
    standing = (one.correlation for one in result.links)
    return [
        lead(result.table, one.metric, BASELINE, one.outcome)
        for one in standing
        if one.estimable and one.p_adjusted <= LEVEL and one.metric != BASELINE
    ]


def leads_markdown(leads: Sequence[Lead]) -> str:
    """Return the leads as a table; "" if there are none."""
    if not leads:
        return ""
    rows = [
        f"| {one.metric} | {one.outcome} | {one.value:.2f} | {one.low:.2f} to {one.high:.2f} |"
        for one in leads
    ]
    head = [f"| score | outcome | its abs(r) minus that of {BASELINE} | 95% interval |", "|---" * 4 + "|"]
    return "\n".join([*head, *rows]) + "\n"


def values_csv(cells: Sequence[Cell]) -> str:
    """Return all numbers of all cells as CSV, with one row per cell and data type."""
    metrics = list(dict.fromkeys(name for c in cells for values in c.metrics.values() for name in values))
    outcomes = list(dict.fromkeys(name for c in cells for values in c.outcomes.values() for name in values))
    named = [*(f"metric_{name}" for name in metrics), *(f"performance_{name}" for name in outcomes)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    header = ["encoder", "lineage", "family", "step", "steps", "drawings", "llm", "data_type", "n"]
    writer.writerow([*header, *named])
    for cell in cells:
        for data_type in cell.outcomes:
            card = cell.card
            row = [cell.encoder, card.lineage, card.family, card.step, card.steps, cell.drawings, cell.llm]
            scores, goals = cell.metrics.get(data_type, {}), cell.outcomes[data_type]
            numbers = [scores.get(name) for name in metrics] + [goals.get(name) for name in outcomes]
            of_type = cell.n if data_type == ALL else ""
            writer.writerow([*row, data_type, of_type, *("" if v is None else f"{v:.8g}" for v in numbers)])
    return buffer.getvalue()


def write_study(
    folder: Path, cells: Sequence[Cell], results: Sequence[Validity], about: Mapping[str, Any]
) -> None:
    """Write the study's result: `links.csv`, `values.csv`, `table.md` and `validity.json`."""
    make_folder(folder)
    plain = {"about": dict(about), "tables": [result.to_dict() for result in results]}
    write_bytes(folder / "links.csv", links_csv(results).encode())
    write_bytes(folder / "values.csv", values_csv(cells).encode())
    page = [links_markdown(results), leads_markdown(leads_of(results[0]))]
    write_bytes(folder / "table.md", "\n".join(filter(None, page)).encode())
    write_bytes(folder / "validity.json", (json.dumps(plain, indent=1) + "\n").encode())
