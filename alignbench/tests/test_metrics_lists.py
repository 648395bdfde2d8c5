"""Neighbours of some rows among many: those of all rows, ties included, and the scores that come of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.experiments.many import plan_of
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.metrics.lists import Lists, cosine_lists, shared_neighbors
from alignbench.metrics.nearest import cosine_neighbors
from alignbench.workshop.measure._many_pairs import pair_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

N, K = 600, 7


@pytest.fixture
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.metrics.lists.PRODUCTS", 1)
    monkeypatch.setattr("alignbench.metrics.lists.LEAST_ROWS", 90)


def normal(seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(N, 8)) + 3


def copies() -> Matrix:
    """Return rows of which 200 are copies of one, more than the candidates that are kept at first."""
    x = normal()
    x[100:300] = x[5]
    return x


def corners() -> Matrix:
    """Return corners of a cube, with many copies and equal distances."""
    return np.random.default_rng(1).integers(0, 2, size=(N, 6)).astype(np.float64)


def one_far_away() -> Matrix:
    x = normal()
    x[17] *= 1e9
    return x


def nearly_copies() -> Matrix:
    """Return rows of which 30 differ by less than the mean, which two rows make uncertain, is known to."""
    x, rng = normal(), np.random.default_rng(4)
    x[17] *= 1e9
    x[18] = -x[17]
    x[100:130] = x[5] + 1e-11 * rng.normal(size=(30, 8))
    return x


def dense(lists: Lists, n: int) -> Matrix:
    result = np.zeros((len(lists.columns), n))
    np.add.at(result, (np.arange(len(result))[:, None], lists.columns), lists.weights)
    return result


@pytest.mark.usefixtures("few_rows_at_once")
@pytest.mark.parametrize(
    "x",
    [normal(), copies(), corners(), one_far_away(), nearly_copies()],
    ids=["", "copies", "cube", "far", "near"],
)
def test_lists_are_the_neighbours_among_all_rows(x: Matrix) -> None:
    rng = np.random.default_rng(2)
    rows = np.sort(rng.permutation(N)[:500])
    queries = rng.permutation(500)[:60]
    expected = cosine_neighbors(x[rows], K).dense()[queries]
    np.testing.assert_allclose(dense(cosine_lists(x, rows, queries, K), 500), expected, atol=1e-12)


@pytest.mark.slow
def test_with_all_rows_the_mean_is_the_score() -> None:
    x, y, rows = copies(), normal() + normal(1), np.arange(N)
    of_x, of_y = (cosine_lists(side, rows, rows, K) for side in (x, y))
    assert shared_neighbors(of_x, of_y).mean() == pytest.approx(METRICS.get("mutual_knn")(x, y, k=K))


def test_repaired_lists_are_those_of_the_other_order() -> None:
    x, y, rows, queries = normal(), normal() + normal(1), np.arange(N), np.arange(0, N, 3)
    of_x, of_y = (cosine_lists(side, rows, queries, K) for side in (x, y))
    rng = np.random.default_rng(3)
    p = np.arange(N)
    for stratum in (queries, np.setdiff1d(rows, queries)):
        p[stratum] = rng.permutation(stratum)
    repaired = of_y.repaired(p[queries] // 3, np.argsort(p))
    found = shared_neighbors(of_x, repaired)
    np.testing.assert_allclose(found, shared_neighbors(of_x, cosine_lists(y[p], rows, queries, K)))


def test_rows_without_neighbours_are_refused() -> None:
    x, rows = normal(), np.arange(N)
    with pytest.raises(DegenerateError, match="y: zero variance, all 600 rows are equal"):
        cosine_lists(np.ones((N, 3)), rows, rows[:5], K, "y")
    x[550, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        cosine_lists(x, rows, rows[:5], K)
    assert cosine_lists(x, rows[:550], rows[:5], K).columns.shape == (5, K)
    with pytest.raises(InputError, match="beyond float64"):
        cosine_lists(normal() * 1e200, rows, rows[:5], K)


@pytest.fixture
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.experiments.queried.QUERIES", 200)
    monkeypatch.setattr("alignbench.experiments.many.QUERIES", 200)


@pytest.mark.slow
@pytest.mark.usefixtures("few_queries")
def test_a_score_of_many_pairs_asks_some_of_all() -> None:
    metric, x, y = (
        METRICS.get("mutual_knn"),
        normal().astype(np.float32),
        (normal() + normal(1)).astype(np.float32),
    )
    score = score_pair(metric, pair_of(x, y), Settings(), experiment="cka")
    whole = metric(x, y)
    assert score.n == N
    assert score.params["queries"] == 200
    assert score.flags == ("queried",)
    assert len(score.deletions) == 100
    assert score.value is not None
    assert score.interval is not None
    assert score.value != whole
    assert score.interval.low < whole < score.interval.high
    error = (score.interval.high - score.interval.low) / 4
    assert abs(score.value - whole) < 3 * error
    assert score.chance == 10 / (N - 1)
    assert score.null is not None
    assert score.null.p == score.null.within_p == 1 / 1000
    assert score.null.mean == pytest.approx(10 / (N - 1), rel=0.02)
    again = score_pair(metric, pair_of(x, y), Settings(), experiment="cka")
    assert again == score


@pytest.mark.usefixtures("few_queries")
def test_every_list_is_somebodys_in_each_permutation() -> None:
    different = []

    def recorded(of_x: Lists, of_y: Lists) -> Matrix:
        different.append(len(np.unique(of_y.columns, axis=0)))
        return np.zeros(len(of_x.columns))

    metric = replace(METRICS.get("mutual_knn"), name="recorded", queried=recorded)
    x, y = normal().astype(np.float32), normal(1).astype(np.float32)
    score_pair(metric, pair_of(x, y), Settings(permutations=20), experiment="cka")
    assert different == [200] * (1 + 20 + 20)  # of the value, of permutations, and of those within classes


@pytest.mark.slow
@pytest.mark.usefixtures("few_queries")
def test_the_null_of_unrelated_sides_is_met_as_often_as_it_says() -> None:
    metric, rng = METRICS.get("mutual_knn"), np.random.default_rng(0)
    ps = []
    for _ in range(60):
        x, y = rng.standard_normal((2, 260, 3), dtype=np.float32)
        null = score_pair(metric, pair_of(x, y), Settings(permutations=99), experiment="cka").null
        assert null is not None
        assert null.p is not None
        ps.append(null.p)
    assert 0.35 < np.mean(ps) < 0.65
    assert np.mean(np.asarray(ps) <= 0.1) < 0.25


@pytest.mark.usefixtures("few_queries")
def test_the_plan_says_who_is_asked() -> None:
    metrics = [METRICS.get("mutual_knn")]
    assert plan_of(metrics, 200) == []
    assert plan_of(metrics, 3000) == ["of 200 groups among all 3,000 (flag queried): mutual_knn"]
