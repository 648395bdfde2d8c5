"""Gaussian CKA without a block of rows, from sums of the whole, is that of the rows that are left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.metrics import METRICS, cka_rbf, rbf_cka
from alignbench.metrics.bandwidths import CentralDistances, NearbyKernels
from alignbench.metrics.distances import Points, squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N = 200
BLOCKS = [[0], [7, 3], [40, 41, 42], list(range(100, 104))]


def data(copied: bool = False) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(N, 3))
    x, y = (np.hstack([common, rng.normal(size=(N, d))]) for d in (2, 6))
    if copied:
        x[1::2] = x[::2]
        y[40:60] = y[40]
    return x, y


def distances(x: Matrix) -> Matrix:
    return squared_distances(Points.of(x))


@pytest.mark.parametrize("copied", [False, True])
def test_medians_are_those_of_the_distances_that_are_left(copied: bool) -> None:
    for side in data(copied):
        whole = distances(side)
        found = CentralDistances.of(whole)
        for block in ([], *BLOCKS, list(range(N - 2)), list(range(N - 3))):
            left = np.delete(np.delete(whole, block, axis=0), block, axis=1)
            above = left[np.triu_indices(len(left), 1)]
            above = above[above > 0]
            expected = np.median(above) if len(above) else np.nan
            assert found.median(np.asarray(block, dtype=np.intp)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("fraction", [0.5, 1.0, 2.0])
def test_a_series_in_the_width_gives_the_score_of_the_rows_that_are_left(
    fraction: float, copied: bool
) -> None:
    x, y = data(copied)
    near = NearbyKernels.of([distances(x), distances(y)], fraction)
    assert near is not None
    used = 0
    for block in BLOCKS:
        found = near.cka_without(np.asarray(block))
        if found is not None:
            used += 1
            left = [np.delete(side, block, axis=0) for side in (x, y)]
            assert found == pytest.approx(rbf_cka(*left, fraction=fraction), abs=1e-8)
    assert used >= 2


def test_a_width_that_changes_much_is_not_taken_from_the_series() -> None:
    x, y = data()
    x[:50] *= 30
    near = NearbyKernels.of([distances(x), distances(y)], 1.0)
    assert near is not None
    assert near.cka_without(np.arange(50)) is None


def test_deletions_of_many_rows_are_exact_whether_or_not_widths_are_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = data()
    x[:10] *= 30
    blocks = [np.asarray(block) for block in (*BLOCKS, range(10))]
    metric = METRICS.get("rbf_cka")
    assert metric.deletions is not None
    for median in ("nonzero", "all"):
        exact = metric.deletions(x, y, blocks, fraction=1.0, median=median)
        with monkeypatch.context() as patch:
            patch.setattr(cka_rbf, "DOWNDATED_FROM", 5)
            assert metric.deletions(x, y, blocks, fraction=1.0, median=median) == pytest.approx(
                exact, abs=1e-8
            )
