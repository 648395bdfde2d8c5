"""Scores without each block, from what all rows have in common, are those of the rows that are left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.metrics import METRICS, neighbors_left
from alignbench.metrics.nearest import cosine_neighbors
from alignbench.stats import evaluate
from alignbench.stats.interval import deletion_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.nearest import Neighbors

    Matrix = NDArray[np.float64]

N = 310


def sides(what: str, n: int = N) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 12)) + 1
    y = x[:, :8] @ rng.normal(size=(8, 30)) + rng.normal(size=(n, 30))
    if what == "copies":
        x[:30], y[5:20] = x[40], y[77]
    if what == "grid":
        return np.round(x[:, :4]), np.round(y[:, :4])
    if what == "far":
        x += 1e8
        y[3] *= 1e6
    return x, y


@pytest.mark.parametrize("what", ["", "copies", "grid", "far"])
@pytest.mark.parametrize("name", ["mutual_knn", "cknna", "rsa"])
def test_deletions_are_the_scores_of_the_rows_that_are_left(name: str, what: str) -> None:
    metric, (x, y) = METRICS.get(name), sides(what)
    found = evaluate(metric, x, y, null=False)
    expected = evaluate(replace(metric, deletions=None), x, y, null=False)
    assert metric.deletions is not None
    assert len(found.deletions) == len(expected.deletions) > 9
    # Where all rows are far from the origin, centring rounds each distance, and that changes their order.
    rounding = 1e-7 if (name, what) == ("rsa", "far") else 1e-12
    assert found.deletions == pytest.approx(expected.deletions, rel=rounding, abs=1e-15)


def test_few_rows_are_refitted() -> None:
    x, y = sides("", 300)
    blocks = deletion_blocks(np.arange(300).astype(str), "blocks", 0)
    for name in ("mutual_knn", "cknna", "rsa"):
        deletions = METRICS.get(name).deletions
        assert deletions is not None
        assert deletions(x, y, blocks) is None


def test_rows_near_the_mean_are_searched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = sides("")
    x[:, 0] += 1e3 * (np.arange(N) % 2)
    x[7] = x.mean(axis=0) + 1e-3
    blocks = deletion_blocks(np.arange(N).astype(str), "blocks", 0)
    found = [near.dense() for near in neighbors_left.cosine_neighbors_left(x, blocks, 5)]
    for matrix, block in zip(found, blocks, strict=True):
        np.testing.assert_array_equal(matrix, cosine_neighbors(np.delete(x, block, axis=0), 5).dense())
    searched = []

    def search(*of: Any) -> Neighbors:
        searched.append(of)
        return cosine_neighbors(*of)

    monkeypatch.setattr(neighbors_left, "cosine_neighbors", search)
    assert len(list(neighbors_left.cosine_neighbors_left(x, blocks, 5))) == 10
    assert 0 < len(searched) < 10
