"""The section on CCA, LogME and Gromov-Wasserstein: what it counts, what it marks, and what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alignbench.workshop.measure import global_scores
from alignbench.workshop.measure._calibration_cells import CalibrationCell, Draw, ScoreDraws

if TYPE_CHECKING:
    from pathlib import Path


def drawn(case: str, n: int, name: str, small: int, covered: int) -> ScoreDraws:
    """Return 100 draws: so many small p-values, and so many intervals that contain the mean value .5."""
    rows = [
        Draw(0.4 + 0.2 * (i % 2), p=0.01 if i < small else 0.6, low=0.3 if i < covered else 0.55, high=0.7)
        for i in range(100)
    ]
    return ScoreDraws(CalibrationCell(case, n, name, 100), name, rows)


def test_the_section_counts_rejections_and_coverage_and_names_what_is_missing() -> None:
    columns = [
        drawn("normal", 90, "logme", 40, 80),
        drawn("normal", 30, "logme", 5, 97),
        drawn("normal-aligned", 30, "svcca", 90, 95),
    ]
    text = global_scores.text_of(columns, [(CalibrationCell("types", 300, "pwcca_heldout", 100), 0)])
    assert "| logme: normal | 5.0% | **40.0%, too many** | – |" in text
    assert "over the 2 cells" in text
    assert "| logme: normal | 97.0%, width 1." in text
    assert "| **80.0%**, width " in text
    assert "| svcca: normal, 8 of 16 shared | 95.0%, width " in text
    assert text.index("svcca: normal, 8") < text.index("logme: normal | 97")
    assert "Not finished: `pwcca_heldout` at n = 300 (0 draws in some cells)." in text
    assert "All cells have all their draws." in global_scores.text_of(columns, [])


def test_a_plan_has_each_score_at_each_n_and_no_permutations_where_only_intervals_are_asked_for() -> None:
    cells = global_scores.plan(7)
    assert len({cell.name for cell in cells}) == len(cells) == 7 * 3 * 6
    assert {cell.permutations for cell in cells if cell.case == "normal-aligned"} == {0}
    assert {cell.permutations for cell in cells if cell.case == "types"} == {199, 99}
    assert all(cell.metric in global_scores.HELD_OUT for cell in cells[-24:])


def test_a_page_from_what_there_is_keeps_its_other_sections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Calibration\n\n<!-- begin ties -->\nties\n<!-- end ties -->\n", encoding="utf-8")
    global_scores.main(["--page", "--out", str(page), "--work", str(tmp_path / "none")])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Calibration\n\n<!-- begin ties -->\nties\n<!-- end ties -->\n")
    assert "<!-- begin global_scores -->\n## Further scores of whole sides" in text
    assert "`svcca` at n = 30 (0 draws in some cells)" in text
    assert "wrote" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        global_scores.main(["--draws", "1"])
