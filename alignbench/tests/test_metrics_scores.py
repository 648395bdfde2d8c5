"""Neighbours, Procrustes, RSA, ridge, classes, EAS: naive forms, ties, chance."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics import (
    METRICS,
    cosine_variance,
    discriminability,
    discriminability_raw,
    eas,
    eas_adjusted,
    eas_adjusted_parts,
    eas_parts,
    knn_above_chance,
    knn_accuracy,
    mutual_knn,
    pairwise,
    procrustes_similarity,
    ridge_r2,
    ridge_r2_reverse,
    rsa,
    spread,
)
from alignbench.metrics.nearest import default_k
from alignbench.stats import assign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def sides(n: int = 40, dx: int = 6, dy: int = 9, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx))
    return x, x @ rng.normal(size=(dx, dy)) + 2 * rng.normal(size=(n, dy))


def neighbors(x: Matrix, k: int) -> list[set[int]]:
    """The k nearest by cosine after centring, one row at a time."""
    x = x - x.mean(axis=0)
    found = []
    for i in range(len(x)):
        cosines = [x[i] @ x[j] / (np.linalg.norm(x[i]) * np.linalg.norm(x[j])) for j in range(len(x))]
        order = sorted((j for j in range(len(x)) if j != i), key=lambda j: -cosines[j])
        found.append(set(order[:k]))
    return found


@pytest.mark.parametrize(("n", "k"), [(4, 1), (20, 6), (50, 10)])
def test_mutual_knn_is_the_loop_over_neighbour_sets(n: int, k: int) -> None:
    x, y = sides(n)
    assert default_k(n) == k
    a, b = neighbors(x, k), neighbors(y, k)
    expected = np.mean([len(p & q) / k for p, q in zip(a, b, strict=True)])
    assert mutual_knn(x, y) == pytest.approx(expected, abs=1e-12)


def test_mutual_knn_of_a_side_with_itself_is_one_without_ties() -> None:
    x, _ = sides()
    assert mutual_knn(x, x) == 1


def test_ties_at_the_border_count_in_expectation() -> None:
    """Three identical copies of each of ten directions, k = 3: two sure neighbours, one of 27 at random."""
    angles = np.arange(4).repeat(3) * np.pi / 2
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Two copies are sure; the third place is shared by the six rows at right angles.
    assert mutual_knn(x, x, k=3) == pytest.approx((2 + 6 * (1 / 6) ** 2) / 3, abs=1e-12)


def test_shuffled_pairs_have_chance_neighbours() -> None:
    x, y = sides(60)
    rng = np.random.default_rng(0)
    drawn = [mutual_knn(x, y[rng.permutation(60)]) for _ in range(200)]
    assert np.mean(drawn) == pytest.approx(10 / 59, abs=0.005)


@pytest.mark.parametrize("k", [0, 39, 100])
def test_impossible_numbers_of_neighbours_are_refused(k: int) -> None:
    with pytest.raises(InputError, match=rf"1 <= k <= n - 2 = 38 neighbours, got {k}"):
        mutual_knn(*sides(), k=k)


@pytest.mark.parametrize("shape", [(40, 6, 9), (10, 30, 25), (20, 8, 60)])
def test_procrustes_is_the_best_orthogonal_fit(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    from scipy.linalg import svdvals

    expected = svdvals(x.T @ y).sum() / (np.linalg.norm(x) * np.linalg.norm(y))
    assert procrustes_similarity(x, y) == pytest.approx(expected, abs=1e-12)


def test_rsa_is_spearman_of_the_distances() -> None:
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    x, y = sides(25)
    assert rsa(x, y) == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic, abs=1e-12)


def test_rsa_shares_ranks_among_ties_that_rounding_would_break() -> None:
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=(20, 2)), rng.normal(size=(20, 3))
    expected = spearmanr(pdist(x).round(9), pdist(y)).statistic
    turned = x @ np.linalg.qr(rng.normal(size=(2, 2)))[0]
    assert rsa(x, y) == pytest.approx(expected, abs=1e-12)
    assert rsa(turned, y) == pytest.approx(expected, abs=1e-12)


def naive_ridge(x: Matrix, y: Matrix, seed: int) -> float:
    """Nested cross-validation by solving the normal equations for each penalty."""

    def fit(a: Matrix, b: Matrix, test: Matrix, penalty: float) -> Matrix:
        mean, scale = a.mean(axis=0), np.sqrt(a.var(axis=0, ddof=1).sum())
        a, test = (a - mean) / scale, (test - mean) / scale
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ (b - b.mean(axis=0)))
        prediction: Matrix = test @ weights + b.mean(axis=0)
        return prediction

    names = np.arange(len(x)).astype(str)
    outer = assign(names, 5, seed, "outer fold")
    error = total = 0.0
    for fold in range(5):
        a, b = x[outer != fold], y[outer != fold]
        inner = assign(names[outer != fold], 3, seed, f"inner fold {fold}")
        errors = []
        for penalty in 10.0 ** np.arange(-4, 5):
            residuals = [
                b[inner == i] - fit(a[inner != i], b[inner != i], a[inner == i], penalty) for i in range(3)
            ]
            errors.append(sum((residual**2).sum() for residual in residuals))
        best = 10.0 ** (int(np.argmin(errors)) - 4)
        error += float(((y[outer == fold] - fit(a, b, x[outer == fold], best)) ** 2).sum())
        total += float(((y[outer == fold] - b.mean(axis=0)) ** 2).sum())
    return 1 - error / total


MANY = [
    pytest.param((640, 20, 30), id="many, narrow", marks=pytest.mark.slow),
    pytest.param((600, 500, 4), id="many, wide", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    "shape", [pytest.param((40, 6, 9), id="narrow"), pytest.param((18, 30, 25), id="wide"), *MANY]
)
def test_ridge_is_nested_cross_validation(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    assert ridge_r2(x, y, seed=5) == pytest.approx(naive_ridge(x, y, 5), abs=1e-9)
    assert ridge_r2_reverse(x, y, seed=5) == pytest.approx(naive_ridge(y, x, 5), abs=1e-9)


def test_ridge_explains_what_is_linear_and_nothing_of_noise() -> None:
    x, _ = sides(80)
    rng = np.random.default_rng(1)
    assert ridge_r2(x, x @ rng.normal(size=(6, 4))) > 0.999
    assert abs(ridge_r2(x, rng.normal(size=(80, 4)))) < 0.1


def test_ridge_folds_keep_groups_whole() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    x, y = rng.normal(size=(20, 30))[groups], rng.normal(size=(20, 4))[groups]
    assert ridge_r2(x, y, groups=groups) < 0.1
    assert ridge_r2(x, y) > 0.5  # a copy of each row is in the train folds


LABELS = np.repeat(["a", "b", "c"], 20)


def classes(distance: float = 3.0, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    x: Matrix = distance * rng.normal(size=(3, 8)).repeat(20, axis=0) + rng.normal(size=(60, 8))
    return x


def test_discriminability_is_its_formula() -> None:
    x = classes(0.5)
    groups = [x[label == LABELS] for label in "abc"]
    within = sum(((g - g.mean(axis=0)) ** 2).sum() for g in groups)
    between = sum(len(g) * ((g.mean(axis=0) - x.mean(axis=0)) ** 2).sum() for g in groups)
    expected = 1 - (within / 57) / ((between + within) / 59)
    assert discriminability(x, LABELS) == pytest.approx(expected, abs=1e-12)
    f = between / within
    assert discriminability_raw(x, LABELS) == pytest.approx(f / (f + 1), abs=1e-12)


def test_noise_has_no_discriminability_but_a_raw_one() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 3)
    draws = [rng.normal(size=(9, 64)) for _ in range(200)]
    assert np.mean([discriminability_raw(x, labels) for x in draws]) == pytest.approx(0.25, abs=0.01)
    assert np.mean([discriminability(x, labels) for x in draws]) < 0.02


@pytest.mark.parametrize("labels", [np.zeros(60), np.arange(60) > 0], ids=["one class", "a class of one"])
def test_class_scores_need_two_of_two_classes(labels: NDArray[np.generic]) -> None:
    for metric in (discriminability, discriminability_raw, knn_accuracy):
        with pytest.raises(DegenerateError, match="at least two"):
            metric(classes(), labels)


@pytest.mark.slow
def test_knn_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    x = classes(0.8)
    fold = assign(np.arange(60).astype(str), 5, 42, "fold")
    correct = 0
    for number in range(5):
        train, test = x[fold != number], x[fold == number]
        mean = train.mean(axis=0)
        model = KNeighborsClassifier(5, metric="cosine").fit(train - mean, LABELS[fold != number])
        correct += int((model.predict(test - mean) == LABELS[fold == number]).sum())
    assert knn_accuracy(x, LABELS) == pytest.approx(correct / 60, abs=0.04)  # ties vote differently


def test_knn_accuracy_of_classes_is_one_and_of_noise_a_little_below_chance() -> None:
    """A held-out row's own class is the rarer one among its train rows, so noise does not exceed chance."""
    rng = np.random.default_rng(0)
    assert knn_accuracy(classes(10), LABELS) == 1
    noise = [knn_accuracy(rng.normal(size=(60, 8)), LABELS) for _ in range(40)]
    assert 0.26 < np.mean(noise) < 0.35


def test_knn_accuracy_of_copies_needs_their_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    labels = (np.arange(20) % 2)[groups]
    x = rng.normal(size=(20, 8))[groups]
    assert knn_accuracy(x, labels, k=1) > 0.9
    assert knn_accuracy(x, labels, k=1, groups=groups) < 0.8
    with pytest.raises(TooFewSamplesError, match="at least 5 groups"):
        knn_accuracy(x, labels, groups=groups // 5)


def test_spread_and_cosine_variance_are_their_formulas() -> None:
    x = classes()
    assert spread(x) == pytest.approx(x.var(axis=0, ddof=1).mean(), rel=1e-12)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = [unit[i] @ unit[j] for i, j in combinations(range(60), 2)]
    assert cosine_variance(x) == pytest.approx(np.var(cosines), abs=1e-12)


def test_chance_is_that_of_the_best_guesser() -> None:
    codes = np.asarray([0] * 30 + [1] * 10)
    chance = METRICS.get("knn_accuracy").chance
    assert chance is not None
    assert chance(40, codes, {}) == 0.75


def test_knn_above_chance_runs_from_the_guesser_to_one() -> None:
    x = classes()
    chance = np.bincount(np.unique(LABELS, return_inverse=True)[1]).max() / len(LABELS)
    expected = (knn_accuracy(x, LABELS) - chance) / (1 - chance)
    assert knn_above_chance(x, LABELS) == pytest.approx(expected)
    noise = np.random.default_rng(3).normal(size=(20, *x.shape))
    values = [knn_above_chance(one, LABELS) for one in noise]
    assert min(values) == 0
    assert np.mean(values) < 0.1


def test_the_class_part_sees_classes_in_few_of_many_directions() -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(90) % 3
    x = rng.normal(size=(90, 600)) * np.sqrt(8 / 600)
    x[:, :16] += 2 * rng.normal(size=(3, 16))[codes]
    x[:, 16:20] += 4 * rng.normal(size=(90, 4))
    labels = codes.astype(str)
    assert discriminability(x, labels) < 0.5
    assert knn_above_chance(x, labels) > 0.9


def test_eas_is_the_weighted_sum_of_its_parts() -> None:
    x = classes()
    y = x @ np.random.default_rng(0).normal(size=(8, 12))
    parts = eas_parts(x, y, labels=LABELS)
    assert list(parts) == ["linear_cka", "coral_similarity", "discriminability_raw"]
    assert eas(x, y, labels=LABELS) == pytest.approx(np.dot([0.3, 0.3, 0.4], list(parts.values())))
    adjusted = eas_adjusted_parts(x, y, labels=LABELS)
    assert list(adjusted) == ["calibrated_cka", "1 - ncoral", "knn above chance"]
    assert eas_adjusted(x, y, labels=LABELS) == pytest.approx(
        np.dot([0.3, 0.3, 0.4], list(adjusted.values()))
    )


def test_eas_adjusted_does_not_pay_for_less_than_chance() -> None:
    rng = np.random.default_rng(1)
    draws = [
        eas_adjusted_parts(rng.normal(size=(60, 4)), rng.normal(size=(60, 4)), labels=LABELS)
        for _ in range(10)
    ]
    assert min(part["calibrated_cka"] for part in draws) == 0


def test_pairwise_names_rows_and_columns() -> None:
    x, y = sides()
    table = pairwise({"a": x, "b": y, "c": x + 1}, "linear_cka")
    assert table.names == ("a", "b", "c")
    assert table.between("a", "c") == pytest.approx(1)
    assert table.between("b", "a") == table.between("a", "b") == METRICS.get("linear_cka")(x, y)
    ridge = pairwise({"a": x, "b": y}, "ridge_r2", seed=3)
    assert ridge.between("a", "b") == ridge_r2(x, y, seed=3) != ridge.between("b", "a")
    with pytest.raises(InputError, match="two sides, got discriminability"):
        pairwise({"a": x}, "discriminability")
