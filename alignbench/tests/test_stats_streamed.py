"""Scores from moments in cells are those of the arrays, with the same nulls; samples say their size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.columns import codes_of
from alignbench.errors import InputError
from alignbench.metrics import METRICS, SharedBasis, linear_cka_null, linear_cka_within_mean
from alignbench.metrics.cell_passes import side_cells
from alignbench.metrics.cells import CELLS, cells_of
from alignbench.metrics.cka import linear_cka_draw
from alignbench.metrics.permuted import ProductMoments
from alignbench.stats import evaluate
from alignbench.stats.permutation import closed_p
from alignbench.stats.streamed import evaluate_streamed
from alignbench.tests.streamed_pairs import DX, DY, N, cells, data

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

STREAMED = [name for name in METRICS if METRICS.get(name).streamed is not None]
BASED = [name for name in STREAMED if METRICS.get(name).family == "coral"]


def of_arrays(name: str, x: Matrix, y: Matrix, labels: NDArray[np.str_]) -> float:
    """Return a score of arrays by its definition; those of the CORAL family without a basis."""
    metric = METRICS.get(name)
    if name in BASED:
        return metric.fn(x, y)
    return metric(x, {"pair": y, "labelled": labels, "unary": None}[metric.kind])


def streamed(name: str, x: Matrix, y: Matrix, labels: NDArray[np.str_], **how: Any) -> Any:
    metric = METRICS.get(name)
    return evaluate_streamed(
        metric, cells(x, y if metric.two_sided else None, labels), codes=codes_of(labels), **how
    )


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("name", [name for name in STREAMED if name not in BASED])
def test_values_deletions_and_chance_are_those_of_the_arrays(name: str, offset: float) -> None:
    x, y, labels = data(offset=offset)
    found, metric = streamed(name, x, y, labels), METRICS.get(name)
    assert found.value == pytest.approx(of_arrays(name, x, y, labels), abs=1e-9, rel=1e-9)
    of = cells_of(np.arange(N).astype(str), 42)
    blocks = np.array_split(np.arange(CELLS), CELLS if metric.interval == "jackknife" else CELLS // 2)
    assert len(found.deletions) == len(blocks)
    for block, value in [*zip(blocks, found.deletions, strict=True)][:3]:
        keep = ~np.isin(of, block)
        expected = of_arrays(name, x[keep], y[keep], labels[keep])
        assert value == pytest.approx(expected, abs=1e-9, rel=1e-9)
    other = evaluate(metric, x, y if metric.two_sided else None, labels=labels, null=False, interval=False)
    assert found.chance == other.chance
    assert found.interval.low < found.value < found.interval.high


@pytest.mark.parametrize("name", BASED)
def test_the_basis_is_fitted_to_one_half_and_scored_on_the_other(name: str) -> None:
    x, y, labels = data()
    found = streamed(name, x, y, labels, params={"k": 4})
    train = cells_of(np.arange(N).astype(str), 42) % 2 == 0
    basis = SharedBasis.fit(x[train], y[train], 4)
    assert found.value == pytest.approx(
        METRICS.get(name).fn(*basis.transform(x[~train], y[~train])), rel=1e-8
    )
    assert found.params["k"] == 4
    assert len(found.deletions) == CELLS // 2
    left = ~np.isin(cells_of(np.arange(N).astype(str), 42), (2, 3))
    basis = SharedBasis.fit(x[train & left], y[train & left], 4)
    held = basis.transform(x[~train & left], y[~train & left])
    assert found.deletions[1] == pytest.approx(METRICS.get(name).fn(*held), rel=1e-8)


@pytest.mark.parametrize(("name", "align"), [(name, align) for name in BASED for align in ("pca", "none")])
def test_other_bases_are_those_of_the_arrays(name: str, align: str) -> None:
    x, y, labels = data()
    width = min(DX, DY) if align == "none" else DX
    x, y = (x[:, :width], y[:, :width]) if align == "none" else (x, y)
    expected = METRICS.get(name)(x, y, align=align, k=5)
    found = streamed(name, x, y, labels, params={"align": align, "k": 5})
    assert found.value == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert ("separate_bases" in found.flags) == (align == "pca")


@pytest.mark.slow
def test_nulls_are_exact_and_their_tail_is_that_of_permutations() -> None:
    n = 150
    x, y, labels = data(n)
    y = np.random.default_rng(1).permutation(y) + 0.05 * x[:, :DY]
    mean, std = linear_cka_null(x, y)
    permutations = np.asarray([np.random.default_rng(i).permutation(n) for i in range(3000)])
    values = linear_cka_draw(x, y, permutations)
    null = streamed("linear_cka", x, y, labels).null
    assert (null.mean, null.std) == pytest.approx((mean, std), rel=1e-9)
    assert null.within_mean == pytest.approx(linear_cka_within_mean(x, y, codes_of(labels)), rel=1e-9)
    assert "exact mean and std" in null.kind
    assert (null.p_kind, null.draws) == ("closed_form", None)
    skewness = cells(x, y, labels).whole.skewness
    scores = np.sort((values - mean) / std)[::-1]
    assert skewness == pytest.approx(float((scores**3).mean()), rel=0.35)
    for share in (0.3, 0.1, 0.03, 0.01):
        reached = ProductMoments(0.0, 1.0, skewness, spread=0.0)
        assert closed_p(scores[int(share * len(scores))], reached) == pytest.approx(share, rel=0.3)
    for name in ("calibrated_cka", "debiased_cka"):
        model, found = METRICS.get(name).null, streamed(name, x, y, labels)
        assert model is not None
        assert model.draw is not None
        drawn = model.draw(x, y, permutations[:1000])
        assert found.null.p == pytest.approx(float((drawn >= found.value).mean()), abs=0.05)
        assert (found.null.mean, found.null.std) == pytest.approx(
            (drawn.mean(), drawn.std()), abs=0.1 * drawn.std()
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "types", "rows scaled by t with 5 degrees of freedom", "copies"])
def test_asymptotic_p_values_are_those_of_the_exact_third_moment(kind: str) -> None:
    n = 1500
    x, y, labels = data(n)
    rng = np.random.default_rng(1)
    y = rng.permutation(y)
    if kind == "types":
        y += 3 * codes_of(labels)[:, None]
    elif kind == "copies":
        x, y = x[np.arange(n) // 4], y[np.arange(n) // 4]
    elif kind != "normal":
        x, y = ((side - side.mean(axis=0)) / np.sqrt(rng.chisquare(5, (n, 1)) / 5) for side in (x, y))
    of, null = cells(x, y, labels).whole, METRICS.get("linear_cka").null
    assert null is not None
    assert null.moments is not None
    exact = null.moments(x, y, None)
    assert not of.heavy_tailed
    assert of.skewness == pytest.approx(exact.skewness, rel=0.02)
    asymptotic = replace(exact, third=of.skewness * exact.variance**1.5, spread=0.0)
    for z in (2, 3, 4, 5):
        value = exact.mean + z * exact.variance**0.5
        assert closed_p(value, asymptotic) == pytest.approx(closed_p(value, exact), rel=0.05)


def test_a_few_long_rows_are_no_case_for_the_closed_form() -> None:
    x, y, labels = data()
    x[0] *= 1e3
    assert cells(x, y, labels).whole.heavy_tailed
    assert not cells(*data()[:2], labels).whole.heavy_tailed
    assert streamed("linear_cka", x, y, labels).null is None


def test_what_cannot_be_in_cells_is_one_line() -> None:
    x, _, _ = data(100)
    of = cells_of(np.arange(100).astype(str), 0)
    with pytest.raises(InputError, match="expected one for each of 99 rows, got 100"):
        side_cells(x[:99], of)
    x[3, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        side_cells(x, of)
