"""Nulls of many rows: closed forms agree with draws, and draws stop when they may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import norm, pearson3

from alignbench.findings.files import checked_score, plain_score
from alignbench.metrics import METRICS, Metric
from alignbench.metrics.permuted import ProductMoments
from alignbench.stats import evaluate
from alignbench.stats.nulls import DRAWN_UP_TO, MOST_CLASSES
from alignbench.stats.permutation import ENOUGH, SMALLEST, closed_p, sequential_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.types import Null

    Matrix = NDArray[np.float64]

N = DRAWN_UP_TO + 20
CLOSED = ["linear_cka", "debiased_cka", "calibrated_cka", "rbf_cka", "mutual_knn", "rsa"]


def data(n: int = N, shared: float = 0.35, heavy: bool = False) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(n)
    common = shared * rng.normal(size=(n, 3))
    sides = (rng.normal(size=(n, d)) for d in (5, 8))
    x, y = (np.hstack([common, side]) for side in sides)
    if heavy:
        x, y = (side / np.sqrt(rng.chisquare(2, (n, 1))) for side in (x, y))
    return x, y


def null(name: str, n: int = N, heavy: bool = False, **given: Any) -> Null:
    metric = METRICS.get(name)
    options: dict[str, Any] = {"labels": np.arange(n) % 3, "interval": False, **given}
    found = evaluate(metric, *data(n, heavy=heavy), **options).null
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOSED)
def test_the_closed_form_is_what_draws_come_to(name: str) -> None:
    closed, drawn = null(name), null(name, n_permutations=999)
    assert (closed.p_kind, closed.within_kind, closed.draws) == ("closed_form", "closed_form", None)
    assert (drawn.p_kind, drawn.within_kind, drawn.draws) == ("drawn", "drawn", 999)
    assert "closed form" in closed.kind
    if name == "rsa":
        return  # draws are of a subset of the groups
    for one, other in ((closed.p, drawn.p), (closed.within_p, drawn.within_p)):
        assert one is not None
        assert other is not None
        assert one == pytest.approx(other, abs=4 * np.sqrt(other * (1 - other) / 999) + 0.002)
    assert closed.std == pytest.approx(drawn.std, rel=0.08)
    assert closed.mean == pytest.approx(drawn.mean, abs=0.2 * (drawn.std or 0))
    assert closed.within_mean == pytest.approx(drawn.within_mean, abs=1e-9)


@pytest.mark.parametrize("name", ["linear_cka", "rbf_cka", "debiased_cka", "calibrated_cka"])
def test_mean_and_standard_deviation_are_those_of_the_metrics_own_formula(name: str) -> None:
    metric = METRICS.get(name)
    assert metric.null is not None
    assert metric.null.exact is not None
    closed = null(name)
    assert (closed.mean, closed.std) == pytest.approx(metric.null.exact(*data()), abs=1e-12)


@pytest.mark.slow
def test_up_to_the_limit_a_fixed_number_is_drawn() -> None:
    found = null("linear_cka", DRAWN_UP_TO)
    assert (found.p_kind, found.draws) == ("drawn", 999)
    assert found.kind == "permutation of groups, exact mean and std"
    assert null("linear_cka", DRAWN_UP_TO + 1).p_kind == "closed_form"


def test_groups_not_rows_are_counted() -> None:
    found = null("linear_cka", 320, groups=np.arange(320) // 2)
    assert (found.p_kind, found.draws) == ("drawn", 999)


def test_heavy_tails_and_many_classes_are_drawn() -> None:
    heavy = null("linear_cka", heavy=True)
    assert (heavy.p_kind, heavy.within_kind) == ("drawn_sequential", "drawn_sequential")
    assert heavy.kind == f"permutation of groups, drawn until {ENOUGH} are as good, exact mean and std"
    many = null("mutual_knn", labels=np.arange(N) % (MOST_CLASSES + 1))
    assert (many.p_kind, many.within_kind) == ("closed_form", "drawn_sequential")


def test_other_metrics_draw_until_p_is_known() -> None:
    related, unrelated = null("procrustes_similarity"), null("procrustes_similarity", labels=None)
    assert related.p_kind == "drawn_sequential"
    assert related.p == unrelated.p

    def noise(x: Matrix, y: Matrix) -> float:
        return float(np.abs(x[:, -1] @ y[:, -1]))

    generic = evaluate(Metric("noise", noise, pairing=True, symmetric=True), *data(), interval=False).null
    assert generic is not None
    assert generic.draws is not None
    assert generic.p == pytest.approx(ENOUGH / generic.draws)
    assert generic.draws < 999


def test_a_null_in_closed_form_is_read_back_as_it_was_written() -> None:
    from alignbench.types import Score

    score = Score("test", "rsa", 0.5, "e", "l", "d@0", N, (8, 11), null=null("rsa"))
    assert checked_score(plain_score(score)) == score


def draws_of(values: list[float]) -> Any:
    left = iter(values)
    return lambda number: np.asarray([next(left) for _ in range(number)])


def test_sequential_drawing_stops_at_the_tenth_that_is_as_good() -> None:
    values = ([0.0] * 3 + [1.0]) * 25
    p, draws, drawn = sequential_p(1.0, draws_of(values), 100)
    assert (p, draws) == (10 / 40, 40)
    assert len(drawn) == 50
    p, draws, _ = sequential_p(1.0, draws_of([0.0] * 95 + [1.0] * 4), 99)
    assert (p, draws) == (5 / 100, 99)
    p, draws, _ = sequential_p(-1.0, draws_of([-1.0] * 99), 99, higher_is_better=False)
    assert (p, draws) == (1.0, 10)


def test_sequential_p_values_of_exchangeable_scores_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p_values = [sequential_p(rng.normal(), lambda k: rng.normal(size=k), 199)[0] for _ in range(3000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.asarray(p_values) <= level) == pytest.approx(level, abs=0.03)


def test_tails_are_those_of_pearson_and_never_shorter_than_normal_ones() -> None:
    right = ProductMoments(1.0, 4.0, 8 * 0.5, 0.0)
    assert closed_p(7.0, right) == pytest.approx(pearson3.sf(3.0, 0.5))
    assert closed_p(7.0, right.scaled(-1.0), higher_is_better=True) is not None
    assert closed_p(-7.0, right.scaled(-1.0), higher_is_better=False) == pytest.approx(pearson3.sf(3.0, 0.5))
    left = ProductMoments(1.0, 4.0, -8 * 0.5, 0.0)
    assert closed_p(7.0, left) == pytest.approx(norm.sf(3.0))
    assert closed_p(1e6, left) == SMALLEST
    steps = ProductMoments(1.0, 4.0, 0.0, 0.0, step=1.0)
    assert closed_p(7.0, steps) == pytest.approx(norm.sf(2.75))


@pytest.mark.parametrize(
    "moments",
    [
        ProductMoments(1.0, 0.0, 0.0, 0.0),
        ProductMoments(1.0, float("nan"), 0.0, 0.0),
        ProductMoments(1.0, 1e-24, 0.0, 0.0),
        ProductMoments(1.0, 1.0, 0.5, 0.21),
        ProductMoments(1.0, 1.0, 0.5, float("nan")),
    ],
)
def test_without_variance_or_with_much_spread_there_is_no_closed_form(moments: ProductMoments) -> None:
    assert closed_p(2.0, moments) is None


def test_rows_that_are_all_copies_of_two_have_a_p_of_draws() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(2, 4)), N // 2, axis=0)
    found = evaluate(METRICS.get("mutual_knn"), x, rng.normal(size=(N, 4)), interval=False).null
    assert found is not None
    assert found.p is not None
    assert 0 < found.p <= 1
