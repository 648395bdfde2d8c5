"""CKA and its kin against published numbers, textbook forms and full enumeration."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError
from alignbench.metrics import (
    METRICS,
    calibrated_cka,
    debiased_cka,
    linear_cka,
    linear_cka_null,
    linear_cka_within_mean,
    rbf_cka,
    unbiased_hsic,
)
from alignbench.metrics import cka_debiased as debiased_module

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def sides(n: int, dx: int, dy: int, seed: int = 0, shared: float = 0.5) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(n, dx)), rng.normal(size=(n, dy))
    return x, shared * np.resize(x.T, (dy, n)).T + noise


@pytest.fixture(scope="module")
def published() -> tuple[Matrix, Matrix]:
    """The arrays of the reference numbers, of numpy's legacy generator."""
    state = np.random.RandomState(1337)
    x = state.randn(100, 10)
    return x, state.randn(100, 10) + x


def textbook_cka(k: Matrix, l: Matrix) -> float:  # noqa: E741
    """HKH by n x n matrix products."""
    n = len(k)
    h = np.eye(n) - 1 / n
    a, b = h @ k @ h, h @ l @ h
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def loop_hsic1(k: Matrix, l: Matrix) -> float:  # noqa: E741
    """Song et al.'s equation 4 as a sum over distinct indices."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    pairs = sum(k[i, j] * l[i, j] for i, j in product(range(n), repeat=2))
    triples = sum(k[i, j] * l[i, q] for i, j, q in product(range(n), repeat=3))
    total = k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float((pairs - 2 / (n - 2) * triples + total) / (n * (n - 3)))


def test_linear_cka_is_the_published_number(published: tuple[Matrix, Matrix]) -> None:
    assert linear_cka(*published) == pytest.approx(0.557613256611759, abs=1e-9)


def test_debiased_cka_is_the_published_number(published: tuple[Matrix, Matrix]) -> None:
    assert debiased_cka(*published) == pytest.approx(0.513456489505526, abs=1e-9)


@pytest.mark.parametrize(("median", "expected"), [("all", 0.654831182261498), ("nonzero", 0.654005927736241)])
def test_rbf_cka_is_the_published_number(
    published: tuple[Matrix, Matrix], median: str, expected: float
) -> None:
    assert METRICS.get("rbf_cka")(*published, fraction=0.5, median=median) == pytest.approx(
        expected, abs=1e-9
    )


def test_unbiased_hsic_is_the_published_number_for_a_distance_kernel() -> None:
    a, b = np.arange(1, 17).reshape(4, 4), np.asarray([[1], [0], [0], [1]])
    k, l = (-np.linalg.norm(side[:, None] - side[None], axis=2) for side in (a, b))  # noqa: E741
    values = [unbiased_hsic(k, k), unbiased_hsic(k, l), unbiased_hsic(l, l)]
    assert values == pytest.approx([42 + 2 / 3, -2 - 2 / 3, 2 / 3], abs=1e-9)
    assert values[1] / np.sqrt(values[0] * values[2]) == pytest.approx(-0.5, abs=1e-9)


@pytest.mark.parametrize(("n", "dx", "dy"), [(3, 2, 5), (40, 6, 9), (12, 30, 50), (20, 4, 60), (60, 80, 3)])
def test_linear_cka_is_the_textbook_form_for_any_shapes(n: int, dx: int, dy: int) -> None:
    x, y = sides(n, dx, dy)
    assert linear_cka(x, y) == pytest.approx(textbook_cka(x @ x.T, y @ y.T), abs=1e-12)


def test_rbf_cka_is_the_textbook_form() -> None:
    x, y = sides(25, 4, 7)
    kernels = []
    for side in (x, y):
        squared = ((side[:, None] - side[None]) ** 2).sum(axis=2)
        kernels.append(np.exp(-squared / (2 * np.median(squared[np.triu_indices(25, 1)]))))
    assert rbf_cka(x, y) == pytest.approx(textbook_cka(*kernels), abs=1e-12)


@pytest.mark.parametrize(("n", "dx", "dy"), [(4, 3, 2), (9, 3, 5), (8, 20, 30)])
def test_debiased_cka_is_the_loop_over_distinct_indices(n: int, dx: int, dy: int) -> None:
    x, y = sides(n, dx, dy)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    expected = loop_hsic1(k, l) / np.sqrt(loop_hsic1(k, k) * loop_hsic1(l, l))
    assert debiased_cka(x, y) == pytest.approx(expected, abs=1e-10)
    assert unbiased_hsic(k, l) == pytest.approx(loop_hsic1(k, l), rel=1e-10)


def test_debiased_cka_in_features_is_the_one_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sides(200, 12, 30)
    by_kernels = debiased_cka(x, y)
    monkeypatch.setattr(debiased_module, "FEW", 10)
    monkeypatch.setattr(debiased_module, "debiased_kernels", None)
    assert debiased_cka(x, y) == pytest.approx(by_kernels, abs=1e-12)


def test_debiased_cka_falls_back_to_kernels_where_features_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sides(60, 59, 59)
    x = np.linalg.qr(x - x.mean(axis=0))[0] + 1e-4 * x  # nearly a simplex: HSIC1 is nearly 0
    by_kernels = debiased_cka(x, y)
    monkeypatch.setattr(debiased_module, "FEW", 10)
    assert debiased_cka(x, y) == pytest.approx(by_kernels, abs=1e-9)


def test_a_large_offset_and_float32_do_not_break_debiased_cka() -> None:
    x, y = sides(50, 20, 20)
    shifted = debiased_cka((x + 1e3).astype(np.float32), (y + 1e3).astype(np.float32))
    assert shifted == pytest.approx(debiased_cka(x, y), abs=1e-3)


def all_scores(x: Matrix, y: Matrix) -> NDArray[np.float64]:
    h = np.eye(len(x)) - 1 / len(x)
    a, b = (h @ side @ side.T @ h for side in (x, y))
    products = [(a * b[np.ix_(p, p)]).sum() for p in permutations(range(len(x)))]
    return np.asarray(products, dtype=np.float64) / float(np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_exact_null_is_the_full_enumeration(n: int) -> None:
    x, y = sides(n, 3, 4, seed=n)
    scores = all_scores(x, y)
    assert linear_cka_null(x, y) == pytest.approx((scores.mean(), scores.std()), abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calibrated_cka", "debiased_cka", "rbf_cka", "mutual_knn", "rsa"])
@pytest.mark.parametrize("n", [5, 6])
def test_every_exact_null_is_the_full_enumeration(name: str, n: int) -> None:
    metric = METRICS.get(name)
    x, y = sides(n, 3, 4, seed=n)
    scores = np.asarray([metric(x, y[list(p)]) for p in permutations(range(n))])
    assert metric.null is not None
    assert metric.null.exact is not None
    mean, std = metric.null.exact(x, y)
    assert mean == pytest.approx(scores.mean(), abs=1e-9)
    assert np.isnan(std) or std == pytest.approx(scores.std(), abs=1e-9)


def test_exact_null_has_no_deviation_at_three_rows() -> None:
    x, y = sides(3, 2, 2)
    mean, std = linear_cka_null(x, y)
    assert mean == pytest.approx(all_scores(x, y).mean(), abs=1e-10)
    assert np.isnan(std)


CODES = np.asarray([0, 1, 0, 1, 1, 0, 2])


def within_orders(codes: NDArray[np.intp]) -> list[tuple[int, ...]]:
    return [p for p in permutations(range(len(codes))) if (codes[list(p)] == codes).all()]


@pytest.mark.parametrize(
    "name",
    [name for name in METRICS.names(pairing=True) if getattr(METRICS.get(name).null, "within_mean", None)],
)
def test_exact_mean_within_classes_is_the_full_enumeration(name: str) -> None:
    metric = METRICS.get(name)
    x, y = sides(7, 3, 4, seed=3)
    orders = within_orders(CODES)
    assert len(orders) == 36
    assert metric.null is not None
    assert metric.null.within_mean is not None
    expected = np.mean([metric(x, y[list(p)]) for p in orders])
    assert metric.null.within_mean(x, y, CODES) == pytest.approx(expected, abs=1e-9)


def test_within_class_mean_of_class_driven_data_is_far_above_the_global_one() -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(90) % 3
    x = np.eye(3)[codes] * 10 + rng.normal(size=(90, 3))
    y = np.eye(3)[codes] * 10 + rng.normal(size=(90, 3))
    assert linear_cka_within_mean(x, y, codes) > 0.9
    assert linear_cka_null(x, y)[0] < 0.1


@pytest.mark.parametrize(("n", "dx", "dy", "expected"), [(50, 64, 256, 0.68), (9, 768, 1024, 0.99)])
def test_biased_cka_of_independent_data_is_high_and_debiased_is_not(
    n: int, dx: int, dy: int, expected: float
) -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(n, dx)), rng.normal(size=(n, dy))) for _ in range(40)]
    assert np.mean([linear_cka(*pair) for pair in draws]) == pytest.approx(expected, abs=0.02)
    debiased = np.asarray([debiased_cka(*pair) for pair in draws])
    assert abs(debiased.mean()) < 3 * np.sqrt(2 / (n * (n - 3)) / len(draws))


def test_calibrated_cka_is_zero_on_average_over_pairings_and_one_for_itself() -> None:
    x, y = sides(6, 3, 4)
    scores = [calibrated_cka(x, y[list(p)]) for p in permutations(range(6))]
    assert np.mean(scores) == pytest.approx(0, abs=1e-10)
    assert calibrated_cka(x, x) == 1


def test_calibrated_cka_does_not_exist_where_every_pairing_scores_one() -> None:
    with pytest.raises(DegenerateError, match="nothing is above chance"):
        calibrated_cka(np.eye(6), np.eye(6))


def test_debiased_cka_does_not_exist_for_points_that_are_all_equally_far() -> None:
    with pytest.raises(DegenerateError, match="x's distances are all equal"):
        debiased_cka(np.eye(5), np.random.default_rng(0).normal(size=(5, 2)))


@pytest.mark.parametrize("width", [4, 60, 600])
def test_calibrated_cka_is_low_where_effective_dimensions_differ(width: int) -> None:
    """Its denominator is never below that of the debiased form (AM-GM); docs/metrics.md says what follows."""
    x, y = sides(60, width, 4, shared=1.0)
    a, b = ((side - side.mean(0)) @ (side - side.mean(0)).T for side in (x, y))
    t, u = (np.trace(gram) / np.sqrt(len(gram) - 1) for gram in (a, b))
    above = (a * b).sum() - t * u
    alike = above / np.sqrt(((a * a).sum() - t * t) * ((b * b).sum() - u * u))
    assert calibrated_cka(x, y) == pytest.approx(above / (np.sqrt((a * a).sum() * (b * b).sum()) - t * u))
    assert debiased_cka(x, y) == pytest.approx(alike, abs=0.03)
    assert 0 < calibrated_cka(x, y) <= alike
    ratio = calibrated_cka(x, y) / alike
    assert ratio > 0.99 if width == 4 else ratio < (0.9 if width == 60 else 0.6)
