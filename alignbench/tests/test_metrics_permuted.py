"""Closed moments of re-paired products are those of all permutations, one by one."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignbench.metrics import permuted_symmetric
from alignbench.metrics.cka_debiased import u_centered
from alignbench.metrics.nulls import (
    kernel_moments,
    matched_products,
    permutation_moments,
    within_class_mean,
)
from alignbench.metrics.partitions import partitions, patterns, weight
from alignbench.metrics.permuted import ProductMoments, permuted_side, product_moments
from alignbench.metrics.permuted_side import PermutedSide
from alignbench.metrics.permuted_sparse import sparse_side
from alignbench.metrics.permuted_symmetric import symmetric_side
from alignbench.stats import draw_permutations, draw_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CLASSES = [
    [0],
    [0, 0],
    [0, 0, 0],
    [0, 0, 0, 0],
    [0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0],
    [0, 0, 0, 1, 1, 1],
    [2, 1, 0, 1, 2, 0],
    [0, 0, 0, 1, 2],
    [0, 1, 0, 0, 1, 0],
    [0, 0, 1, 1, 0, 0, 1],
]
"""The class of each row of small matrices; with a single class, all rows are permuted."""


def moments(a: Any, b: Any, codes: Any = None) -> ProductMoments:
    a, b = (side if side.dtype == object else side.astype(float) for side in (a, b))
    classes = None if codes is None else np.asarray(codes)
    return product_moments(PermutedSide.of(a, classes), PermutedSide.of(b, classes))


def one_by_one(a: Any, b: Any, codes: list[int]) -> tuple[Any, ...]:
    """Return mean, variance and third central moment over all permutations, in fractions."""
    n, values = len(codes), []
    for p in permutations(range(n)):
        if all(codes[i] == codes[p[i]] for i in range(n)):
            entries = ((i, j) for i in range(n) for j in range(n))
            values.append(sum((Fraction(a[i][j]) * b[p[i]][p[j]] for i, j in entries), Fraction(0)))
    mean = sum(values, Fraction(0)) / len(values)
    return mean, *(sum((v - mean) ** k for v in values) / len(values) for k in (2, 3))


def whole_numbers(n: int, seed: int) -> tuple[Any, Any]:
    """Return two matrices without symmetry, with diagonals, and with a few large entries."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-5, 9, (2, n, n))
    b[:, :2] **= 2
    return a, b


@pytest.mark.parametrize("codes", CLASSES, ids=str)
def test_moments_are_those_of_all_permutations(codes: list[int]) -> None:
    a, b = whole_numbers(len(codes), len(codes))
    expected = one_by_one(a.tolist(), b.tolist(), codes)
    found = moments(a, b, codes)
    scale = float(expected[1]) ** 1.5
    assert found.mean == pytest.approx(float(expected[0]), rel=1e-12)
    assert found.variance == pytest.approx(float(expected[1]), rel=1e-11)
    assert found.third == pytest.approx(float(expected[2]), rel=1e-10, abs=1e-12 * scale)


@pytest.mark.parametrize("n", [4, 5, 6])
def test_moments_of_whole_numbers_are_exact_in_fractions(n: int) -> None:
    a, b = whole_numbers(n, 9)
    exact = [np.asarray([[Fraction(v) for v in row] for row in side.tolist()]) for side in (a, b)]
    expected = one_by_one(a.tolist(), b.tolist(), [0] * n)
    found = moments(exact[0], exact[1])
    assert (found.mean, found.variance, found.third) == expected


def test_variance_is_mantels_for_matrices_without_diagonal() -> None:
    rng = np.random.default_rng(4)
    n = 40
    a, b = rng.normal(size=(2, n, n)) ** 3
    for side in (a, b):
        np.fill_diagonal(side, 0.0)

    def sums(k: Matrix) -> list[float]:
        out, into, total = k.sum(axis=1), k.sum(axis=0), k.sum()
        first = [(k * k).sum(), (k * k.T).sum()]
        shared = [out @ out - first[0], into @ into - first[0], out @ into - first[1]]
        return [*first, *shared, total**2 - sum(first) - sum(shared) - shared[2]]

    n2, n3, n4 = n * (n - 1), n * (n - 1) * (n - 2), n * (n - 1) * (n - 2) * (n - 3)
    factors = np.asarray([1 / n2, 1 / n2, 1 / n3, 1 / n3, 2 / n3, 1 / n4])
    mean = a.sum() * b.sum() / n2
    variance = float((np.asarray(sums(a)) * sums(b) * factors).sum()) - mean**2
    assert moments(a, b).mean == pytest.approx(mean, rel=1e-12)
    assert moments(a, b).variance == pytest.approx(variance, rel=1e-10)


def kernels(n: int, seed: int = 0, heavy: bool = False) -> tuple[Matrix, Matrix]:
    """Return two doubly centred linear kernels."""
    rng = np.random.default_rng(seed)
    sides = [rng.standard_t(3, (n, d)) if heavy else rng.normal(size=(n, d)) for d in (4, 7)]
    sides = [side - side.mean(axis=0) for side in sides]
    return sides[0] @ sides[0].T, sides[1] @ sides[1].T


def test_mean_and_variance_of_kernels_are_those_of_kazi_aoual() -> None:
    a, b = kernels(50, heavy=True)
    mean, std = permutation_moments(kernel_moments(a), kernel_moments(b))
    found = moments(a, b)
    assert found.mean == pytest.approx(mean, rel=1e-12)
    assert found.variance == pytest.approx(std**2, rel=1e-10)


def graph(n: int, k: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    distances = np.square(points[:, None] - points).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    border = np.partition(distances, k - 1, axis=1)[:, k - 1, None]
    return np.asarray(distances <= border, dtype=np.float64)


def each_sum(side: PermutedSide) -> dict[str, Any]:
    """Return all sums of a side by name."""
    return {
        f"{part} {field.name}": getattr(getattr(side, part), field.name)
        for part in ("second", "third", "squares")
        for field in fields(getattr(side, part))
    }


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("n", [6, 90])
def test_the_sums_of_a_graph_are_those_of_its_matrix(n: int, classes: int) -> None:
    matrix = graph(n, 3, 0) * np.random.default_rng(1).uniform(0.2, 1, (n, n))
    codes = None if classes == 1 else np.random.default_rng(2).permutation(np.arange(n) % classes)
    rows, columns = np.nonzero(matrix)
    found = each_sum(sparse_side(rows, columns, matrix[rows, columns], n, codes))
    for name, expected in each_sum(PermutedSide.of(matrix, codes)).items():
        largest = np.abs(expected).max(initial=1e-3)
        np.testing.assert_allclose(found[name], expected, atol=1e-11 * largest, err_msg=name)


def same_sums(found: PermutedSide, expected: PermutedSide) -> None:
    known = each_sum(expected)
    for name, values in each_sum(found).items():
        largest = np.abs(known[name]).max(initial=1e-3)
        np.testing.assert_allclose(values, known[name], atol=1e-11 * largest, err_msg=name)


SIZES = [[310], [100, 210], [1, 2, 3, 130, 174], [78, 78, 77, 77]]


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("block", [16, 256])
def test_a_symmetric_matrix_has_the_sums_of_any_matrix(
    sizes: list[int], heavy: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permuted_symmetric, "_BLOCK", block)
    a, _ = kernels(310, heavy=heavy)
    a += 1e-15 * np.abs(a).max() * np.random.default_rng(0).normal(size=a.shape)  # rounding
    codes = np.random.default_rng(2).permutation(np.repeat(np.arange(len(sizes)), sizes))
    same_sums(symmetric_side(a, codes), PermutedSide.of(a, codes))
    if len(sizes) == 1:
        same_sums(symmetric_side(a), PermutedSide.of(a))


@pytest.mark.parametrize("change", ["copied rows", "large mean", "tiny", "huge", "flat"])
def test_a_symmetric_matrix_of_a_hard_kind_has_the_sums_of_any_matrix(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = kernels(320, heavy=True)
    if change == "copied rows":
        copied = np.repeat(np.arange(80), 4)
        a = a[copied][:, copied]
    made = {"large mean": a + 1e4, "tiny": 1e-30 * a, "huge": 1e30 * a, "flat": 3 + 2 * np.eye(320)}.get(
        change, a
    )
    codes = np.random.default_rng(2).integers(0, 3, 320)
    found, expected = symmetric_side(made, codes), PermutedSide.of(made, codes)
    same_sums(
        symmetric_side(made / np.abs(made).max(), codes), PermutedSide.of(made / np.abs(made).max(), codes)
    )
    ours, theirs = product_moments(found, found), product_moments(expected, expected)
    assert (ours.mean, ours.variance) == pytest.approx((theirs.mean, theirs.variance), rel=1e-10)
    if change != "flat":
        assert ours.skewness == pytest.approx(theirs.skewness, rel=1e-10)
    monkeypatch.setattr(permuted_symmetric, "SINGLE", 100)
    quick = symmetric_side(made, codes)
    assert product_moments(quick, quick).third == pytest.approx(theirs.third, abs=1e-6 * theirs.variance**1.5)


@pytest.mark.parametrize("classes", [1, 4])
def test_triangles_of_a_matrix_that_differs_in_effects_are_taken_from_it(classes: int) -> None:
    a, _ = kernels(320, heavy=True)
    codes = None if classes == 1 else np.arange(320) % classes
    other = u_centered(a / np.abs(a).max())
    same_sums(symmetric_side(other, codes, symmetric_side(a, codes)), PermutedSide.of(other, codes))


def test_a_matrix_that_is_not_symmetric_is_not_halved() -> None:
    a, _ = kernels(310)
    a[3, 200] += 1e-6 * np.abs(a).max()
    found, expected = permuted_side(a, None), PermutedSide.of(a)
    np.testing.assert_array_equal(found.third.triples, expected.third.triples)
    assert expected.third.triples[0] != expected.third.triples[1]


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("kind", ["kernel", "graph"])
def test_moments_are_those_of_drawn_permutations(kind: str, classes: int) -> None:
    n, draws = 100, 20_000
    a, b = (graph(n, 5, 0), graph(n, 8, 1)) if kind == "graph" else kernels(n)
    codes = np.arange(n) % classes
    rng = np.random.default_rng(5)
    orders = draw_permutations(n, draws, rng) if classes == 1 else draw_within(codes, draws, rng)
    values = matched_products(a, b, orders)
    found = moments(a, b, codes)
    std = found.variance**0.5
    assert values.mean() == pytest.approx(found.mean, abs=4 * std / draws**0.5)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert np.mean((values - values.mean()) ** 3) / values.std() ** 3 == pytest.approx(
        found.skewness, abs=0.1
    )
    assert found.mean == pytest.approx(within_class_mean(a, b, codes), rel=1e-12)


matrices = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.lists(st.integers(-9, 9), min_size=n, max_size=n), min_size=n, max_size=n)] * 2,
        st.permutations(range(n)),
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
    )
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(matrices)
def test_neither_a_new_order_of_rows_nor_another_pairing_changes_the_moments(drawn: Any) -> None:
    a, b = (np.asarray(side, dtype=float) for side in drawn[:2])
    order = np.asarray(drawn[2])
    codes = np.unique(np.asarray(drawn[3]), return_inverse=True)[1]
    before = moments(a, b, codes)
    size = 1e-9 * (1 + np.square(a).sum() * np.square(b).sum())

    def same(after: ProductMoments) -> bool:
        near = [size, size, size + size**1.5]
        now, then = ((m.mean, m.variance, m.third) for m in (after, before))
        return all(abs(x - y) <= most for x, y, most in zip(now, then, near, strict=True))

    assert same(moments(a[order][:, order], b[order][:, order], codes[order]))
    inside = np.argsort(codes, kind="stable")[np.argsort(np.argsort(codes[order], kind="stable"))]
    partner = np.empty(len(codes), dtype=np.intp)
    partner[order] = inside
    assert (codes[partner] == codes).all()
    assert same(moments(a, b[partner][:, partner], codes))
    assert same(moments(b, a, codes))


@pytest.mark.parametrize("codes", [[0] * 6, [0, 1, 0, 0, 1, 0]], ids=str)
def test_the_spread_is_how_much_the_sum_of_squared_terms_varies(codes: list[int]) -> None:
    sides = []
    classes = np.asarray(codes)
    for side in whole_numbers(6, 3):
        centered = side.astype(float)
        for c in range(max(codes) + 1):
            for d in range(max(codes) + 1):
                block = np.outer(classes == c, classes == d)
                for entries in (block & np.eye(6, dtype=bool), block & ~np.eye(6, dtype=bool)):
                    centered[entries] -= centered[entries].mean() if entries.any() else 0.0
        sides.append(centered**2)
    mean, variance, _ = one_by_one(sides[0].tolist(), sides[1].tolist(), codes)
    assert moments(*whole_numbers(6, 3), codes).spread == pytest.approx(float(variance / mean**2), rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_a_matrix_that_no_permutation_changes_has_no_variance(n: int) -> None:
    rng = np.random.default_rng(0)
    flat, other = 3 + 2 * np.eye(n), rng.normal(size=(n, n))
    found = moments(flat, other)
    assert found.mean == pytest.approx(3 * other.sum() + 2 * np.trace(other), rel=1e-12)
    assert found.variance == pytest.approx(0.0, abs=1e-20)
    assert found.third == pytest.approx(0.0, abs=1e-20)
    assert np.isnan(ProductMoments(1.0, 0.0, 0.0, 0.0).skewness)


def test_copied_rows_and_large_values_keep_their_digits() -> None:
    a, b = kernels(12, heavy=True)
    copied = np.repeat(np.arange(6), 2)
    a, b = a[copied][:, copied], b[copied][:, copied]
    moved = moments(1e4 * a + 1e6, b)
    assert moved.variance == pytest.approx(1e8 * moments(a, b).variance, rel=1e-8)
    assert moved.skewness == pytest.approx(moments(a, b).skewness, rel=1e-7)


@pytest.mark.parametrize("classes", [1, 2])
def test_paths_in_float32_change_the_skewness_by_less_than_a_millionth(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = kernels(150, heavy=True)
    codes = np.arange(150) % classes
    exact = moments(a, b, codes)
    monkeypatch.setattr("alignbench.metrics.permuted_side.SINGLE", 100)
    monkeypatch.setattr(permuted_symmetric, "SINGLE", 100)
    symmetric = product_moments(symmetric_side(a, codes), symmetric_side(b, codes))
    for quick in (moments(a, b, codes), symmetric):
        assert quick.skewness != exact.skewness
        assert quick.skewness == pytest.approx(exact.skewness, abs=1e-6)
        assert quick.variance == pytest.approx(exact.variance, rel=1e-13)


def test_partitions_and_their_weights() -> None:
    assert [len(partitions(n)) for n in range(7)] == [1, 1, 2, 5, 15, 52, 203]
    assert [len(patterns(3 - loops, loops)) for loops in range(4)] == [12, 4, 2, 1]
    assert patterns(1, 1) == ()
    assert weight((0, 0), (0, 0), 5) == Fraction(1, 4)  # of Σ aᵢb_π(i), centred: Σa²Σb²/(n − 1)
    assert weight((0, 0, 0), (0, 0, 0), 5) == Fraction(5, 12)  # n/((n − 1)(n − 2))
    assert weight((0, 0), (0, 0), 1) == 1
