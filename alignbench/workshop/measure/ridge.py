"""Whether ridge's intervals cover what they should, refitted (up to 300 groups) or by formula (above).

Writes its section of alignbench/docs/calibration.md. The draws are kept in a work folder and continued where
they stopped; `--page` writes the section without drawing more.
"""

from __future__ import annotations

from alignbench.metrics.blocks import FEW
from alignbench.metrics.regression import CLEAR
from alignbench.workshop.measure._calibration_cases import ALIGNED, CASES, INDEPENDENT
from alignbench.workshop.measure._calibration_cells import CalibrationCell, ScoreDraws
from alignbench.workshop.measure._calibration_checks import coverage, size
from alignbench.workshop.measure._calibration_section import CalibrationSection, Unfinished
from alignbench.workshop.measure._calibration_tables import coverage_table, size_table
from alignbench.workshop.sections import template

SIZES = (90, 300, 400, 900)
TESTED = (90,)  # with p-values, whose draws take long with more groups
DRAWS, PERMUTATIONS = 200, 199


def plan(draws: int) -> list[CalibrationCell]:
    """Return all cells: half as many draws where they are refitted, and intervals only if that takes long."""
    return [
        CalibrationCell(
            case.name,
            n,
            "ridge_r2",
            draws if n > FEW else draws // 2,
            0 if case.shared or n not in TESTED else PERMUTATIONS,
        )
        for n in reversed(SIZES)
        for case in (*INDEPENDENT, *ALIGNED)
    ]


def main(argv: list[str]) -> None:
    """Compute the missing draws and write the section."""
    CalibrationSection("ridge", __doc__, "calibration-ridge", DRAWS, 4, plan, text_of).run(argv)


def text_of(columns: list[ScoreDraws], unfinished: Unfinished) -> str:
    """Return the section of the draws that there are.

    Args:
        columns: the draws of the cells, finished or not.
        unfinished: the unfinished cells, with their number of draws.
    """
    keys = [(c.score, CASES[c.cell.case].title, c.cell.n) for c in columns]
    rates = {key: rate for key, column in zip(keys, columns, strict=True) if (rate := size(column))}
    spans = {key: span for key, column in zip(keys, columns, strict=True) if (span := coverage(column))}
    drawn = sorted({len(column.drawn) for column in columns})
    short = sum(span.short for span in spans.values())
    listed = "; ".join(f"`{cell.name}` ({count} of {cell.draws} draws)" for cell, count in unfinished)
    return template("ridge").format(
        draws=" to ".join(str(count) for count in dict.fromkeys((*drawn[:1], *drawn[-1:]))) or "no",
        permutations=PERMUTATIONS,
        few=FEW,
        clear=CLEAR,
        short=short,
        cells=len(spans),
        coverages=coverage_table(spans, SIZES),
        sizes=size_table(rates, TESTED),
        missing=f"Not finished: {listed}." if listed else "All cells have all their draws.",
    )
