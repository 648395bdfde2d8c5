"""The section on further scores of neighbours: it counts what is small, and marks what is out of line."""

from __future__ import annotations

from alignbench.workshop.measure import neighbours
from alignbench.workshop.measure._calibration_cells import CalibrationCell, Draw, ScoreDraws
from alignbench.workshop.measure._calibration_checks import RejectionRate, size


def rate(small: int, draws: int = 200) -> RejectionRate:
    """Return the rate of a cell in which so many p-values are small."""
    cell = CalibrationCell("normal", 9, "lcs_knn", draws)
    found = size(ScoreDraws(cell, "lcs_knn", [Draw(0.5, p=0.01 if i < small else 0.6) for i in range(draws)]))
    assert found is not None
    return found


def test_the_table_has_a_row_a_score_and_pairs_and_marks_what_deviates() -> None:
    cells = {("lcs_knn", "normal", 9): rate(10), ("lcs_knn", "normal", 30): rate(60)}
    text = neighbours.text_of(cells | {("edit_knn", "t", 90): rate(0)}, 200)
    assert "| lcs_knn: normal | 5.0% | **30.0%, too many** | – |" in text
    assert "| edit_knn: t | – | – | **0.0%, too few** |" in text
    assert "200 draws a cell" in text
    assert "over the 3 cells" in text


def test_every_score_is_one_that_is_computed_when_asked_for() -> None:
    from alignbench.metrics import METRICS

    assert set(neighbours.NAMES) <= set(METRICS.names(pairing=True, default=False))
    cell = CalibrationCell("normal", 9, "cycle_knn", 2, 19)
    assert cell.one(0)["cycle_knn"].p is not None
