"""EAS of many rows: what is shared, subtracted or in float32 has the values of the slow way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.metrics import METRICS, repaired, weighted
from alignbench.metrics.basis import basis_settings, fitted_halves, halves, shuffled_covariances
from alignbench.metrics.classes import discriminability_raw, knn_above_chance
from alignbench.metrics.classes_left import discriminability_raw_left, knn_above_chance_left
from alignbench.metrics.coral_family import coral_distance_of, ncoral_of
from alignbench.metrics.repaired import Repaired
from alignbench.metrics.single import CHECKED, mostly_in_single
from alignbench.metrics.turns import Turns
from alignbench.stats import evaluate
from alignbench.stats.interval import deletion_blocks
from alignbench.stats.permutation import draw_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

N = 330
NAMES = np.arange(N).astype(str)
LABELS = np.asarray(["chart", "page", "photo"])[np.arange(N) // 5 % 3]
COMPOSITES = ("eas", "eas_adjusted")


def sides(dx: int = 24, dy: int = 40) -> tuple[Matrix, Matrix]:
    """Return two sides that share factors and have classes."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(N, 4))
    factors[:, 0] += 2 * (LABELS == "chart")
    x = factors @ rng.normal(size=(4, dx)) + 2 * rng.normal(size=(N, dx))
    return x, factors @ rng.normal(size=(4, dy)) + 2 * rng.normal(size=(N, dy))


def hostile(kind: str) -> tuple[Matrix, Matrix]:
    """Return two sides of a kind that breaks shortcuts."""
    x, y = sides(*((400, 350) if kind == "wide" else (24, 40)))
    rng = np.random.default_rng(1)
    if kind == "grid":  # ties everywhere, and equal rows
        x, y = np.round(x[:, :3] / 3), np.round(y[:, :4] / 3)
    elif kind == "duplicates":
        x, y = x[np.arange(N) // 2], y[np.arange(N) // 3]
    elif kind == "near copies":  # of several classes, told apart by rounding alone
        x = x[np.arange(N) // 8] * (1 + 4e-16 * rng.integers(-1, 2, size=x.shape))
    elif kind == "constant columns":
        x[:, 5:], y[:, 7:] = 3.0, 0.0
    elif kind == "large means":
        x, y = x + 1e5 * rng.normal(size=24), y + 1e5
    elif kind == "tiny":
        x, y = 1e-140 * x, 1e-120 * y
    elif kind == "huge":
        x, y = 1e140 * x, 1e120 * y
    elif kind == "outlier":
        x[17] *= 1e4
        y[40] *= 1e4
    elif kind == "low rank":
        x, y = x[:, :2] @ rng.normal(size=(2, 24)), y[:, :3] @ rng.normal(size=(3, 40))
    return x, y


KINDS = (
    "usual",
    "wide",
    "grid",
    "duplicates",
    "near copies",
    "constant columns",
    "large means",
    "tiny",
    "huge",
    "outlier",
    "low rank",
)


def settings(x: Matrix, y: Matrix, groups: NDArray[np.str_] = NAMES) -> dict[str, Any]:
    return {"groups": groups, "seed": 42, **basis_settings(N, (x.shape[1], y.shape[1]))}


def within_halves(count: int) -> Indices:
    half = halves(N, groups=NAMES, seed=42)
    assert half is not None
    return draw_within(half, count, np.random.default_rng(2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMPOSITES)
def test_draws_of_many_rows_are_the_metric_on_permuted_rows(name: str, kind: str) -> None:
    if kind == "huge" and name == "eas":  # its spread of the columns is beyond float64
        return
    metric, (x, y) = METRICS.get(name), hostile(kind)
    given = {"labels": LABELS, **settings(x, y)}
    orders = np.vstack([within_halves(CHECKED + 2), np.arange(N)])
    assert metric.null is not None
    assert metric.null.draw is not None
    found = metric.null.draw(x, y, orders, **given)
    expected = np.asarray([metric(x, y[p], **given) for p in orders])
    assert found == pytest.approx(expected, rel=1e-6)
    exact = [*range(CHECKED), -1]  # the first draws, and what is near the value
    assert found[exact] == pytest.approx(expected[exact], abs=1e-10)
    if kind == "usual":
        assert (found[CHECKED:-1] != expected[CHECKED:-1]).all()
        assert np.abs(found - expected).max() > 1e-12


@pytest.mark.parametrize("name", COMPOSITES)
def test_equal_rows_make_draws_that_are_equal_to_the_value(name: str) -> None:
    metric, (x, y) = METRICS.get(name), sides()
    half = halves(N, groups=NAMES, seed=42)
    assert half is not None
    first, second = np.flatnonzero(half)[:2]
    y[second] = y[first]
    exchanged = np.arange(N)
    exchanged[[first, second]] = second, first
    orders = np.vstack([within_halves(3), exchanged])
    given = {"labels": LABELS, **settings(x, y)}
    assert metric.null is not None
    assert metric.null.draw is not None
    assert metric.null.draw(x, y, orders, **given)[3] == pytest.approx(metric(x, y, **given), abs=1e-12)


@pytest.mark.parametrize("groups", [NAMES, (np.arange(N) // 3).astype(str)], ids=["rows", "groups"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_without_a_block_are_those_of_the_other_rows(
    name: str, kind: str, groups: NDArray[np.str_], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, (x, y) = METRICS.get(name), hostile(kind)
    blocks = deletion_blocks(groups, "blocks", 42)
    given = settings(x, y, groups)
    given["k"] = min(given["k"], 8)
    assert metric.deletions is not None
    for limit in (5700, 5):
        monkeypatch.setattr(weighted, "KERNELS_UP_TO", limit)
        found = metric.deletions(x, y, blocks, labels=LABELS, **given)
        assert found is not None
        for number in (0, 4, 9):
            rest = np.delete(np.arange(N), blocks[number])
            alone = {**given, "groups": groups[rest]}
            expected = metric(x[rest], y[rest], labels=LABELS[rest], **alone)
            assert found[number] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", COMPOSITES)
def test_without_the_block_of_an_outlier_no_digit_of_the_other_rows_is_lost(name: str) -> None:
    metric, (x, y) = METRICS.get(name), sides()
    x[17] *= 1e7
    blocks, given = deletion_blocks(NAMES, "blocks", 42), settings(x, y)
    number = next(number for number, block in enumerate(blocks) if 17 in block)
    rest = np.delete(np.arange(N), blocks[number])
    assert metric.deletions is not None
    found = metric.deletions(x, y, blocks, labels=LABELS, **given)
    assert found is not None
    expected = metric(x[rest], y[rest], labels=LABELS[rest], **{**given, "groups": NAMES[rest]})
    assert found[number] == pytest.approx(expected, abs=1e-11)


def test_eas_without_labels_and_without_a_block_has_the_spread_of_the_other_rows() -> None:
    metric, (x, y) = METRICS.get("eas"), sides()
    blocks, x = deletion_blocks(NAMES, "blocks", 42), x / 8
    found = evaluate(metric, x, y, groups=NAMES, null=False)
    rest = np.delete(np.arange(N), blocks[3])
    given = {**settings(x, y), "groups": NAMES[rest]}
    assert found.deletions[3] == pytest.approx(metric(x[rest], y[rest], **given), abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [NAMES, (np.arange(N) // 3).astype(str)], ids=["rows", "groups"])
def test_classes_without_a_block_are_those_of_the_other_rows(kind: str, groups: NDArray[np.str_]) -> None:
    x, _ = hostile(kind)
    blocks = [*deletion_blocks(groups, "blocks", 42)[:4], np.asarray([17]), np.empty(0, dtype=np.intp)]
    votes = knn_above_chance_left(x, blocks, labels=LABELS, groups=groups, seed=3)
    shares = discriminability_raw_left(x, blocks, LABELS)
    for block, vote, share in zip(blocks, votes, shares, strict=True):
        rest = np.delete(np.arange(N), block)
        expected = knn_above_chance(x[rest], LABELS[rest], groups=groups[rest], seed=3)
        assert vote == pytest.approx(expected, abs=1e-12)
        assert share == pytest.approx(discriminability_raw(x[rest], LABELS[rest]), abs=1e-12)


def test_a_row_at_the_mean_or_far_from_it_has_no_neighbours_by_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(x: Matrix, *args: Any, **keywords: Any) -> float:
        asked.append(len(x))
        return 0.5

    monkeypatch.setattr("alignbench.metrics.classes_left.knn_accuracy", counted)
    for kind, slow in (("usual", False), ("outlier", True)):
        asked.clear()
        x, _ = hostile(kind)
        blocks = [np.asarray([0]), np.asarray([17])]  # the second is the outlier, which moves the mean
        list(knn_above_chance_left(x, blocks, labels=LABELS, groups=NAMES, seed=3))
        assert bool(asked) is slow


@pytest.mark.parametrize("limit", [5700, 5], ids=["kernels", "features"])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_cka_in_float32_is_within_its_bound(
    kind: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repaired, "KERNELS_UP_TO", limit)
    x, y = hostile(kind)
    orders, metric = within_halves(5), METRICS.get("linear_cka")
    expected = np.asarray([metric(x, y[p]) for p in orders])
    assert Repaired.of(x, y).linear_cka(orders) == pytest.approx(expected, abs=1e-12)
    # One rounding of each entry of two kernels, and as much again for their sums.
    assert Repaired.in_single(x, y).linear_cka(orders) == pytest.approx(expected, abs=2**-21)


@pytest.mark.parametrize(("dx", "dy"), [(24, 40), (400, 350), (1, 3)])
def test_turned_covariances_differ_by_their_eigenvalues_and_one_product(dx: int, dy: int) -> None:
    x, y = sides(dx, dy)
    y *= 1e3
    given = {name: value for name, value in settings(x, y).items() if name != "align"}
    orders = within_halves(6)
    fitted = fitted_halves(x, y, **given)
    turns = Turns.of(fitted)
    products = turns.products(fitted.pairings(orders))
    pairs = list(shuffled_covariances(x, y, orders, **given))
    expected = [coral_distance_of(c, d) for c, d in pairs]
    assert turns.coral_distances(products) == pytest.approx(expected, rel=1e-5)
    assert turns.ncorals(products) == pytest.approx([ncoral_of(c, d) for c, d in pairs], abs=1e-5)


def test_float32_is_dropped_where_one_of_the_first_draws_or_a_near_one_is_off() -> None:
    true, calls = np.linspace(0.2, 0.8, 7), []

    def exact(some: Indices) -> Matrix:
        calls.append(len(some))
        return true[some[:, 0]]

    def single(off: dict[int, float]) -> Any:
        return lambda some: true[some[:, 0]] + [off.get(number, 1e-8) for number in some[:, 0].tolist()]

    orders = np.arange(7)[:, None]
    found = mostly_in_single([single({})], exact, orders, 0.5)  # draw number 3 is the value
    assert (found == true).tolist() == [True, True, True, True, False, False, False]
    assert calls == [3, 1]
    for off in ({0: 1e-5}, {0: np.nan}, {2: 1e-5}, {3: 1e-5}):
        assert (mostly_in_single([single(off)], exact, orders, 0.5) == true).all()
    calls.clear()
    assert (mostly_in_single([single({3: 1e-3})], exact, orders, 0.5)[3] - 0.5) == pytest.approx(1e-3)


def test_value_null_and_parts_of_a_composite_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.metrics import composite

    asked: list[int] = []

    def counted(*args: Any, **keywords: Any) -> float:
        asked.append(1)
        return 0.4

    monkeypatch.setattr(composite, "linear_cka", counted)
    x, y = sides()
    found = evaluate(METRICS.get("eas"), x, y, labels=LABELS, n_permutations=3)
    assert len(asked) == 1
    assert found.parts["linear_cka"] == 0.4
