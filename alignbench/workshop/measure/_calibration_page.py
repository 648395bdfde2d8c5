"""The page of the calibration: tables of sizes and coverages, and what deviates or is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.workshop.measure._calibration_cases import CASES, WIDTHS
from alignbench.workshop.measure._calibration_cells import E2E, RANKED, REPEATS, CalibrationCell
from alignbench.workshop.measure._calibration_checks import WANTED, coverage, off, size, size_of, trained
from alignbench.workshop.measure._sections import template
from alignbench.workshop.measure.truth import LATENT, table

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
    sizes = [one for one in map(size, plain) if one]
    spans = [one for one in map(coverage, plain) if one]
    learned = [one for one in map(coverage, filter(trained, columns)) if one]
    rankings = (column for column in columns if column.cell.metric == RANKED)
    unlearned = [one for one in map(coverage, rankings) if one]
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
    wrong = [one for one, is_off in zip(sizes, off(sizes), strict=True) if is_off]
    many = [one for one in wrong if one.says == "too many"]
    few = [one for one in wrong if one.says == "too few"]
    lines = [
        f"**p-values**: {len(sizes)} cells{_drawn(sizes)}; {len(many)} out of line by too many rejections"
        f"{_named((one.column, one.shares[1]) for one in many)}, {len(few)} by too few"
        f"{_named((one.column, one.shares[1]) for one in few)}."
    ]
    for title, some in (
        ("**Intervals** without a flag", [one for one in spans if not one.flagged]),
        ("**Intervals** flagged `conservative`", [one for one in spans if one.flagged]),
        ("**Intervals of trained retrieval**", learned),
        ("**Intervals of a single ranking**", unlearned),
    ):
        short = [one for one in some if one.short]
        width = f"; width {np.median([one.width for one in some]):.2f} at the median" if some else ""
        lines.append(
            f"{title}: {len(some)} cells{_drawn(some)}; {len(short)} below {WANTED:.0%} coverage"
            f"{_named((one.column, one.covered) for one in short)}{width}."
        )
    return "\n\n".join(lines)


def _drawn(some: Sequence[RejectionRate | Coverage]) -> str:
    """Return the range of the numbers of draws."""
    counts = sorted({one.draws for one in some})
    if not counts:
        return ""
    return f" of {counts[0]:,} draws" if len(counts) == 1 else f" of {counts[0]:,} to {counts[-1]:,} draws"


def _named(some: Iterable[tuple[ScoreDraws, float]]) -> str:
    names = [
        f"`{column.score}`, {CASES[column.cell.case].title}, n = {column.cell.n}: {percent(share)}"
        for column, share in some
    ]
    return f" ({'; '.join(names)})" if names else ""


def _sizes(sizes: Sequence[RejectionRate]) -> str:
    """Return a table with one row per score and scenario and one column per n."""
    ns = sorted({one.column.cell.n for one in sizes})
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for one, is_off in zip(sizes, off(sizes), strict=True):
        text = f"{percent(one.shares[1])} of {one.draws:,}"
        key = (one.column.score, one.column.cell.case)
        cells.setdefault(key, {})[one.column.cell.n] = f"**{text}, {one.says}**" if is_off else text
    rows = [
        [f"{score}: {CASES[case].title}", *(of_n.get(n, "–") for n in ns)]
        for (score, case), of_n in cells.items()
    ]
    return table(["score: pairs", *(f"n = {n}" for n in ns)], rows)


def _worst_sizes(sizes: Sequence[RejectionRate]) -> str:
    ordered = sorted(zip(sizes, off(sizes), strict=True), key=lambda one: one[0].p)[:WORST]
    rows = [
        [
            f"{one.column.score}: {one.column.cell.case}",
            str(one.column.cell.n),
            f"{one.draws:,}",
            *map(percent, one.shares),
            f"{one.p:.2g}",
            f"**{one.says}**" if is_off else "in line",
        ]
        for one, is_off in ordered
    ]
    return table(
        ["score: pairs", "n", "draws", "p ≤ .01", "p ≤ .05", "p ≤ .10", "binomial p", "after Holm"], rows
    )


def _types(columns: Sequence[ScoreDraws]) -> str:
    rows = []
    for column in columns:
        case = CASES[column.cell.case]
        found = size_of(column, "global") if case.separation and not case.shared else None
        if found:
            within = size_of(column, "within")
            rows.append(
                [
                    column.score,
                    str(column.cell.n),
                    f"{found.draws:,}",
                    percent(found.shares[1]),
                    percent(within.shares[1]) if within else "–",
                ]
            )
    return table(["score", "n", "draws", "global p ≤ .05", "p within types ≤ .05"], rows)


def _coverages(spans: Sequence[Coverage]) -> str:
    rows = [
        [
            *_about(one.column),
            f"{one.draws:,}",
            f"{one.expected:.3f}",
            _bold(percent(one.covered), one.short),
            f"{percent(one.below)}, {percent(one.above)}",
            _population(one),
            f"{one.width:.2f}",
            "conservative" if one.flagged else "",
        ]
        for one in spans
    ]
    numbers = ("n", "draws", "expected", "covered", "below, above", "population", "width", "flag")
    return table(["score: pairs", *numbers], rows)


def _about(column: ScoreDraws) -> tuple[str, str]:
    """Return what the draws are of: the score with its pairs, and n."""
    return f"{column.score}: {CASES[column.cell.case].title}", str(column.cell.n)


def _span(span: Coverage) -> tuple[str, str, str]:
    return f"{span.expected:.3f}", _bold(percent(span.covered), span.short), f"{span.width:.2f}"


def _population(one: Coverage) -> str:
    share = one.of_population
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
    """Return one row for all cells of a score and size with equally many draws."""
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
