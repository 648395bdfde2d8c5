"""Whether p-values and intervals of CCA, LogME and Gromov-Wasserstein at the true pairs are what they say.

Writes its section of alignbench/docs/calibration.md. The draws are kept in the work folder of `calibration`
and continued where they stopped; `--page` writes the section without drawing more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from threadpoolctl import threadpool_limits

from alignbench.paths import cache_home
from alignbench.workshop.measure._calibration_cases import ALIGNED, CASES, INDEPENDENT
from alignbench.workshop.measure._calibration_cells import CalibrationCell, ScoreDraws, compute, read
from alignbench.workshop.measure._calibration_checks import Coverage, RejectionRate, coverage, size
from alignbench.workshop.measure._calibration_tables import coverage_table, size_table
from alignbench.workshop.sections import CALIBRATION, page_text, template, with_section

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
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure global_scores", description=__doc__)
    parser.add_argument("--out", type=Path, default=CALIBRATION, help="the page (%(default)s)")
    work = cache_home() / "calibration"
    parser.add_argument("--work", type=Path, default=work, help="the folder of the draws (%(default)s)")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of a cell (%(default)s)")
    parser.add_argument("--page", action="store_true", help="draw nothing, write what there is")
    options = parser.parse_args(argv)
    if options.draws < 2:
        parser.error("--draws: expected at least 2")
    cells = plan(options.draws)
    if not options.page:
        options.work.mkdir(parents=True, exist_ok=True)
        with threadpool_limits(1):
            for cell in cells:
                compute(cell, options.work)
                print(f"{cell.name}: {cell.draws:,} draws", flush=True)
    text = text_of(list(read(cells, options.work)), cells)
    options.out.write_text(with_section(page_text(options.out), "global_scores", text), encoding="utf-8")
    print(f"wrote {options.out}")


def text_of(columns: list[ScoreDraws], cells: list[CalibrationCell]) -> str:
    """Return the section of the draws that there are of the cells of a plan."""
    rates: dict[tuple[str, str, int], RejectionRate] = {}
    spans: dict[tuple[str, str, int], Coverage] = {}
    for column in sorted(columns, key=lambda column: (NAMES.index(column.score), column.cell.n)):
        key = (column.score, CASES[column.cell.case].title, column.cell.n)
        if rate := size(column):
            rates[key] = rate
        if span := coverage(column):
            spans[key] = span
    return template("global_scores").format(
        draws=max((cell.draws for cell in cells), default=0),
        permutations=PERMUTATIONS,
        held_out=OF_HELD_OUT,
        cells=len(rates),
        sizes=size_table(rates, SIZES),
        coverages=coverage_table(spans, SIZES),
        missing=_missing(columns, cells),
    )


def _missing(columns: list[ScoreDraws], cells: list[CalibrationCell]) -> str:
    """Return which scores lack draws at which n, with the fewest that a cell has."""
    drawn = {column.cell.name: len(column.drawn) for column in columns}
    fewest: dict[tuple[str, int], int] = {}
    for cell in cells:
        if (count := drawn.get(cell.name, 0)) < cell.draws:
            key = (cell.metric, cell.n)
            fewest[key] = min(count, fewest.get(key, count))
    if not fewest:
        return "All cells have all their draws."
    listed = "; ".join(f"`{name}` at n = {n} ({count} draws at least)" for (name, n), count in fewest.items())
    return f"Not finished: {listed}."
