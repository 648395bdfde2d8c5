"""Moments in cells are plain sums over the rows of each cell, and what comes of them loses no digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.cell_passes import cross_cells, side_cells
from alignbench.metrics.cells import CELLS, OUT, Layout, SideCells, cells_of
from alignbench.metrics.halves import based_scores
from alignbench.metrics.moments import Moments
from alignbench.metrics.procrustes import nuclear_norm
from alignbench.metrics.samples import PairCells, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N, DX, DY = 20_000, 6, 4  # more rows than a chunk has


def rows(dtype: Any = np.float64) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, DX)) + 100
    y = x[:, :DY] + rng.normal(size=(N, DY))
    return x.astype(dtype), y.astype(dtype), rng.integers(OUT, CELLS, N)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_each_cell_has_the_sums_of_its_rows(dtype: Any) -> None:
    x, y, cell = rows(dtype)
    side_x, side_y = side_cells(x, cell), side_cells(y, cell)
    cross = cross_cells(x, y, side_x, side_y, cell)
    for c in range(CELLS):
        a, b = (
            values[cell == c].astype(np.float64) - side.shift for values, side in ((x, side_x), (y, side_y))
        )
        of_x, of_pair = side_x.moments([c]), cross.moments([c])
        p = np.square(a).sum(axis=1)
        assert side_x.n[c] == len(a)
        np.testing.assert_allclose(of_x.outer, a.T @ a, rtol=1e-11)
        np.testing.assert_allclose(of_x.total, a.sum(axis=0), rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(of_x.px, p @ a, rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(of_pair.outer, a.T @ b, rtol=1e-11)
        assert of_x.pp == pytest.approx(float(p @ p), rel=1e-12)
        assert of_pair.pq == pytest.approx(float(p @ np.square(b).sum(axis=1)), rel=1e-12)


def test_moments_of_some_cells_are_symmetric_and_add_up() -> None:
    x, _, cell = rows()
    side = side_cells(x, cell)
    together = side.moments(range(CELLS)).outer
    np.testing.assert_array_equal(together, together.T)
    np.testing.assert_allclose(together, sum(side.moments([c]).outer for c in range(CELLS)), rtol=1e-12)


@pytest.mark.parametrize("row", [5, N - 1])
def test_a_value_that_is_not_finite_is_named_in_any_chunk(row: int) -> None:
    x, _, cell = rows(np.float32)
    cell[row], x[row, 2] = 0, np.nan
    with pytest.raises(InputError, match=r"y: 1 of .* values are NaN or infinite"):
        side_cells(x, cell, name="y")


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 2.5, -1e8 - 0.1, 0.0])
def test_a_side_of_equal_rows_is_refused_by_its_name(constant: float) -> None:
    x, _, cell = rows()
    with pytest.raises(DegenerateError, match=f"y: zero variance, all {(cell != OUT).sum()} rows are equal"):
        side_cells(np.full_like(x, constant), cell, name="y")
    assert side_cells((x * 1e-6 + 1).astype(np.float32), cell).p.sum() > 0


@pytest.mark.parametrize("scale", [1e38, 1e160, 1e200, 1e-40])
def test_a_side_out_of_the_range_of_moments_is_refused(scale: float) -> None:
    x, _, cell = rows()
    with pytest.raises(DegenerateError, match=r"x: .* out of the range of moments; multiply the whole array"):
        side_cells(x * scale, cell)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_no_score_from_moments_depends_on_the_units_of_the_sides(scale: float) -> None:
    x, y, cell = rows()

    def whole(factor: float) -> Sample:
        a, b = factor * x, factor * y
        side_x, side_y = side_cells(a, cell), side_cells(b, cell)
        return PairCells(side_x, side_y, cross_cells(a, b, side_x, side_y, cell), []).whole

    one, other = whole(1.0), whole(scale)
    for name in ("skewness", "heavy_tailed", "debiased_cka", "procrustes"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)
    assert other.sums.linear_cka() == pytest.approx(one.sums.linear_cka(), rel=1e-9)
    assert other.sums.linear_cka_null() == pytest.approx(one.sums.linear_cka_null(), rel=1e-9)


@pytest.mark.parametrize("decay", [1.0, 1e-3, 1e-8, 1e-14, 0.0])
@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (30, 30)])
def test_the_sum_of_singular_values_has_eleven_digits(decay: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(d, 30)))[0] for d in shape)
    values = np.append(np.geomspace(1, max(decay, 1e-16), 29), decay)
    assert nuclear_norm((left * values) @ right.T) == pytest.approx(values.sum(), rel=1e-11)


def test_a_direction_without_variance_has_a_root_too() -> None:
    x, y, _ = rows()
    x, y = x[:500, :DY] - 100, y[:500] - 100
    x[:, 1] = 0.0
    moments = Moments.from_arrays(x, y)
    found = based_scores(moments, moments, "none", DY)["bures_similarity"]
    a, b = (side - side.mean(axis=0) for side in (x, y))
    singular = np.linalg.svd(a @ b.T, compute_uv=False)
    assert found == pytest.approx(singular.sum() / np.sqrt(np.vdot(a, a) * np.vdot(b, b)), rel=1e-10)


def test_spectra_and_axes_of_a_side_are_computed_once_for_all_its_pairs() -> None:
    rng = np.random.default_rng(0)
    x, other, y = (rng.normal(size=(900, d)) @ rng.normal(size=(d, d)) for d in (9, 7, 8))
    of = cells_of(np.arange(900).astype(str), 0)

    def scores(vision: Matrix, a: SideCells, b: SideCells) -> list[float]:
        cells = PairCells(a, b, cross_cells(vision, y, a, b, of))
        samples = [cells.whole, *cells.deletions(10)]
        return [
            number
            for sample in samples
            for number in (*sample.based("procrustes", 4).values(), *np.concatenate(sample.spectra))
        ]

    shared = side_cells(y, of)
    with (
        patch("numpy.linalg.eigh", wraps=np.linalg.eigh) as vectors,
        patch("numpy.linalg.eigvalsh", wraps=np.linalg.eigvalsh) as values,
    ):
        counts = []
        together = []
        for vision in (x, other):
            vectors.reset_mock()
            values.reset_mock()
            together.append(scores(vision, side_cells(vision, of), shared))
            # Values of smaller matrices are those of the scores in the basis.
            spectra = sum(len(call.args[0]) > 4 for call in values.call_args_list)
            counts.append((vectors.call_count, spectra))
    assert counts == [(22, 22), (11, 11)]
    for vision, found in zip((x, other), together, strict=True):
        assert found == scores(vision, side_cells(vision, of), side_cells(y, of))
    before = shared.nbytes
    shared.add(y, Layout.of(of))
    assert shared.nbytes < before
