"""The choice of ridge's penalties in float32: it is that of float64, and says so only where it is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.metrics import METRICS, regression, ridge_choice
from alignbench.metrics.kernels import centered_sides
from alignbench.metrics.ridge_folds import folds_of
from alignbench.metrics.ridge_paths import inner_paths
from alignbench.metrics.ridge_products import Products, others
from alignbench.metrics.ridge_single import Narrow, Wide
from alignbench.stats import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N = 510
WIDTHS = [(24, 9), (200, 60), (300, 350)]
KINDS = ["plain", "unrelated", "alike", "repeated", "far", "clusters", "decaying", "outlier", "tiny"]


def sides(kind: str, dx: int, dy: int) -> tuple[Matrix, Matrix]:
    """Return two sides that share factors, unless they are unrelated."""
    rng = np.random.default_rng([dx, dy])
    factors = rng.normal(size=(N, 6))
    x, y = (factors @ rng.normal(size=(6, d)) + 2 * rng.normal(size=(N, d)) for d in (dx, dy))
    if kind == "unrelated":
        y = rng.normal(size=(N, dy))
    elif kind == "alike":
        y = x @ rng.normal(size=(dx, dy))
    elif kind == "repeated":
        x[::3], x[:, ::4], y[1::3] = x[0], 1.0, y[4]
    elif kind == "far":
        x, y = x + 1e6, y - 1e5
    elif kind == "clusters":
        x[: N // 2] += 300 * rng.normal(size=dx)
    elif kind == "decaying":
        x *= np.arange(1.0, dx + 1) ** -3
    elif kind == "outlier":
        x[7], y[9] = 1e7, -1e7
    elif kind == "tiny":
        x, y = 1e-160 * x, 1e150 * y
    a, b = centered_sides(x, y, 15)
    return a, b


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_errors_in_float32_are_off_by_less_than_they_say(kind: str, widths: tuple[int, int]) -> None:
    x, y = sides(kind, *widths)
    names = (np.arange(N) // 2).astype(str)
    for fold in folds_of(x, names, 42):
        targets = y[fold.train] - y[fold.train].mean(axis=0)
        wide = fold.inner[0][0].sum() <= widths[0]
        assert wide == (widths[0] == 300)
        predictors = (Wide if wide else Narrow).of(x, fold)
        if predictors is None:
            assert kind == "outlier"
            continue
        paths = inner_paths(x, names, 42, fold)
        for sums, path, (fit, check) in zip(predictors.sums(targets, fold), paths, fold.inner, strict=True):
            errors, doubts = sums.errors()
            expected = path.errors(targets[fit], targets[check], many=True)
            assert (abs(errors - expected) <= doubts + 1e-12 * expected).all()
            if kind == "plain":
                np.testing.assert_allclose(errors, expected, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_penalties_are_those_that_float64_chooses(
    kind: str, widths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = sides(kind, *widths)
    names = (np.arange(N) // 2).astype(str)
    found = ridge_choice.chosen(x, y, names, 42)
    monkeypatch.setattr(ridge_choice, "SINGLE_FROM", N)
    assert found == ridge_choice.chosen(x, y, names, 42)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_ordinary_sides_are_not_computed_in_float64(
    widths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ridge_choice, "inner_paths")
    assert len(ridge_choice.chosen(*sides("plain", *widths), np.arange(N).astype(str), 42)) == 5


def test_equal_errors_are_computed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ridge_choice, "inner_paths")
    x, _ = sides("plain", 24, 9)
    with pytest.raises(NameError, match="inner_paths"):
        ridge_choice.chosen(x, np.eye(N)[:, :1] * 0, np.arange(N).astype(str), 42)


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_folds_that_are_shared_change_no_score(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = sides(kind, 24, 9)
    y[N // 3 :, :4] += 1.0
    found = evaluate(METRICS.get("ridge_r2"), x, y, null=False)
    monkeypatch.setattr(regression, "MANY", np.inf)
    expected = evaluate(METRICS.get("ridge_r2"), x, y, null=False)
    assert found.value == pytest.approx(expected.value, abs=1e-10)
    assert found.deletions == pytest.approx(expected.deletions, abs=1e-10)


def test_products_add_up_to_those_of_all_rows_around_any_point() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 7)) + 1e3, rng.normal(size=(90, 4)) - 50
    parts = [Products.of(x[rows], y[rows]) for rows in np.array_split(rng.permutation(90), 4)]
    together = others(parts, 1) + parts[1]
    assert together.count == 90
    np.testing.assert_allclose(together.left_mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(together.right_mean, y.mean(axis=0), rtol=1e-14)
    left, right = x.mean(axis=0), rng.normal(size=4)
    np.testing.assert_allclose(together.around(left, right), (x - left).T @ (y - right), atol=1e-6)
