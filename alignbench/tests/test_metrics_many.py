"""Many rows: what is subtracted or kept instead of computed anew has the values of the slow way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import DegenerateError
from alignbench.metrics import METRICS, Metric
from alignbench.metrics.base import NullModel
from alignbench.metrics.basis import halves, shuffled_bases, shuffled_covariances
from alignbench.metrics.leaving_out import RidgeFit, predictions_without
from alignbench.metrics.ridge_paths import PENALTIES, Path
from alignbench.stats import evaluate
from alignbench.stats.interval import deletion_blocks
from alignbench.stats.permutation import draw_within
from alignbench.stats.splits import assign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Masks = list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def sides(n: int, dx: int, dy: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two sides that share factors, off the origin, one of them far larger than the other."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 3))
    x = factors @ rng.normal(size=(3, dx)) + rng.normal(size=(n, dx)) + 4
    return x, 1e3 * (factors @ rng.normal(size=(3, dy)) + rng.normal(size=(n, dy)) - 2)


def regression(x: Matrix, y: Matrix, test: Matrix, penalty: float) -> Matrix:
    """Return the predictions of a ridge regression as least squares with p further rows."""
    p = x.shape[1]
    rows = np.vstack([np.column_stack([np.ones(len(x)), x]), np.sqrt(penalty) * np.eye(p + 1)[1:]])
    weights = np.linalg.lstsq(rows, np.vstack([y, np.zeros((p, y.shape[1]))]), rcond=None)[0]
    result: Matrix = np.column_stack([np.ones(len(test)), test]) @ weights
    return result


@pytest.mark.parametrize(("n", "p"), [(60, 9), (40, 70), (30, 30), (45, 40)])
@pytest.mark.parametrize("penalty", [1e-4, 1.0, 1e4])
def test_predictions_without_a_block_are_those_of_the_other_rows(n: int, p: int, penalty: float) -> None:
    x, y = sides(n + 7, p, 5)
    middle = x[:n].mean(axis=0)
    train, test = x[:n] - middle, x[n:] - middle
    order = np.random.default_rng(1).permutation(n)
    blocks = [order[:1], order[1:6], order[6 : n - 10]]  # the last one is larger than 9 columns
    mean = y[:n].mean(axis=0)
    fit = RidgeFit.of(train, y[:n] - mean, test, penalty)
    near = {"rtol": 1e-8, "atol": 1e-8 * np.abs(y).max()}
    np.testing.assert_allclose(mean + fit.predicted, regression(train, y[:n], test, penalty), **near)
    without = predictions_without(fit, train, y[:n] - mean, test, blocks)
    for block, found in zip(blocks, without, strict=True):
        rest = np.delete(np.arange(n), block)
        np.testing.assert_allclose(mean + found, regression(train[rest], y[rest], test, penalty), **near)


def folds(names: NDArray[np.str_], parts: int, purpose: str) -> Masks:
    """Return the (train, test) masks of each fold."""
    fold = assign(names, parts, 42, purpose)
    return [(fold != number, fold == number) for number in range(parts)]


def solved(x: Matrix, y: Matrix, train: NDArray[np.bool_], test: NDArray[np.bool_], penalty: float) -> Matrix:
    """Return the predictions of a ridge regression by its normal equations."""
    a = x[train] - x[train].mean(axis=0)
    mean = y[train].mean(axis=0)
    weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ (y[train] - mean))
    result: Matrix = (x[test] - x[train].mean(axis=0)) @ weights + mean
    return result


def chosen(x: Matrix, y: Matrix, masks: Masks) -> float:
    """Return the penalty with the least error in these folds, as a multiple of the variance."""

    def error(multiple: float) -> float:
        squares = 0.0
        for train, test in masks:
            guess = solved(x, y, train, test, multiple * x[train].var(axis=0, ddof=1).sum())
            squares += float(np.square(y[test] - guess).sum())
        return squares

    return float(min(10.0 ** np.arange(-4, 5), key=error))


def without_blocks(x: Matrix, y: Matrix, blocks: list[Indices]) -> list[float]:
    """Return the ridge scores without each block: the folds and penalties of all rows, fitted to the rest."""
    names = np.arange(len(x)).astype(str)
    stays = [~np.isin(np.arange(len(x)), block) for block in blocks]
    error, total = np.zeros(len(blocks)), np.zeros(len(blocks))
    for number, (train, test) in enumerate(folds(names, 5, "outer fold")):
        multiple = chosen(x[train], y[train], folds(names[train], 3, f"inner fold {number}"))
        penalty = multiple * x[train].var(axis=0, ddof=1).sum()
        for place, stay in enumerate(stays):
            guess = solved(x, y, train & stay, test & stay, penalty)
            error[place] += np.square(y[test & stay] - guess).sum()
            total[place] += np.square(y[test & stay] - y[train & stay].mean(axis=0)).sum()
    return list(1 - error / total)


@pytest.mark.slow
@pytest.mark.parametrize(("dx", "dy"), [(6, 4), (90, 3), (270, 5)])
def test_the_interval_of_ridge_keeps_folds_and_penalties(dx: int, dy: int) -> None:
    x, y = sides(310, dx, dy)
    for name, (of, to) in {"ridge_r2": (x, y), "ridge_r2_reverse": (y, x)}.items():
        found = evaluate(METRICS.get(name), x, y, null=False).deletions
        blocks = deletion_blocks(np.arange(310).astype(str), "blocks", 42)
        assert found == pytest.approx(without_blocks(of, to, blocks), abs=1e-8)


@pytest.mark.slow
def test_the_interval_of_ridge_chooses_penalties_anew_where_little_is_explained() -> None:
    metric, names = METRICS.get("ridge_r2"), np.arange(310).astype(str)
    x, y = (np.random.default_rng(seed).normal(size=(310, 4)) for seed in range(2))
    rests = [np.delete(np.arange(310), block) for block in deletion_blocks(names, "blocks", 42)]
    expected = [metric(x[rest], y[rest], groups=names[rest]) for rest in rests]
    assert evaluate(metric, x, y, null=False).deletions == tuple(expected)


@pytest.mark.slow
@pytest.mark.parametrize(("dx", "dy"), [(90, 3), (7, 400)])
def test_ridge_of_many_re_paired_rows_is_that_of_each_pairing(dx: int, dy: int) -> None:
    x, y = sides(310, dx, dy)
    rng = np.random.default_rng(3)
    permutations = np.asarray(
        [np.arange(310), rng.permutation(310), draw_within(np.arange(310) // 8, 1, rng)[0]]
    )
    for name in ("ridge_r2", "ridge_r2_reverse"):
        metric = METRICS.get(name)
        assert metric.null is not None
        assert metric.null.draw is not None
        # Folds stay with the predictor's rows.
        pairs = [(x, y[p]) if name == "ridge_r2" else (x[np.argsort(p)], y) for p in permutations]
        expected = [metric(*pair) for pair in pairs]
        assert metric.null.draw(x, y, permutations) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("spread", [1.0, 1e-9, 0.0])
def test_a_path_of_products_is_that_of_the_rows_or_none(spread: float) -> None:
    x, y = sides(70, 60, 4)
    x = 1 + 9 * spread * x / np.abs(x).max()
    train, test = np.arange(40), np.arange(40, 70)
    kernel = x @ x.T
    found, path = Path.of_kernel(kernel[:40, :40], kernel[40:, :40]), Path.fit(x[train], x[test])
    if spread < 1:
        assert found is None  # the products have no digits of what is left
        return
    assert found is not None
    for penalty in PENALTIES:
        np.testing.assert_allclose(found.smoother(penalty), path.smoother(penalty), atol=1e-9)
    together = found.errors(y[train], y[test], many=True)
    np.testing.assert_allclose(together, path.errors(y[train], y[test]), rtol=1e-9)


@pytest.mark.parametrize(("dx", "dy"), [(5, 8), (350, 9), pytest.param(315, 500, marks=pytest.mark.slow)])
def test_procrustes_without_a_block_is_that_of_the_other_rows(dx: int, dy: int) -> None:
    metric, (x, y) = METRICS.get("procrustes_similarity"), sides(310, dx, dy)
    blocks = deletion_blocks(np.arange(310).astype(str), "blocks", 42)
    found = evaluate(metric, x, y, null=False).deletions
    for number in (0, 9):
        rest = np.delete(np.arange(310), blocks[number])
        assert found[number] == pytest.approx(metric(x[rest], y[rest]), abs=1e-9)
    assert evaluate(metric, x, -2 * x + 1, null=False).deletions == pytest.approx([1.0] * 10, abs=1e-9)


def test_a_block_with_nearly_all_variance_is_not_subtracted() -> None:
    metric, (x, y) = METRICS.get("procrustes_similarity"), sides(310, 5, 4)
    blocks = deletion_blocks(np.arange(310).astype(str), "blocks", 42)
    x[blocks[3][0]] += 1e9
    rest = np.delete(np.arange(310), blocks[3])
    found = evaluate(metric, x, y, null=False).deletions
    assert found[3] == pytest.approx(metric(x[rest], y[rest]), abs=1e-12)


@pytest.mark.parametrize("name", ["ridge_r2", "ridge_r2_reverse", "procrustes_similarity"])
def test_with_few_rows_every_block_is_left_out_and_all_the_rest_done_again(name: str) -> None:
    metric, (x, y) = METRICS.get(name), sides(60, 7, 5)
    names = np.arange(60).astype(str)
    blocks = deletion_blocks(names, "blocks", 42)
    rest = [np.delete(np.arange(60), block) for block in blocks]
    given = [{"groups": names[rows], "seed": 42} if metric.needs else {} for rows in rest]
    expected = [metric(x[rows], y[rows], **how) for rows, how in zip(rest, given, strict=True)]
    assert evaluate(metric, x, y, null=False).deletions == tuple(expected)


@pytest.mark.parametrize(("dx", "dy", "k"), [(12, 20, 8), (9, 400, 9), (3, 4, 1)])
def test_within_halves_only_the_map_between_the_sides_changes(dx: int, dy: int, k: int) -> None:
    x, y = sides(80, dx, dy)
    half = halves(80, seed=3)
    assert half is not None
    permutations = draw_within(half, 5, np.random.default_rng(0))
    found = shuffled_covariances(x, y, permutations, k=k, seed=3)
    for covariances, based in zip(found, shuffled_bases(x, y, permutations, k=k, seed=3), strict=True):
        expected = [np.cov(side, rowvar=False).reshape(k, k) for side in based]
        # Both may have other signs of the same directions.
        for one, other in zip(
            (*covariances, np.subtract(*covariances)), (*expected, np.subtract(*expected)), strict=True
        ):
            np.testing.assert_allclose(abs(one), abs(other), rtol=1e-8, atol=1e-9 * np.abs(other).max())


BASED = [name for name in METRICS if METRICS.get(name).family in ("coral", "coral_lw")]


@pytest.mark.parametrize("name", BASED)
@pytest.mark.parametrize(("dx", "dy", "k"), [(12, 20, 8), (9, 400, 9), (3, 4, 1)])
def test_scores_of_re_paired_covariances_are_those_of_re_paired_rows(
    name: str, dx: int, dy: int, k: int
) -> None:
    metric, (x, y) = METRICS.get(name), sides(310, dx, dy)
    half = halves(310, seed=3)
    assert half is not None
    assert metric.null is not None
    assert metric.null.draw is not None
    permutations = draw_within(half, 5, np.random.default_rng(0))
    found = metric.null.draw(x, y, permutations, align="procrustes", k=k, seed=3)
    expected = [metric.fn(*based) for based in shuffled_bases(x, y, permutations, k=k, seed=3)]
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-12)
    anywhere = np.asarray([np.random.default_rng(seed).permutation(310) for seed in range(3)])
    found = metric.null.draw(x, y, anywhere, align="procrustes", k=k, seed=3)
    expected = [metric.fn(*based) for based in shuffled_bases(x, y, anywhere, k=k, seed=3)]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", BASED)
def test_scores_in_a_basis_without_a_block_are_those_of_the_other_rows(name: str) -> None:
    metric, (x, y) = METRICS.get(name), sides(310, 12, 20)
    names = np.arange(310).astype(str)
    found = evaluate(metric, x, y, params={"k": 8}, null=False).deletions
    blocks = deletion_blocks(names, "blocks", 42)
    for number in (0, 9):
        rest = np.delete(np.arange(310), blocks[number])
        expected = metric(x[rest], y[rest], groups=names[rest], seed=42, align="procrustes", k=8)
        assert found[number] == pytest.approx(expected, rel=1e-7)


def test_strata_hold_with_many_rows_only() -> None:
    seen: list[Indices] = []

    def draw(x: Matrix, y: Matrix, permutations: Indices, **_: Any) -> Matrix:
        seen.append(permutations)
        return np.zeros(len(permutations))

    model = NullModel(draw=draw, draws=30, strata=lambda n, **_: np.arange(n) % 2)
    metric = Metric("recorded", lambda x, y: 1.0, pairing=True, bounds=(0, 1), interval=None, null=model)
    for n, kept in ((300, False), (301, True)):
        seen.clear()
        x, y = sides(n, 2, 2)
        labels = np.arange(n) // 3 % 3
        null = evaluate(metric, x, y, labels=labels).null
        assert null is not None
        assert ("within strata" in null.kind) is kept
        whole = len(seen) // 2
        anywhere, inside = np.concatenate(seen[:whole]), np.concatenate(seen[whole:])
        assert (labels[inside] == labels).all()
        assert not (labels[anywhere] == labels).all()
        for permutations in (anywhere, inside):
            assert (permutations % 2 == np.arange(n) % 2).all() == kept
            assert len(np.unique(permutations, axis=0)) == 30


@pytest.mark.slow
def test_the_composites_of_many_pairs_are_drawn_within_the_halves() -> None:
    x, y = sides(310, 6, 6)
    labels = np.arange(310) % 4
    for name in ("eas", "eas_adjusted"):
        null = evaluate(METRICS.get(name), x, y, labels=labels, interval=False).null
        assert null is not None
        assert null.kind.startswith("permutation of groups within strata")
        assert null.p == 1 / 200 == null.within_p


@pytest.mark.parametrize("name", BASED)
@pytest.mark.parametrize(("scale_x", "scale_y"), [(1e-150, 1.0), (1e120, 1e-120)])
def test_scores_on_shuffled_pairs_do_not_depend_on_the_units_of_a_side(
    name: str, scale_x: float, scale_y: float
) -> None:
    metric, (x, y) = METRICS.get(name), sides(310, 12, 20)
    null, scaled = (
        evaluate(metric, *pair, params={"k": 8}).null for pair in ((x, y), (x * scale_x, y * scale_y))
    )
    assert null is not None
    assert scaled is not None
    assert (scaled.mean, scaled.std) == pytest.approx((null.mean, null.std), rel=1e-7)


def test_a_score_beyond_float64_leaves_the_others_of_its_family() -> None:
    x, y = sides(310, 12, 20)
    half = halves(310)
    assert half is not None
    x[half == 0] *= 1e100
    found = {}
    for name in BASED:
        if name.startswith("coral"):
            with pytest.raises(DegenerateError, match="coral_distance: the value is"):
                evaluate(METRICS.get(name), x, y, params={"k": 8})
        else:
            found[name] = evaluate(METRICS.get(name), x, y, params={"k": 8})
    assert len(found) == 4
    for result in found.values():
        assert result.null is not None
        assert result.interval is not None
        assert len(result.deletions) == 10
