"""The calibration finds statistics that are off, leaves sound ones alone, and continues where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.experiments.scoring import score_pair
from alignbench.workshop.measure import _calibration_cells as cells
from alignbench.workshop.measure import calibration
from alignbench.workshop.measure._calibration_cases import ALIGNED, CASES, INDEPENDENT, Scenario
from alignbench.workshop.measure._calibration_cells import E2E, CalibrationCell, Draw, ScoreDraws
from alignbench.workshop.measure._calibration_checks import coverage, off, size, size_of
from alignbench.workshop.measure._calibration_page import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.types import Score

    Numbers = NDArray[np.float64]

CELL = CalibrationCell("normal", 30, "debiased_cka", draws=2000, permutations=199)


def p_column(shape: Callable[[Numbers], Numbers], seed: int, cell: CalibrationCell = CELL) -> ScoreDraws:
    """Return a column of 2,000 p-values, uniform but for `shape`."""
    p = shape(np.random.default_rng(seed).uniform(size=2000))
    return ScoreDraws(cell, cell.metric, [Draw(0.0, one, one) for one in p.tolist()])


def interval_column(half: float, seed: int = 0) -> ScoreDraws:
    """Return a column of 2,000 normal scores with intervals of ± half their spread."""
    values = np.random.default_rng(seed).normal(0.5, 0.01, size=2000)
    return ScoreDraws(
        CELL, "linear_cka", [Draw(v, low=v - half * 0.01, high=v + half * 0.01) for v in values]
    )


def off_among_sound_ones(shape: Callable[[Numbers], Numbers]) -> tuple[bool, str, int]:
    columns = [p_column(shape, 0), *(p_column(lambda p: p, seed) for seed in range(1, 40))]
    sizes = [one for one in map(size, columns) if one]
    found = off(sizes)
    return found[0], sizes[0].says, sum(found)


@pytest.mark.parametrize(("power", "says"), [(1.3, "too many"), (0.7, "too few")])
def test_p_values_that_are_off_are_found_among_sound_ones(power: float, says: str) -> None:
    assert off_among_sound_ones(lambda p: p**power) == (True, says, 1)


def test_uniform_p_values_are_in_line_though_forty_cells_are_looked_at() -> None:
    assert off_among_sound_ones(lambda p: p)[2] == 0


def test_p_at_the_level_itself_is_a_rejection() -> None:
    column = ScoreDraws(CELL, CELL.metric, [Draw(0.0, p) for p in (0.05, 10 / 200, 0.055, 0.01)])
    found = size(column)
    assert found is not None
    assert (found.rejections, found.shares) == (3, (0.25, 0.75, 1.0))


def test_of_pairs_that_share_their_types_the_p_within_types_counts() -> None:
    rows = [Draw(0.5, p=0.005, within_p=0.5)] * 20
    column = ScoreDraws(replace(CELL, case="types"), CELL.metric, rows)
    within, whole = size(column), size_of(column, "global")
    assert within is not None
    assert whole is not None
    assert (within.rejections, whole.rejections) == (0, 20)


def test_aligned_pairs_say_nothing_of_size() -> None:
    assert size(p_column(lambda p: p, 0, replace(CELL, case=ALIGNED[0].name))) is None


@pytest.mark.parametrize(("half", "covered", "short"), [(1.96, 0.95, False), (1.2, 0.77, True)])
def test_intervals_are_measured_by_what_they_cover_and_their_width(
    half: float, covered: float, short: bool
) -> None:
    found = coverage(interval_column(half))
    assert found is not None
    assert found.covered == pytest.approx(covered, abs=0.015)
    assert found.width == pytest.approx(half / 1.96, abs=0.05)
    assert (found.short, found.p < 0.001) == (short, short)
    assert found.below == pytest.approx(found.above, abs=0.03)


def test_without_intervals_there_is_no_coverage() -> None:
    assert coverage(p_column(lambda p: p, 0)) is None


def test_neighbour_intervals_carry_a_flag_and_kernel_intervals_none() -> None:
    spans = [
        coverage(replace(interval_column(1.96), score=name)) for name in ("mutual_knn", "calibrated_cka")
    ]
    assert [span.flagged for span in spans if span] == [True, False]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_has_its_groups_and_wordings_and_is_the_same_again(case: Scenario) -> None:
    first, again, other = (case.draw(9, trial) for trial in (0, 0, 1))
    assert (len(first), len(set(first.groups))) == (9 * case.wordings, 9)
    assert len(set(first.labels)) == (3 if case.separation else 1)
    assert np.array_equal(first.y.values, again.y.values)
    assert not np.array_equal(first.y.values, other.y.values)


def test_wordings_repeat_the_image_and_not_the_text() -> None:
    pair = CASES["wordings"].draw(5, 0)
    assert np.array_equal(pair.x.values[0], pair.x.values[2])
    assert not np.array_equal(pair.y.values[0], pair.y.values[2])


@pytest.mark.slow
def test_cross_covariances_vanish_where_nothing_is_shared_and_only_there() -> None:
    for case in (*INDEPENDENT[:4], *ALIGNED[:4]):
        pair = case.draw(4000, 0)
        x, y = (side.values[:: case.wordings] for side in (pair.x, pair.y))
        largest = np.abs(np.cov(x.T, y.T)[: x.shape[1], x.shape[1] :]).max()
        assert (largest > 0.15) == bool(case.shared), case.name


SMALL = CalibrationCell("normal", 9, "debiased_cka", draws=6, permutations=19)


def test_draws_are_continued_and_come_out_as_if_never_stopped(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    cells.compute(SMALL, whole)
    cells.compute(replace(SMALL, draws=2), parts)
    assert cells.missing([SMALL], parts) == [(SMALL, 2)]
    cells.compute(SMALL, parts)
    assert cells.missing([SMALL], parts) == []
    texts = [(folder / f"{SMALL.name}.json").read_text() for folder in (whole, parts)]
    assert texts[0] == texts[1]


def test_finished_draws_are_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells.compute(SMALL, tmp_path)
    monkeypatch.setattr(CalibrationCell, "one", lambda *_: pytest.fail("drawn again"))
    cells.compute(SMALL, tmp_path)


def test_other_permutations_begin_a_cell_anew(tmp_path: Path) -> None:
    cells.compute(SMALL, tmp_path)
    other = replace(SMALL, permutations=39)
    assert cells.missing([other], tmp_path) == [(other, 0)]
    cells.compute(other, tmp_path)
    plain = json.loads((tmp_path / f"{SMALL.name}.json").read_text())
    assert (plain["permutations"], len(plain["columns"]["debiased_cka"])) == (39, 6)


@pytest.mark.slow
def test_a_scoring_whose_p_is_a_quarter_of_what_it_should_be_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = score_pair

    def quartered(*args: object, **keywords: object) -> Score:
        score = sound(*args, **keywords)  # type: ignore[arg-type]
        assert score.null is not None
        return replace(score, null=replace(score.null, p=(score.null.p or 0) / 4))

    cell = replace(SMALL, draws=200)
    verdicts = []
    for name, scoring in (("sound", sound), ("quartered", quartered)):
        monkeypatch.setattr(cells, "score_pair", scoring)
        (folder := tmp_path / name).mkdir()
        cells.compute(cell, folder)
        verdicts.append(off([one for column in cells.read([cell], folder) if (one := size(column))]))
    assert verdicts == [[False], [True]]


def test_a_ranking_by_the_true_latent_vectors_is_above_chance_with_intervals_around_it() -> None:
    for name, one in cells.ranked(CASES["wordings-aligned"].draw(30, 0), 0).items():
        assert one.value is not None
        assert one.low is not None
        assert one.high is not None
        assert 1 / 30 < one.low < one.value < one.high, name


def test_the_page_marks_what_is_off_and_lists_what_is_missing() -> None:
    absent = CalibrationCell("heavy", 90, "rsa")
    columns = [
        p_column(lambda p: p**1.5, 0),
        p_column(lambda p: p, 1, replace(CELL, n=90)),
        p_column(lambda p: p, 2, replace(CELL, case="types")),
        replace(interval_column(1.2), cell=replace(CELL, metric="linear_cka")),
    ]
    text = page(columns, [(absent, 0), (CELL, 500), (replace(CELL, case="heavy"), 500)])
    assert (
        "3 cells of 2,000 draws; 1 out of line by too many rejections (`debiased_cka`, normal, n = 30: "
        in text
    )
    assert "1 cells of 2,000 draws; 1 below 90% coverage (`linear_cka`, normal, n = 30: 7" in text
    assert "of 2,000, too many** |" in text
    assert "| rsa | 90 | 0 of 2,000 | heavy |" in text
    assert "| debiased_cka | 30 | 500 of 2,000 | normal, heavy |" in text


def test_the_command_draws_and_writes_the_page_and_again_without_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "plan", lambda draws: [replace(SMALL, draws=draws)])
    out = tmp_path / "page.md"
    common = ["--work", str(tmp_path / "work"), "--out", str(out)]
    calibration.main([*common, "--draws", "4"])
    first = out.read_text()
    assert "Nothing: all cells of the plan have all their draws." in first
    calibration.main([*common, "--draws", "5", "--page"])
    assert "| debiased_cka | 9 | 4 of 5 | normal |" in out.read_text()


def test_dear_cells_get_fewer_draws_and_no_cell_is_planned_twice() -> None:
    planned = calibration.plan()
    assert len({cell.name for cell in planned}) == len(planned)
    assert {cell.draws for cell in planned if cell.metric in calibration.FIRST} == {2000}
    assert {cell.draws for cell in planned if cell.metric == E2E} == {calibration.TRAININGS}


def test_the_page_in_the_docs_is_of_these_cases() -> None:
    text = calibration.PAGE.read_text(encoding="utf-8")
    for case in INDEPENDENT[:4]:
        assert f"\n| debiased_cka: {case.title} |" in text


@pytest.mark.long
def test_three_hundred_draws_of_our_own_scores_are_in_line(tmp_path: Path) -> None:
    chosen = [
        CalibrationCell("heavy", 30, "debiased_cka", 300, 99),
        CalibrationCell("wordings", 30, "calibrated_cka", 300, 99),
        CalibrationCell("types", 30, "mutual_knn", 300, 99),
    ]
    calibration.draw_all(chosen, tmp_path)
    columns = list(cells.read(chosen, tmp_path))
    sizes = [one for one in map(size, columns) if one]
    spans = [one for one in map(coverage, columns) if one]
    assert (len(sizes), len(spans)) == (3, 3)
    assert not any(off(sizes)), [(one.column.cell.name, one.shares) for one in sizes]
    assert not any(one.p < 0.05 / 3 for one in spans), [(one.column.cell.name, one.covered) for one in spans]
