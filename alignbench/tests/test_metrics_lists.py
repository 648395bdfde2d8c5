"""Neighbours of some rows among many: those of all rows, ties and their order included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.lists import Directions, Known, Products, nearest_lists
from alignbench.metrics.nearest import cosine_neighbors, ordered_neighbors
from alignbench.metrics.nearest_products import product_neighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.distances import Points
    from alignbench.metrics.lists import Lists

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


def some_of(n: int) -> Indices:
    return np.sort(np.random.default_rng(2).permutation(n)[:60])


SIDES = {
    "normal": normal(),
    "copies": copies(),
    "cube": corners(),
    "far": one_far_away(),
    "near": nearly_copies(),
}


@pytest.mark.usefixtures("few_rows_at_once")
@pytest.mark.parametrize("x", SIDES.values(), ids=SIDES)
def test_lists_are_the_neighbours_among_all_rows(x: Matrix) -> None:
    rows = np.sort(np.random.default_rng(3).permutation(N)[:500])
    numbers = some_of(500)
    found = nearest_lists(Directions.of(x, rows), numbers, K)
    np.testing.assert_allclose(dense(found, 500), cosine_neighbors(x[rows], K).dense()[numbers], atol=1e-12)
    np.testing.assert_array_equal(found.ordered, ordered_neighbors(x[rows], K)[numbers])


@pytest.mark.usefixtures("few_rows_at_once")
@pytest.mark.parametrize("x", SIDES.values(), ids=SIDES)
def test_lists_by_products_are_those_of_all_rows(x: Matrix) -> None:
    numbers = some_of(N)
    found, expected = nearest_lists(Products.of(x, np.arange(N)), numbers, K), product_neighbors(x, K)
    np.testing.assert_allclose(dense(found, N), expected.dense()[numbers], atol=1e-12)
    products = np.where(found.weights > 0, found.products, 0.0)
    own = np.einsum("qd,qwd->qw", x[numbers], x[found.columns])
    np.testing.assert_allclose(products, np.where(found.weights > 0, own, 0.0), rtol=1e-12)


def test_rows_are_searched_once_and_kept_in_order() -> None:
    x, searched = copies(), list[int]()

    class Counted(Directions):
        def take(self, rows: Indices) -> Points:
            searched.append(len(rows))
            return super().take(rows)

    known = Known(Counted.of(x, np.arange(N)), K)
    first, second = known.of(np.array([3, 400])), known.of(np.array([3, 7, 120, 400]))
    assert [count for count in searched if count == 2] == [2, 2]  # the queries of each search, not 4
    expected = nearest_lists(Directions.of(x, np.arange(N)), np.array([3, 7, 120, 400]), K)
    np.testing.assert_array_equal(second.of, [3, 7, 120, 400])
    np.testing.assert_allclose(dense(second, N), dense(expected, N))
    np.testing.assert_array_equal(second.ordered, expected.ordered)
    np.testing.assert_allclose(dense(first, N), dense(expected, N)[[0, 3]])
    assert known.nbytes > 4 * 8 * K


def test_many_queries_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    among, numbers = Directions.of(normal(), np.arange(N)), some_of(N)
    whole = Known(among, K).of(numbers)
    monkeypatch.setattr("alignbench.metrics.lists.MOST_QUERIES", 13)
    parts = Known(among, K).of(numbers)
    np.testing.assert_allclose(dense(parts, N), dense(whole, N))
    np.testing.assert_array_equal(parts.ordered, whole.ordered)


@pytest.mark.parametrize("strata", [3, 1])
def test_repaired_lists_are_those_of_the_other_order(strata: int) -> None:
    y, rows, p = copies(), np.arange(N), np.arange(N)
    queries = np.arange(0, N, strata)
    rng = np.random.default_rng(3)
    for stratum in (queries, np.setdiff1d(rows, queries)):
        p[stratum] = rng.permutation(stratum)
    repaired = nearest_lists(Directions.of(y, rows), queries, K).repaired(p)
    expected = nearest_lists(Directions.of(y[p], rows), queries, K)
    np.testing.assert_allclose(dense(repaired, N), dense(expected, N), atol=1e-12)
    np.testing.assert_array_equal(repaired.ordered, expected.ordered)


def test_entries_are_looked_up_by_row_and_column() -> None:
    lists = nearest_lists(Directions.of(copies(), np.arange(N)), some_of(N), K)
    entries, expected = lists.entries(N, lists.weights), np.zeros((N, N))
    expected[lists.of] = dense(lists, N)
    rows, columns = np.indices((N, N))
    np.testing.assert_array_equal(entries.at(rows, columns), expected)


def test_rows_without_neighbours_are_refused() -> None:
    x, rows = normal(), np.arange(N)
    for compared in (Directions, Products):
        with pytest.raises(DegenerateError, match="y: zero variance, all 600 rows are equal"):
            compared.of(np.ones((N, 3)), rows, "y")
        with pytest.raises(InputError, match="beyond float64"):
            compared.of(normal() * 1e200, rows)
        x[550, 1] = np.nan
        with pytest.raises(InputError, match="NaN"):
            compared.of(x, rows)
        assert nearest_lists(compared.of(x, rows[:550]), rows[:5], K).columns.shape == (5, K)
