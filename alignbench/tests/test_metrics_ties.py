"""Ties are what rounding can't tell apart at each pair's own scale: no less, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from alignbench.metrics import knn_accuracy, mutual_knn, rank_table, rbf_cka, retrieval, rsa
from alignbench.metrics.distances import Points, rounding_of, squared_distances
from alignbench.metrics.nearest import neighbor_weights
from alignbench.stats import assign
from alignbench.stats.permutation import p_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def clusters(radius: float = 1e-6, seed: int = 0, n: int = 60, width: int = 8) -> tuple[Matrix, Matrix]:
    """Return two sides of six clusters of ten, whose insides are alike; x's are of this radius."""
    rng = np.random.default_rng(seed)
    inside = rng.normal(size=(n, width))
    centers = rng.normal(size=(6, width))[np.arange(n) % 6]
    return centers + radius * inside, centers + 0.3 * (inside + 0.5 * rng.normal(size=(n, width)))


def outlier(size: float = 1e6, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two related sides, the first with one row far from all others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 6))
    y = x + 0.5 * rng.normal(size=(40, 6))
    x[0] += size
    return x, y


def exact_neighbors(x: Matrix, k: int) -> list[set[int]]:
    """Return the k neighbours by cosine after centring, in 80 bits, where 1e-6 squared has seven digits."""
    wide = x.astype(np.longdouble)
    wide = wide - wide.mean(axis=0)
    unit = wide / np.sqrt((wide**2).sum(axis=1, keepdims=True))
    far = np.asarray([((unit - row) ** 2).sum(axis=1) for row in unit])
    np.fill_diagonal(far, np.inf)
    return [set(row[:k]) for row in np.argsort(far, axis=1)]


def turned(x: Matrix, seed: int = 5) -> Matrix:
    """Return x rotated, scaled and moved: equal rows may differ in their last digits now."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(x.shape[1], x.shape[1])))[0]
    moved: Matrix = x @ rotation * 37.7 + rng.normal(size=x.shape[1]) * 50
    return moved


@pytest.mark.skipif(bool(np.finfo(np.longdouble).eps > 1e-18), reason="no wider floats here")
@pytest.mark.parametrize("radius", [1e-3, 1e-6, 1e-8])
def test_neighbours_inside_tight_clusters_are_told_apart(radius: float) -> None:
    x, y = clusters(radius)
    a, b = exact_neighbors(x, 5), exact_neighbors(y, 5)
    expected = np.mean([len(p & q) / 5 for p, q in zip(a, b, strict=True)])
    assert mutual_knn(x, y, k=5) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.6  # if all inside a cluster were tied, it would be 5/9 of that


@pytest.mark.skipif(bool(np.finfo(np.longdouble).eps > 1e-18), reason="no wider floats here")
def test_a_vote_inside_tight_clusters_is_that_of_the_nearest() -> None:
    x, _ = clusters(n=60)
    labels = (x[:, 0] > np.median(x.reshape(10, 6, -1)[:, :, 0], axis=0)[np.arange(60) % 6]).astype(int)
    fold = assign(np.arange(60).astype(str), 5, 42, "fold")
    correct = 0
    for number in range(5):
        train, test = x[fold != number].astype(np.longdouble), x[fold == number].astype(np.longdouble)
        mean = train.mean(axis=0)
        train, test = (
            side / np.sqrt((side**2).sum(axis=1, keepdims=True)) for side in (train - mean, test - mean)
        )
        for row, label in zip(test, labels[fold == number], strict=True):
            nearest = np.argsort(((train - row) ** 2).sum(axis=1))[:5]
            correct += int((labels[fold != number][nearest].mean() > 0.5) == label)
    assert knn_accuracy(x, labels) == pytest.approx(correct / 60, abs=1e-12)


@pytest.mark.parametrize(
    "sides",
    [clusters(), clusters(1e-8), outlier(), outlier(1e9)],
    ids=["tight", "tighter", "far", "farther"],
)
def test_rsa_is_spearman_at_every_scale(sides: tuple[Matrix, Matrix]) -> None:
    x, y = sides
    assert rsa(x, y) == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic, abs=1e-12)


def test_the_width_of_a_gaussian_kernel_counts_distances_inside_tight_clusters() -> None:
    x, y = clusters(1e-8, n=12)
    x[6:] = x[:6] + 1e-8 * np.random.default_rng(1).normal(size=(6, 8))
    kernels = []
    for side in (x, y):
        squared = squareform(pdist(side, "sqeuclidean"))
        kernel = np.exp(-squared / (2 * np.median(pdist(side, "sqeuclidean"))))
        kernels.append(kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean())
    a, b = kernels
    expected = np.vdot(a, b) / np.sqrt(np.vdot(a, a) * np.vdot(b, b))
    assert rbf_cka(x, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("move", [lambda x: x, turned], ids=["as they are", "turned"])
def test_equal_rows_are_tied(move: Callable[[Matrix], Matrix]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 300))[np.arange(30) % 5]
    weights = neighbor_weights(move(x), 3)
    same = (np.arange(30)[:, None] - np.arange(30)) % 5 == 0
    np.fill_diagonal(same, False)
    np.testing.assert_allclose(weights, same * 3 / 5, atol=1e-12)
    points = Points.of(move(x))
    assert not squared_distances(points)[same].any()


@pytest.mark.parametrize("width", [2, 300])
def test_what_is_tied_by_symmetry_stays_tied_when_it_is_turned(width: int) -> None:
    x = np.zeros((16, width))
    x[:, :2] = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(16, 2)
    y = np.random.default_rng(0).normal(size=(16, 3))
    assert rsa(turned(x), y) == pytest.approx(rsa(x, y), abs=1e-12)
    assert mutual_knn(turned(x), y) == pytest.approx(mutual_knn(x, y), abs=1e-12)
    np.testing.assert_allclose(neighbor_weights(turned(x), 4), neighbor_weights(x, 4), atol=1e-12)


def test_a_direction_near_the_mean_counts_however_far_others_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(21, 3))
    x -= x.mean(axis=0)
    far = np.concatenate([x, [[1e9, 0, 0], [-1e9, 0, 0]]])
    weights = neighbor_weights(far, 3)[:21, :21]
    plain = neighbor_weights(np.concatenate([x, [[10.0, 0, 0], [-10, 0, 0]]]), 3)[:21, :21]
    assert np.mean(np.abs(weights - plain) > 0.01) < 0.01


def test_the_error_of_a_distance_is_of_its_own_size() -> None:
    points = Points.of(outlier()[0])
    squared = squared_distances(points)
    exact = squareform(pdist(points.scale * points.given, "sqeuclidean"))
    error = rounding_of(squared, points)
    assert (np.abs(squared - exact) <= error).all()
    off = ~np.eye(len(squared), dtype=bool)
    assert (error[off] < 1e-6 * squared[off]).all()


def test_a_huge_score_of_one_query_ties_nobody_elses() -> None:
    similarity = np.asarray([[0.3, 0.2, 0.1], [0.1, 0.2, 0.3], [0.2, 1e15, 0.1]])
    assert retrieval(similarity).recall[1] == pytest.approx(1 / 3)
    table = rank_table(similarity, np.arange(3))
    np.testing.assert_array_equal(table.ranks[:2], [[1, 2, 3], [3, 2, 1]])


def test_p_of_a_score_without_bounds_does_not_depend_on_its_unit() -> None:
    drawn = np.random.default_rng(0).normal(size=99)
    for unit in (1.0, 1e-15, 1e15):
        assert p_value(3.0 * unit, drawn * unit, bounds=(-np.inf, np.inf)) == 0.01
    assert p_value(0.0, np.full(99, -1e-17)) == 1.0  # of a score between -1 and 1 that is rounding
