"""The section on ridge's intervals: its cells, what it counts, and what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alignbench.workshop.measure import ridge
from alignbench.workshop.measure._calibration_cells import CalibrationCell, Draw, ScoreDraws

if TYPE_CHECKING:
    from pathlib import Path


def test_the_section_says_how_many_cells_cover_too_little() -> None:
    columns = [
        ScoreDraws(
            CalibrationCell("normal", n, "ridge_r2", draws),
            "ridge_r2",
            [Draw(0.4 + 0.2 * (i % 2), p, low=0.3 if i < covered else 0.55, high=0.7) for i in range(draws)],
        )
        for n, draws, covered, p in ((400, 100, 97, None), (90, 50, 40, 0.01))
    ]
    text = ridge.text_of(columns, [(CalibrationCell("types", 900, "ridge_r2", 100), 7)])
    assert "of 50 to 100 draws a cell. 1 of 2 cells\nare below 90%" in text
    assert "| ridge_r2: normal | **80.0%**, width " in text
    assert " | – | 97.0%, width " in text
    assert "| ridge_r2: normal | **100.0%, too many** |" in text
    assert "Not finished: `types-900-ridge_r2` (7 of 100 draws)." in text
    assert "All cells have all their draws." in ridge.text_of(columns, [])


def test_the_plan_has_intervals_of_both_kinds() -> None:
    cells = ridge.plan(40)
    assert len({cell.name for cell in cells}) == len(cells) == 4 * 10
    assert {(cell.n, cell.draws) for cell in cells} == {(90, 20), (300, 20), (400, 40), (900, 40)}
    assert {cell.n for cell in cells if cell.permutations} == {90}


def test_a_page_without_draws_names_all_cells(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Calibration\n\n<!-- begin ties -->\nties\n<!-- end ties -->\n", encoding="utf-8")
    ridge.main(["--page", "--out", str(page), "--work", str(tmp_path / "none")])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Calibration\n\n<!-- begin ties -->\nties\n<!-- end ties -->\n")
    assert "`heavy-300-ridge_r2` (0 of 100 draws)" in text
    with pytest.raises(SystemExit):
        ridge.main(["--draws", "3"])
