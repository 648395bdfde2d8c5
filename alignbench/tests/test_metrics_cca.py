"""Canonical correlations against other definitions: angles of subspaces, and Google's formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import linalg

from alignbench.errors import DegenerateError
from alignbench.metrics import METRICS, cca_mean, pwcca, pwcca_heldout, svcca, svcca_heldout
from alignbench.stats import evaluate
from alignbench.stats.splits import assign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SHAPES = [(40, 6, 9), (40, 9, 6), (60, 30, 50), (30, 50, 80), (9, 4, 3)]
IN_SAMPLE = ("svcca", "pwcca", "cca_mean")
HELD_OUT = ("svcca_heldout", "pwcca_heldout")


def sides(n: int, dx: int, dy: int, noise: float = 1.0, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two sides that share three directions of decreasing size."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 3)) * [3, 2, 1]
    x, y = (shared @ rng.normal(size=(3, d)) + noise * rng.normal(size=(n, d)) for d in (dx, dy))
    return x + 5, y - 2


def components(x: Matrix, most: int) -> Matrix:
    """Return the principal components that hold 99% of the variance, at most `most`, by an SVD."""
    left, sizes, _ = linalg.svd(x - x.mean(axis=0), full_matrices=False)
    held = np.cumsum(sizes**2) / np.sum(sizes**2)
    count = min(int(np.argmax(held >= 0.99)) + 1, most)
    kept: Matrix = left[:, :count] * sizes[:count]
    return kept


def inverse_root(matrix: Matrix) -> Matrix:
    values, vectors = linalg.eigh(matrix)
    root: Matrix = vectors / np.sqrt(values) @ vectors.T
    return root


def google(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return the canonical correlations, x's variates and y's, from covariances, as google/svcca has them."""
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    root_x, root_y = inverse_root(a.T @ a), inverse_root(b.T @ b)
    left, correlations, right = linalg.svd(root_x @ (a.T @ b) @ root_y)
    k = len(correlations)
    return correlations, a @ root_x @ left[:, :k], b @ root_y @ right[:k].T


@pytest.mark.parametrize("shape", SHAPES)
def test_svcca_is_the_mean_cosine_of_the_angles_of_both_subspaces(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    most = max(1, shape[0] // 5)
    angles = linalg.subspace_angles(components(x, most), components(y, most))
    assert svcca(x, y) == pytest.approx(np.cos(angles).mean(), abs=1e-10)
    three = linalg.subspace_angles(components(x, 3), components(y, 3))
    assert svcca(x, y, rows=shape[0] // 3) == pytest.approx(np.cos(three).mean(), abs=1e-10)


def test_ninety_nine_percent_are_kept_and_not_a_direction_more() -> None:
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(np.hstack([np.ones((200, 1)), rng.normal(size=(200, 4))]))
    y = rng.normal(size=(200, 6))
    for last, kept in ((1.06, 3), (1.04, 2)):  # 1.02% and 0.98% of the variance
        x = left[:, 1:] * [10, 3, last, 0.01]
        assert METRICS.get("svcca").parts is not None
        assert METRICS.get("svcca").parts(x, y)["directions_x"] == kept  # type: ignore[misc]


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_cca_mean_is_that_of_covariances_and_any_linear_map_keeps_it(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    assert cca_mean(x, y) == pytest.approx(google(x, y)[0].mean(), abs=1e-10)
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=(d, d)) for d in shape[1:]]
    assert cca_mean(x @ maps[0], y @ maps[1] + 3) == pytest.approx(cca_mean(x, y), abs=1e-9)
    assert svcca(x @ maps[0], y) != pytest.approx(svcca(x, y), abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_pwcca_is_the_published_formula(shape: tuple[int, int, int]) -> None:
    x, y = (components(side, max(1, shape[0] // 5)) for side in sides(*shape))
    correlations, variates, _ = google(x, y)
    basis, _ = np.linalg.qr(variates)  # Google's code does this; it changes signs alone
    weights = np.abs(basis.T @ (x - x.mean(axis=0))).sum(axis=1)
    expected = float(weights @ correlations / weights.sum())
    assert pwcca(*sides(*shape)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", [(40, 6, 9), (60, 30, 50), (30, 50, 80), (15, 4, 3)])
def test_held_out_scores_are_those_of_covariances_of_the_other_folds(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    groups = np.arange(shape[0]).astype(str)
    fold = assign(groups, 5, 7, "outer fold")
    sums = np.zeros((2, 3))
    for number in range(5):
        train, held = fold != number, fold == number
        most = max(1, int(train.sum()) // 5)
        mapped = []
        for side in (x, y):
            mean = side[train].mean(axis=0)
            reduced = components(side[train], most)
            to_reduced = linalg.lstsq(side[train] - mean, reduced)[0]
            mapped.append((reduced, (side[held] - mean) @ to_reduced))
        (fit_x, test_x), (fit_y, test_y) = mapped
        _, variates_x, variates_y = google(fit_x, fit_y)
        u = test_x @ linalg.lstsq(fit_x, variates_x)[0]
        v = test_y @ linalg.lstsq(fit_y, variates_y)[0]
        projected = np.abs(variates_x.T @ fit_x).sum(axis=1)
        for row, weights in enumerate((np.full(u.shape[1], 1 / u.shape[1]), projected / projected.sum())):
            sums[row] += [weights @ (p * q).sum(axis=0) for p, q in ((u, v), (u, u), (v, v))]
    expected = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
    assert svcca_heldout(x, y, groups=groups, seed=7) == pytest.approx(expected[0], abs=1e-9)
    assert pwcca_heldout(x, y, groups=groups, seed=7) == pytest.approx(expected[1], abs=1e-9)


def test_independent_sides_score_high_in_sample_and_about_nothing_held_out() -> None:
    rng = np.random.default_rng(0)
    drawn = [(rng.normal(size=(60, 40)), rng.normal(size=(60, 50))) for _ in range(8)]
    assert np.mean([svcca(x, y) for x, y in drawn]) > 0.3
    assert abs(np.mean([svcca_heldout(x, y) for x, y in drawn])) < 0.08
    assert abs(np.mean([pwcca_heldout(x, y) for x, y in drawn])) < 0.08


def test_what_the_sides_share_is_found_on_held_out_groups() -> None:
    x, y = sides(60, 64, 96, noise=0.3)
    assert svcca_heldout(x, y) > 0.8
    assert evaluate(METRICS.get("svcca_heldout"), x, y, n_permutations=19, interval=False).null.p == 0.05  # type: ignore[union-attr]


def test_a_group_is_in_one_fold() -> None:
    """Copies of a row that are groups of their own are fitted and scored; as one group they are not."""
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.normal(size=(20, 12)), 4, axis=0) for _ in range(2))
    assert svcca_heldout(x, y, rows=4) > 0.5
    assert svcca_heldout(x, y, rows=4, groups=np.repeat(np.arange(20), 4)) < 0.3


@pytest.mark.parametrize("shape", [(30, 29, 5), (30, 200, 5), (30, 20, 10), (9, 300, 300)])
def test_no_room_is_said_where_correlations_are_one_whatever_the_pairing(shape: tuple[int, int, int]) -> None:
    n, dx, dy = shape
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, dx)), rng.normal(size=(n, dy))
    found = evaluate(METRICS.get("cca_mean"), x, y, n_permutations=0, interval=False)
    certain = min(dx, n - 1) + min(dy, n - 1) - (n - 1)
    assert found.flags == ("no_room",)
    assert found.value >= certain / min(dx, dy, n - 1) - 1e-9
    assert (found.value == pytest.approx(1, abs=1e-9)) == (max(dx, dy) >= n - 1)
    assert evaluate(METRICS.get("svcca"), x, y, n_permutations=0, interval=False).flags == ()
    roomy = evaluate(METRICS.get("cca_mean"), x[:, :4], y[:, :3], n_permutations=0, interval=False)
    assert roomy.flags == ()


@pytest.mark.parametrize("name", [*IN_SAMPLE, *HELD_OUT])
def test_a_side_of_rank_one_has_one_correlation(name: str) -> None:
    rng = np.random.default_rng(0)
    x, y = sides(40, 1, 8)
    wide = x @ rng.normal(size=(1, 30)) + 1e3
    assert METRICS.get(name)(wide, y) == pytest.approx(METRICS.get(name)(x, y), abs=1e-8)


@pytest.mark.parametrize("name", [*IN_SAMPLE, *HELD_OUT])
def test_directions_of_equal_size_are_kept_together(name: str) -> None:
    """Classes of equal counts: any three of their four directions would be a choice of the rounding."""
    rng = np.random.default_rng(0)
    x, y = np.eye(5)[np.arange(20) % 5], rng.normal(size=(20, 4))
    groups = np.arange(20)
    score, order = METRICS.get(name), rng.permutation(20)
    keywords = {"groups": groups} if name in HELD_OUT else {}
    moved = {"groups": groups[order]} if name in HELD_OUT else {}
    turned = (x @ np.linalg.qr(rng.normal(size=(5, 5)))[0])[order]
    assert score(turned, y[order], **moved) == pytest.approx(score(x, y, **keywords), abs=1e-9)


@pytest.mark.parametrize("name", HELD_OUT)
def test_folds_without_variance_have_no_directions(name: str) -> None:
    x = np.zeros((20, 3))
    x[4] = 1
    with pytest.raises(DegenerateError, match="x: zero variance of the rows that the directions are fitted"):
        METRICS.get(name)(x, np.random.default_rng(0).normal(size=(20, 3)))


def test_copies_of_a_few_rows_have_the_correlations_of_these_rows() -> None:
    rng = np.random.default_rng(0)
    few_x, few_y = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
    assert cca_mean(np.repeat(few_x, 5, axis=0), np.repeat(few_y, 5, axis=0)) == pytest.approx(
        cca_mean(few_x, few_y), abs=1e-10
    )
