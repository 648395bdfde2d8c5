"""Fast draws and fast deletions give what the metric itself gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.metrics import METRICS, Metric, cka_debiased, deletions, repaired
from alignbench.metrics.nulls import matched_products
from alignbench.metrics.single import CHECKED
from alignbench.stats import deletion_blocks, draw_permutations, draw_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N = 30
DRAWN = [name for name in METRICS.names() if getattr(METRICS.get(name).null, "draw", None)]
# Those of ridge and Procrustes, for more rows than here, are in test_metrics_many.py.
DELETED = [name for name in METRICS.names(family="cka") if METRICS.get(name).deletions]


def data(n: int = N, dx: int = 6, dy: int = 9) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(n)
    y = rng.normal(size=(n, dy))
    return y[:, :dx] + 0.8 * rng.normal(size=(n, dx)), y


def keywords(metric: Metric, n: int, dims: tuple[int, int]) -> dict[str, Any]:
    columns = {"labels": np.arange(n) % 3, "groups": np.arange(n).astype(str), "seed": 7}
    needed = {name: columns[name] for name in metric.keywords}
    return needed | dict(metric.settings(n, dims) if metric.settings else {})


@pytest.mark.parametrize("shape", [(6, 9), (40, 50)], ids=["narrow", "wide"])
@pytest.mark.parametrize(
    "name", [name for name in DRAWN if name not in ("ridge_r2_reverse", "calibrated_procrustes")]
)
def test_fast_draws_are_the_metric_on_permuted_rows(name: str, shape: tuple[int, int]) -> None:
    metric = METRICS.get(name)
    rng = np.random.default_rng(3)
    y = rng.normal(size=(N, shape[1]))
    x = np.resize(y.T, (shape[0], N)).T + rng.normal(size=(N, shape[0]))
    orders = draw_permutations(N, 6, rng)
    given = keywords(metric, N, shape)
    assert metric.null is not None
    assert metric.null.draw is not None
    expected = [metric(x, y[p], **given) for p in orders]
    assert metric.null.draw(x, y, orders, **given) == pytest.approx(expected, abs=1e-9)


def test_fast_draws_of_eas_without_labels_are_the_metric_too() -> None:
    x, y = data()
    metric, orders = METRICS.get("eas"), draw_permutations(N, 6, np.random.default_rng(3))
    given = {k: v for k, v in keywords(metric, N, (6, 9)).items() if k != "labels"}
    assert metric.null is not None
    assert metric.null.draw is not None
    expected = [metric(x, y[p], **given) for p in orders]
    assert metric.null.draw(x, y, orders, **given) == pytest.approx(expected, abs=1e-9)


def test_draws_of_the_reverse_regression_keep_the_folds_with_the_predictor() -> None:
    metric = METRICS.get("ridge_r2_reverse")
    x, y = data()
    orders = draw_permutations(N, 4, np.random.default_rng(0))
    given = keywords(metric, N, (6, 9))
    assert metric.null is not None
    assert metric.null.draw is not None
    expected = [metric(x[np.argsort(p)], y, **given) for p in orders]
    assert metric.null.draw(x, y, orders, **given) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("decay", [0, 1, 4])
@pytest.mark.parametrize("shape", [(9, 40), (350, 400)], ids=["narrow", "wide"])
def test_draws_of_procrustes_of_many_rows_keep_their_digits(shape: tuple[int, int], decay: float) -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(330, shape[1])) * np.arange(1.0, shape[1] + 1) ** -decay
    x = y[:, : shape[0]] + 0.3 * rng.normal(size=(330, shape[0])) * np.arange(1.0, shape[0] + 1) ** -decay
    x[:40], y[::5] = x[40:80], y[0]  # neither side has full rank
    metric, orders = METRICS.get("procrustes_similarity"), draw_permutations(330, CHECKED + 2, rng)
    assert metric.null is not None
    assert metric.null.draw is not None
    expected = [metric(x, y[p]) for p in orders]
    assert metric.null.draw(x, y, orders) == pytest.approx(expected, abs=1e-12)


def test_draws_of_procrustes_in_single_precision_find_what_equals_the_value() -> None:
    x, y = (np.random.default_rng(seed).normal(size=(330, 600)) for seed in range(2))
    x[:40] = x[40:80]
    rows = np.arange(330)
    alike = np.concatenate([rows[40:80], rows[:40], rows[80:]])
    metric = METRICS.get("procrustes_similarity")
    orders = np.vstack([draw_permutations(330, CHECKED + 2, np.random.default_rng(2)), alike, rows])
    assert metric.null is not None
    assert metric.null.draw is not None
    drawn, expected = metric.null.draw(x, y, orders), np.asarray([metric(x, y[p]) for p in orders])
    assert drawn[-2:] == pytest.approx([metric(x, y)] * 2, abs=1e-12)
    assert drawn == pytest.approx(expected, rel=2e-6)
    assert np.abs(drawn / expected - 1)[CHECKED:-2].max() > 1e-10  # these are in float32


@pytest.mark.parametrize("widths", [(600, 400), (330, 600), (300, 300), (400, 120)], ids=str)
def test_draws_of_procrustes_in_single_precision_are_those_of_each_pairing(widths: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    x, y = (1e3 + scale * rng.normal(size=(330, d)) for scale, d in zip((1e-3, 1e5), widths, strict=True))
    x[:, 0], y[:, :100] = 5.0, y[:, :100] + 1e8 * x[:, 100:200]
    orders = np.vstack(
        [draw_permutations(330, CHECKED, rng), draw_within(np.arange(330) // 8, 2, rng), np.arange(330)]
    )
    metric = METRICS.get("procrustes_similarity")
    assert metric.null is not None
    assert metric.null.draw is not None
    expected = np.asarray([metric(x, y[p]) for p in orders])
    drawn = metric.null.draw(x, y, orders)
    assert drawn == pytest.approx(expected, rel=2e-6)
    exact = [*range(CHECKED), -1]  # the first draws, and what equals the value
    assert drawn[exact] == pytest.approx(expected[exact], rel=1e-11)
    assert np.abs(drawn / expected - 1)[CHECKED:-1].max() > 1e-10  # the others are in float32


@pytest.mark.parametrize("name", ["linear_cka", "debiased_cka", "calibrated_cka"])
def test_draws_in_features_are_those_of_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = METRICS.get(name)
    x, y = data(310)
    orders = draw_permutations(310, 5, np.random.default_rng(0))
    assert metric.null is not None
    assert metric.null.draw is not None
    by_kernels = metric.null.draw(x, y, orders)
    monkeypatch.setattr(repaired, "KERNELS_UP_TO", 5)
    monkeypatch.setattr(cka_debiased, "GRAM_LIMIT", 5)
    assert metric.null.draw(x, y, orders) == pytest.approx(by_kernels, abs=1e-12)


@pytest.mark.parametrize(
    ("limit", "downdated"), [(5, 300), (2000, 300), (2000, 5)], ids=["moments", "kernels", "downdated"]
)
@pytest.mark.parametrize("name", DELETED)
def test_fast_deletions_are_the_metric_without_the_rows(
    name: str, limit: int, downdated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "KERNELS_UP_TO", limit)
    monkeypatch.setattr(deletions, "DOWNDATED_FROM", downdated)
    metric = METRICS.get(name)
    x, y = data(47)
    blocks = deletion_blocks(np.arange(47).astype(str), "blocks", 0)
    assert metric.deletions is not None
    expected = [metric(np.delete(x, block, axis=0), np.delete(y, block, axis=0)) for block in blocks]
    assert metric.deletions(x, y, blocks, **keywords(metric, 47, (6, 9))) == pytest.approx(
        expected, abs=1e-11
    )


@pytest.mark.parametrize("name", ["linear_cka", "debiased_cka", "calibrated_cka"])
def test_a_row_that_outweighs_all_others_leaves_their_digits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "DOWNDATED_FROM", 5)
    metric = METRICS.get(name)
    x, y = data(40)
    x[3] *= 1e5
    y[7] *= 1e5
    blocks = [np.asarray([3, 7]), np.asarray([3]), np.asarray([5, 6])]
    assert metric.deletions is not None
    expected = [metric(np.delete(x, block, axis=0), np.delete(y, block, axis=0)) for block in blocks]
    assert metric.deletions(x, y, blocks) == pytest.approx(expected, abs=1e-9)


def test_permutations_inside_classes_stay_inside() -> None:
    codes = np.asarray([0, 1, 0, 1, 1, 0, 2])
    orders = draw_within(codes, 50, np.random.default_rng(0))
    assert (codes[orders] == codes).all()
    assert (np.sort(orders, axis=1) == np.arange(7)).all()
    assert len(np.unique(orders, axis=0)) > 20


def graph(n: int, neighbours: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    matrix = np.zeros((n, n))
    for row in matrix:
        row[rng.choice(n, neighbours, replace=False)] = 1.0
    return matrix


@pytest.mark.parametrize("swapped", [False, True], ids=["graph first", "graph second"])
def test_products_with_a_graph_read_only_its_entries_and_are_the_same(swapped: bool) -> None:
    n = 60
    rng = np.random.default_rng(1)
    sides = [graph(n, 3, 0) * rng.normal(size=(n, n)), rng.normal(size=(n, n))]
    a, b = sides[::-1] if swapped else sides
    permutations = draw_permutations(n, 20, np.random.default_rng(2))
    naive = [sum(a[i, j] * b[p[i], p[j]] for i in range(n) for j in range(n)) for p in permutations]
    assert matched_products(a, b, permutations) == pytest.approx(naive, rel=1e-12)


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "any"])
@pytest.mark.parametrize("n", [301, 384, 400])
def test_products_of_large_matrices_are_the_same_by_blocks(n: int, symmetric: bool) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(n, n)) for _ in range(2))
    if symmetric:
        a, b = a + a.T, b + b.T
    permutations = draw_permutations(n, 3, rng)
    naive = [float((a * b[p][:, p]).sum()) for p in permutations]
    assert matched_products(a, b, permutations) == pytest.approx(naive, rel=1e-12, abs=1e-9)


def test_products_of_two_graphs_count_common_edges_exactly() -> None:
    a, b = graph(80, 4, 0), graph(80, 4, 1)
    permutations = draw_permutations(80, 50, np.random.default_rng(2))
    common = [float(np.sum((a != 0) & (b[p][:, p] != 0))) for p in permutations]
    assert matched_products(a, b, permutations).tolist() == common
