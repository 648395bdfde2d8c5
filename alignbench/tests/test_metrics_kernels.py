"""Forms of CKA and RSA for many rows give the values of their plain forms, in little memory."""

from __future__ import annotations

import importlib
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from alignbench.metrics import (
    blocks,
    calibrated_cka,
    debiased_cka,
    linear_cka,
    procrustes_similarity,
    rbf_cka,
    rsa,
    sums,
)
from alignbench.metrics import cka_debiased as debiased_module
from alignbench.metrics.checks import standardized
from alignbench.metrics.distances import Points, rounding_of, squared_distances
from alignbench.metrics.kernels import doubly_centered, rbf_kernel
from alignbench.metrics.orders import Order
from alignbench.metrics.procrustes import narrow
from alignbench.tests.traced import peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def sides(n: int, dx: int, dy: int) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, dx))
    return x, x[:, :2] @ rng.normal(size=(2, dy)) + rng.normal(size=(n, dy))


@pytest.mark.parametrize("widths", [(5, 7), (30, 4), (90, 40), (200, 150)])
@pytest.mark.parametrize("score", [linear_cka, debiased_cka, calibrated_cka])
def test_few_and_many_rows_take_forms_with_the_same_value(
    score: Callable[..., float], widths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = sides(100, *widths)
    value = score(x, y)
    for module in (sums, debiased_module):
        monkeypatch.setattr(module, "FEW", 10)
    monkeypatch.setattr(sums, "LARGE", 100)
    assert score(x, y) == pytest.approx(value, rel=1e-12)


def test_with_fewer_rows_than_columns_gram_matrices_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "FEW", 10)
    for n, by_rows in ((50, True), (119, True), (120, False)):
        a, b = (standardized(side) for side in sides(n, 80, 40))
        assert (sums.LinearSums.of_features(a, b) == sums.LinearSums.of_kernels(a @ a.T, b @ b.T)) is by_rows


def plain_ranks(values: Matrix, errors: Matrix) -> Matrix:
    """Ranks from groups of values that cannot be distinguished, one after the other."""
    order = sorted(range(len(values)), key=values.__getitem__)
    groups = [[order[0]]]
    for before, after in pairwise(order):
        if values[after] - values[before] > errors[before] + errors[after]:
            groups.append([])
        groups[-1].append(after)
    ranks, start = np.empty(len(values)), 0
    for group in groups:
        ranks[group] = start + (len(group) + 1) / 2
        start += len(group)
    return ranks


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_ranks_are_those_of_the_groups_that_errors_make(decimals: int) -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=500), decimals)
    assert np.array_equal(Order.of(values).ranks(), rankdata(values))
    errors = rng.random(500) * rng.choice([0, 1e-3, 0.01], size=500)
    assert np.array_equal(Order.of(values, errors).ranks(), plain_ranks(values, errors))
    assert np.array_equal(Order.of(np.ones(7)).ranks(), np.full(7, 4.0))
    assert np.array_equal(Order.of(np.ones(1)).ranks(), [1.0])


@pytest.mark.parametrize("whole", [sums.WHOLE, 700])
def test_rsa_is_the_same_with_and_without_a_matrix(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sides(80, 6, 9)
    x[40:44] = x[:4]
    value = rsa(x, y)
    upper = np.triu_indices(80, 1)
    distances = [np.linalg.norm(side[:, None] - side, axis=2)[upper] for side in (x, y)]
    assert value == pytest.approx(spearmanr(*distances).statistic, rel=1e-12)
    monkeypatch.setattr(importlib.import_module("alignbench.metrics.rsa"), "GRAM_LIMIT", 10)
    monkeypatch.setattr(sums, "WHOLE", whole)
    monkeypatch.setattr(blocks, "CACHED", 500)
    assert rsa(x, y) == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("cached", [blocks.CACHED, 200])
def test_distances_do_not_depend_on_the_blocks(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.concatenate([sides(60, 5, 5)[0] + 1e3, sides(60, 5, 5)[0] + 1e3 + 1e-7])
    points = Points.of(x)
    squared, errors = squared_distances(points), rounding_of(squared_distances(points), points)
    monkeypatch.setattr(blocks, "CACHED", cached)
    again = squared_distances(points)
    assert np.array_equal(again, squared)
    assert np.array_equal(again, again.T)
    assert np.array_equal(rounding_of(again, points), errors)
    exact = np.square((x[:, None] - x) * points.scale).sum(axis=2)
    assert (np.abs(squared - exact) <= errors).all()
    rows = np.arange(70, 90)
    np.testing.assert_allclose(squared_distances(points.take(rows), points), squared[rows], rtol=1e-12)


def test_a_kernel_is_the_same_in_place() -> None:
    distances = squared_distances(Points.of(np.repeat(sides(20, 5, 5)[0], 2, axis=0)))
    upper = distances[np.triu_indices(40, 1)]
    medians: dict[Literal["nonzero", "all"], float] = {
        "nonzero": float(np.median(upper[upper > 0])),
        "all": float(np.median(distances)),
    }
    for median, middle in medians.items():
        before = distances.copy()
        kernel = rbf_kernel(distances, 0.7, median)
        assert np.array_equal(kernel, np.exp(-distances / (2 * 0.7**2 * middle)))
        assert np.array_equal(distances, before)
        assert np.array_equal(rbf_kernel(before, 0.7, median, out=before), kernel)
        centered = doubly_centered(kernel)
        assert np.array_equal(doubly_centered(kernel, out=kernel), centered)


@pytest.mark.slow
@pytest.mark.parametrize(("score", "squares"), [(rbf_cka, 3.1), (rsa, 4.1)])
def test_values_need_few_matrices_of_all_pairs(score: Callable[..., float], squares: float) -> None:
    n = 2050
    x, y = sides(n, 4, 4)
    assert peak(lambda: score(x, y)) < squares * n * n * 8


def test_sides_that_are_not_worth_rotating_give_the_same_procrustes_similarity() -> None:
    x, y = sides(320, 400, 330)
    assert narrow(x) is x
    assert narrow(x[:300]).shape == (300, 300)
    assert narrow(np.hstack([x, y])).shape == (320, 320)
    a, b = (side - side.mean(axis=0) for side in (x, y))
    expected = np.linalg.norm(a.T @ b, ord="nuc") / (np.linalg.norm(a) * np.linalg.norm(b))
    assert procrustes_similarity(x, y) == pytest.approx(expected, rel=1e-13)
