"""Whether p-values and intervals of CCA, LogME and Gromov-Wasserstein at the true pairs are what they say.

Writes its section of alignbench/docs/calibration.md. The draws are kept in the work folder of `calibration`
and continued where they stopped; `--page` writes the section without drawing more.
"""

from __future__ import annotations

from alignbench.workshop.measure._calibration_cases import ALIGNED, CASES, INDEPENDENT
from alignbench.workshop.measure._calibration_cells import CalibrationCell, ScoreDraws
from alignbench.workshop.measure._calibration_checks import Coverage, RejectionRate, coverage, size
from alignbench.workshop.measure._calibration_section import CalibrationSection, Unfinished
from alignbench.workshop.measure._calibration_tables import coverage_table, size_table
from alignbench.workshop.sections import template

HELD_OUT = ("svcca_heldout", "pwcca_heldout")
NAMES = ("svcca", "pwcca", "cca_mean", "logme", "gw_identity", *HELD_OUT)
SIZES = (30, 90, 300)
DRAWS = 200
PERMUTATIONS, OF_HELD_OUT = 199, 99  # those of held-out scores refit five folds


def plan(draws: int) -> list[CalibrationCell]:
    """Return all cells, the quick ones first; pairs that are aligned have intervals only."""
    cells = [
        CalibrationCell(
            case.name,
            n,
            name,
            draws,
            0 if case.shared else OF_HELD_OUT if name in HELD_OUT else PERMUTATIONS,
        )
        for n in SIZES
        for name in NAMES
        for case in (*INDEPENDENT, ALIGNED[0])
    ]
    return sorted(cells, key=lambda cell: (cell.metric in HELD_OUT) * cell.n)


def main(argv: list[str]) -> None:
    """Compute the missing draws and write the section."""
    CalibrationSection("global_scores", __doc__, "calibration", DRAWS, 2, plan, text_of).run(argv)


def text_of(columns: list[ScoreDraws], unfinished: Unfinished) -> str:
    """Return the section of the draws that there are.

    Args:
        columns: the draws of the cells, finished or not.
        unfinished: the unfinished cells, with their number of draws.
    """
    rates: dict[tuple[str, str, int], RejectionRate] = {}
    spans: dict[tuple[str, str, int], Coverage] = {}
    for column in sorted(columns, key=lambda column: (NAMES.index(column.score), column.cell.n)):
        key = (column.score, CASES[column.cell.case].title, column.cell.n)
        if rate := size(column):
            rates[key] = rate
        if span := coverage(column):
            spans[key] = span
    return template("global_scores").format(
        draws=max(cell.draws for cell in (*(c.cell for c in columns), *(cell for cell, _ in unfinished))),
        permutations=PERMUTATIONS,
        held_out=OF_HELD_OUT,
        cells=len(rates),
        sizes=size_table(rates, SIZES),
        coverages=coverage_table(spans, SIZES),
        missing=_missing(unfinished),
    )


def _missing(unfinished: Unfinished) -> str:
    """Return which scores lack draws at which n, with the fewest that a cell has."""
    fewest: dict[tuple[str, int], int] = {}
    for cell, count in unfinished:
        key = (cell.metric, cell.n)
        fewest[key] = min(count, fewest.get(key, count))
    if not fewest:
        return "All cells have all their draws."
    listed = "; ".join(
        f"`{name}` at n = {n} ({count} draws in some cells)" for (name, n), count in fewest.items()
    )
    return f"Not finished: {listed}."
