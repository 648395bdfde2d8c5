"""Neighbours from the largest products alone are those from all products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.metrics import candidates, largest, nearest, nearest_products, neighbors_left
from alignbench.metrics.nearest import cosine_neighbors
from alignbench.metrics.nearest_products import product_neighbors, product_neighbors_left
from alignbench.metrics.neighbors_left import cosine_neighbors_left

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.nearest import Neighbors

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

N = 420
KINDS = [
    "plain",
    "few ties",
    "grid",
    "copies",
    "shifted",
    "wide",
    "sizes",
    "constant column",
    "alike",
    "tiny",
    "clusters",
]


def side(kind: str) -> Matrix:
    rng = np.random.default_rng(0)
    x: Matrix = rng.normal(size=(N, 6))
    if kind == "few ties":
        x[:20] = x[20:40]
    if kind == "grid":
        x = np.round(x)
    if kind == "copies":
        x = x[rng.integers(0, 40, N)]
    if kind == "shifted":
        x += 50
    if kind == "wide":
        x = rng.normal(size=(N, 900))
    if kind == "clusters":  # without one, the mean is elsewhere
        x[:120] += 3 * np.arange(6)
    if kind == "sizes":
        x *= np.exp(2 * rng.normal(size=(N, 1)))
    if kind == "constant column":
        x[:, 2] = 7
    if kind == "alike":  # in every group of products, the largest ones are in the same places
        x = np.tile(rng.normal(size=(N // 60, 6)), (60, 1)) + 1e-3 * x
    return 1e-60 * x if kind == "tiny" else x


def same(found: Neighbors, expected: Neighbors) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.columns, expected.columns)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-14)
    scale = np.abs(expected.products).max()
    np.testing.assert_allclose(found.products, expected.products, atol=1e-13 * scale)


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all products be partitioned."""
    for module in (candidates, largest):
        monkeypatch.setattr(module, "too_few_to_group", lambda n, count: True)


@pytest.mark.parametrize("k", [1, 10, 17])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("find", [product_neighbors, cosine_neighbors])
def test_neighbours_are_those_of_all_products(
    find: object, kind: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(find)
    x = side(kind)
    found = find(x, k)
    plain(monkeypatch)
    same(found, find(x, k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 10])
def test_neighbours_without_a_block_are_those_of_the_rows_that_are_left(kind: str, k: int) -> None:
    x = side(kind)
    blocks = [np.arange(42), np.arange(0, N, 10), np.asarray([5]), np.arange(120, N)]
    for left, whole in (
        (product_neighbors_left, product_neighbors),
        (cosine_neighbors_left, cosine_neighbors),
    ):
        for block, found in zip(blocks, left(x, blocks, k), strict=True):
            expected = whole(np.delete(x, block, axis=0), k)
            same_kind = found.products / (found.products.max() / expected.products.max())
            np.testing.assert_array_equal(found.places, expected.places)
            np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-14)
            assert same_kind == pytest.approx(expected.products, abs=1e-12 * np.abs(expected.products).max())


@pytest.mark.parametrize("kind", ["plain", "wide"])
def test_few_rows_are_searched_anew(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, searched = side(kind), []

    def of_rows_left(products: Matrix, left: Indices, rows: Indices) -> object:
        searched.append(len(rows))
        return neighbors_left_of_rows(products, left, rows)

    neighbors_left_of_rows = neighbors_left.of_rows_left
    for module in (neighbors_left, nearest_products):
        monkeypatch.setattr(module, "of_rows_left", of_rows_left)
    blocks = [np.arange(start, N, 10) for start in range(10)]
    list(product_neighbors_left(x, blocks, 10))
    assert sum(searched) == 0
    list(cosine_neighbors_left(x, blocks, 10))
    assert sum(searched) < 0.5 * 10 * N


@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_bounds_of_cosines_hold_without_a_block(moved: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        least = rng.uniform(-1, 1, 30)
        size, distance = rng.uniform(0.5, 2, (2, 30))
        along, square = moved * rng.normal(size=30), moved**2
        cosines = least[:, None] - rng.random((30, 30)) ** 9
        cosines[:, 5] = cosines[:, 7] = least
        left = cosines * size[:, None] * size - along[:, None] - along + square
        left /= distance[:, None] * distance
        bound = neighbors_left.bound_left(least, size, distance, along, square)
        assert (left <= bound[:, None] + 1e-12).all()
        if not moved:  # as near as it can be
            share = size / distance
            largest_share = np.where(least > 0, share.max(), share.min())
            assert bound == pytest.approx(least * share * largest_share, rel=1e-12)


def test_the_kth_largest_is_that_of_a_partition() -> None:
    rng = np.random.default_rng(0)
    for products in (rng.normal(size=(9, 500)), np.round(rng.normal(size=(9, 500))), np.ones((9, 500))):
        products[3, ::3] = -np.inf
        for k in (1, 2, 10, 62, 63, 300):
            np.testing.assert_array_equal(largest.kth_largest(products, k), np.sort(products, axis=1)[:, -k])


def test_rows_that_candidates_do_not_settle_are_asked_for() -> None:
    near = candidates.Candidates(
        np.asarray([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]),
        np.asarray([[0.9, 0.8, 0.1], [0.9, 0.5, 0.5], [0.9, 0.8, 0.1], [0.9, -np.inf, -np.inf]]),
        np.asarray([0.1, 0.1, 0.8, 0.1]),
    )
    asked = []

    def search(rows: NDArray[np.intp]) -> Neighbors:
        asked.extend(rows.tolist())
        none = np.empty(0)
        return nearest.Neighbors(4, none.astype(np.intp), none.astype(np.intp), none, none)

    found = candidates.nearest_of_candidates(near, np.full(4, 1e-9), 2, search)
    assert asked == [1, 2, 3]  # tied at the border; what is bounded by .8 may be larger; too few
    assert found.places.tolist() == [1, 2]
