"""Whether the p-values of the scores of neighbours that only `-m predictors` computes are what they say.

Writes the section on further scores of neighbours of alignbench/docs/calibration.md: the pairs and the test
are those of the page's own table, with fewer draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.workshop.measure._calibration_cases import INDEPENDENT
from alignbench.workshop.measure._calibration_cells import CalibrationCell, ScoreDraws
from alignbench.workshop.measure._calibration_checks import RejectionRate, size
from alignbench.workshop.measure._calibration_tables import size_table
from alignbench.workshop.sections import section_command, template

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("cycle_knn", "lcs_knn", "edit_knn", "calibrated_cknna")
SIZES = (9, 30, 90)
DRAWS = 200

Cells = dict[tuple[str, str, int], RejectionRate]


def main(argv: list[str]) -> None:
    """Write the section."""
    section_command("neighbours", __doc__, DRAWS, section, argv)


def section(draws: int) -> str:
    """Return the section's text."""
    cells: Cells = {}
    for name in NAMES:
        for case in INDEPENDENT:
            for n in SIZES:
                cell = CalibrationCell(case.name, n, name, draws)
                drawn = [cell.one(trial)[name] for trial in range(draws)]
                if rate := size(ScoreDraws(cell, name, drawn)):
                    cells[name, case.title, n] = rate
                print(f"{cell.name}: {draws:,} draws", flush=True)
    return text_of(cells, draws)


def text_of(cells: Mapping[tuple[str, str, int], RejectionRate], draws: int) -> str:
    """Return the section of these cells: (metric, pairs, n) -> how often its null rejects."""
    return template("neighbours").format(draws=draws, cells=len(cells), table=size_table(cells, SIZES))
