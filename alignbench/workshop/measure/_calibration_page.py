"""The calibration page: tables of rejections and coverages, and what deviates or is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.workshop.measure._calibration_cases import CASES, WIDTHS
from alignbench.workshop.measure._calibration_cells import E2E, RANKED, REPEATS, CalibrationCell
from alignbench.workshop.measure._calibration_checks import WANTED, coverage, off, size, size_of, trained
from alignbench.workshop.measure.truth import LATENT, table
from alignbench.workshop.sections import template

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.workshop.measure._calibration_cells import ScoreDraws
    from alignbench.workshop.measure._calibration_checks import Coverage, RejectionRate

WORST = 10


def percent(share: float) -> str:
    """Return a share in percent, one decimal."""
    return f"{100 * share:.1f}%"


def page(columns: Sequence[ScoreDraws], missing: Sequence[tuple[CalibrationCell, int]]) -> str:
    """Return the whole page from the available columns.

    Args:
        columns: the columns of finished and unfinished cells.
        missing: the unfinished cells, with their number of draws.
    """
    plain = [column for column in columns if column.cell.metric not in (E2E, RANKED)]
    sizes = list(filter(None, map(size, plain)))
    spans = list(filter(None, map(coverage, plain)))
    learned = list(filter(None, map(coverage, filter(trained, columns))))
    rankings = (column for column in columns if column.cell.metric == RANKED)
    unlearned = list(filter(None, map(coverage, rankings)))
    return template("calibration").format(
        widths=WIDTHS,
        latent=LATENT,
        permutations=_permutations(columns),
        verdict=_verdict(sizes, spans, learned, unlearned),
        tested=len(sizes),
        sizes=_sizes(sizes),
        worst_sizes=_worst_sizes(sizes),
        types=_types(plain),
        wanted=f"{WANTED:.0%}",
        coverages=_coverages(spans),
        splits=REPEATS.splits,
        seeds=REPEATS.seeds,
        epochs=REPEATS.epochs,
        trained=_trained(list(filter(trained, columns))),
        ranked=_coverages(unlearned),
        missing=_missing(missing),
    )


def _permutations(columns: Sequence[ScoreDraws]) -> str:
    return ", ".join(map(str, sorted({c.cell.permutations for c in columns if c.cell.permutations}))) or "no"


def _verdict(
    sizes: Sequence[RejectionRate],
    spans: Sequence[Coverage],
    learned: Sequence[Coverage],
    unlearned: Sequence[Coverage],
) -> str:
    wrong = [rate for rate, is_off in zip(sizes, off(sizes), strict=True) if is_off]
    many = [rate for rate in wrong if rate.says == "too many"]
    few = [rate for rate in wrong if rate.says == "too few"]
    lines = [
        f"**p-values**: {len(sizes)} cells{_drawn(sizes)}; {len(many)} out of line by too many rejections"
        f"{_named((rate.column, rate.shares[1]) for rate in many)}, {len(few)} by too few"
        f"{_named((rate.column, rate.shares[1]) for rate in few)}."
    ]
    for title, chosen in (
        ("**Intervals** without a flag", [span for span in spans if not span.flagged]),
        ("**Intervals** flagged `conservative`", [span for span in spans if span.flagged]),
        ("**Intervals of trained retrieval**", learned),
        ("**Intervals of a single ranking**", unlearned),
    ):
        short = [span for span in chosen if span.short]
        width = f"; width {np.median([span.width for span in chosen]):.2f} at the median" if chosen else ""
        lines.append(
            f"{title}: {len(chosen)} cells{_drawn(chosen)}; {len(short)} below {WANTED:.0%} coverage"
            f"{_named((span.column, span.covered) for span in short)}{width}."
        )
    return "\n\n".join(lines)


def _drawn(cells: Sequence[RejectionRate | Coverage]) -> str:
    """Return the range of the numbers of draws."""
    counts = sorted({cell.draws for cell in cells})
    if not counts:
        return ""
    return f" of {counts[0]:,} draws" if len(counts) == 1 else f" of {counts[0]:,} to {counts[-1]:,} draws"


def _named(shares: Iterable[tuple[ScoreDraws, float]]) -> str:
    names = [
        f"`{column.score}`, {CASES[column.cell.case].title}, n = {column.cell.n}: {percent(share)}"
        for column, share in shares
    ]
    return f" ({'; '.join(names)})" if names else ""


def _sizes(sizes: Sequence[RejectionRate]) -> str:
    """Return a table with one row per score and scenario and one column per n."""
    ns = sorted({rate.column.cell.n for rate in sizes})
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for rate, is_off in zip(sizes, off(sizes), strict=True):
        text = f"{percent(rate.shares[1])} of {rate.draws:,}"
        key = (rate.column.score, rate.column.cell.case)
        cells.setdefault(key, {})[rate.column.cell.n] = f"**{text}, {rate.says}**" if is_off else text
    rows = [
        [f"{score}: {CASES[case].title}", *(of_n.get(n, "–") for n in ns)]
        for (score, case), of_n in cells.items()
    ]
    return table(["score: pairs", *(f"n = {n}" for n in ns)], rows)


def _worst_sizes(sizes: Sequence[RejectionRate]) -> str:
    ordered = sorted(zip(sizes, off(sizes), strict=True), key=lambda pair: pair[0].p)[:WORST]
    rows = [
        [
            f"{rate.column.score}: {rate.column.cell.case}",
            str(rate.column.cell.n),
            f"{rate.draws:,}",
            *map(percent, rate.shares),
            f"{rate.p:.2g}",
            f"**{rate.says}**" if is_off else "in line",
        ]
        for rate, is_off in ordered
    ]
    return table(
        ["score: pairs", "n", "draws", "p ≤ .01", "p ≤ .05", "p ≤ .10", "binomial p", "after Holm"], rows
    )


def _types(columns: Sequence[ScoreDraws]) -> str:
    rows = []
    for column in columns:
        case = CASES[column.cell.case]
        overall = size_of(column, "global") if case.separation and not case.shared else None
        if overall:
            within = size_of(column, "within")
            shares = [percent(overall.shares[1]), percent(within.shares[1]) if within else "–"]
            rows.append([column.score, str(column.cell.n), f"{overall.draws:,}", *shares])
    return table(["score", "n", "draws", "global p ≤ .05", "p within types ≤ .05"], rows)


def _coverages(spans: Sequence[Coverage]) -> str:
    rows = [
        [
            *_about(span.column),
            f"{span.draws:,}",
            f"{span.expected:.3f}",
            _bold(percent(span.covered), span.short),
            f"{percent(span.below)}, {percent(span.above)}",
            _population(span),
            f"{span.width:.2f}",
            "conservative" if span.flagged else "",
        ]
        for span in spans
    ]
    numbers = ("n", "draws", "expected", "covered", "below, above", "population", "width", "flag")
    return table(["score: pairs", *numbers], rows)


def _about(column: ScoreDraws) -> tuple[str, str]:
    """Return what the draws are of: the score with its pairs, and n."""
    return f"{column.score}: {CASES[column.cell.case].title}", str(column.cell.n)


def _span(span: Coverage) -> tuple[str, str, str]:
    return f"{span.expected:.3f}", _bold(percent(span.covered), span.short), f"{span.width:.2f}"


def _population(span: Coverage) -> str:
    share = span.of_population
    return "–" if share is None else _bold(percent(share), share < WANTED)


def _bold(text: str, is_bold: bool) -> str:
    return f"**{text}**" if is_bold else text


def _trained(columns: Sequence[ScoreDraws]) -> str:
    rows = []
    for column in columns:
        case, span, rejected = CASES[column.cell.case], coverage(column), size_of(column, "global")
        rows.append(
            [
                *_about(column),
                f"{len(column.drawn):,}",
                *(_span(span) if span else ("–", "–", "–")),
                percent(rejected.shares[1]) if rejected and not case.shared else "–",
            ]
        )
    return table(["score: pairs", "n", "draws", "expected", "covered", "width", "p ≤ .05"], rows)


def _missing(missing: Sequence[tuple[CalibrationCell, int]]) -> str:
    """Return a table with one row for all cells of a score and size that have the same number of draws."""
    if not missing:
        return "Nothing: all cells of the plan have all their draws."
    cases: dict[tuple[str, int, int, int], list[str]] = {}
    for cell, count in missing:
        cases.setdefault((cell.metric, cell.n, count, cell.draws), []).append(cell.case)
    rows = [
        [metric, str(n), f"{count:,} of {draws:,}", ", ".join(names)]
        for (metric, n, count, draws), names in cases.items()
    ]
    return "Cells of the plan that are not finished, with the draws that there are:\n\n" + table(
        ["score", "n", "draws", "pairs"], rows
    )
