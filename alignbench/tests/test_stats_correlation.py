"""Correlations over lineages: the coefficients are scipy's, and p is what going through the orders gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats as scipy_stats

from alignbench.errors import InputError
from alignbench.stats import Correlation, correlations, smallest_p


def one(metric, outcome, lineages=None) -> Correlation:
    (found,) = correlations({"m": metric}, {"o": outcome}, lineages)
    return found


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [5, 12])
def test_coefficients_are_those_of_scipy(n: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    if ties:
        x, y = np.round(x), np.round(y)
    found = one(x, y)
    assert found.pearson == pytest.approx(scipy_stats.pearsonr(x, y)[0])
    assert found.spearman == pytest.approx(scipy_stats.spearmanr(x, y)[0])
    assert found.kendall == pytest.approx(scipy_stats.kendalltau(x, y)[0])


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 6])
def test_p_is_that_of_all_orders(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n, 2))
    found = one(x, y)

    def mean_of(coefficient, order) -> float:
        return float(np.mean([coefficient(x[:, c], y[list(order), c])[0] for c in range(2)]))

    for coefficient, p in (
        (scipy_stats.pearsonr, found.p),
        (scipy_stats.spearmanr, found.spearman_p),
        (scipy_stats.kendalltau, found.kendall_p),
    ):
        drawn = np.array([mean_of(coefficient, order) for order in itertools.permutations(range(n))])
        tail = min((drawn >= drawn[0] - 1e-9).mean(), (drawn <= drawn[0] + 1e-9).mean())
        assert p == pytest.approx(min(1, 2 * tail))
    assert (found.exact, found.orders) == (True, len(drawn))


def test_perfect_order_gets_the_smallest_p_there_is() -> None:
    for n in (3, 5, 8):
        assert one(np.arange(n), np.arange(n) ** 2.0).spearman_p == pytest.approx(smallest_p(n))
    assert smallest_p(3) == pytest.approx(1 / 3)
    assert one(np.arange(12), np.arange(12)).p == pytest.approx(2 / 10_000)


@pytest.mark.parametrize("n", [4, 5])
def test_below_five_lineages_nothing_is_estimable(n: int) -> None:
    found = one(np.arange(n), np.arange(n) % 3)
    assert found.estimable == (n >= 5)
    assert found.null_r2 == pytest.approx(1 / (n - 1))


def test_columns_share_their_labels() -> None:
    """Two columns that are copies of one bear no more evidence than that one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 7))
    alone, twice = one(x, y), one(np.stack([x, x], axis=1), np.stack([y, 3 * y + 1], axis=1))
    assert twice.p == pytest.approx(alone.p)
    assert twice.pearson == pytest.approx(alone.pearson)


def test_checkpoints_of_a_lineage_are_one_unit() -> None:
    """Ten copies of three lineages are not thirty encoders."""
    x, y = np.array([1.0, 2, 4]), np.array([2.0, 3, 9])
    repeated = [f"lineage {i}" for i in range(3) for _ in range(10)]
    found = one(np.repeat(x, 10), np.repeat(y, 10), repeated)
    assert found.lineages == 3
    assert found.p == pytest.approx(one(x, y).p)
    assert not found.estimable


def test_of_uneven_lineages_the_first_checkpoint_stands() -> None:
    found = one([1, 9, 2, 4, 3], [1, -7, 2, 4, 3.5], ["a", "a", "b", "c", "d"])
    assert found.pearson == pytest.approx(one([1, 2, 4, 3], [1, 2, 4, 3.5]).pearson)


def test_leave_one_out_shows_who_makes_the_correlation() -> None:
    x, y = [1, 2, 3, 4, 50], [2, 1, 4, 3, 50]
    found = one(x, y)
    rest = [scipy_stats.pearsonr(np.delete(x, i), np.delete(y, i))[0] for i in range(5)]
    assert (found.low, found.high) == pytest.approx((min(rest), max(rest)))
    assert one([1, 2, 3], [1, 3, 2]).low is None


@pytest.mark.slow
def test_p_of_independent_data_is_honest_and_the_best_of_many_is_corrected() -> None:
    rng = np.random.default_rng(3)
    smallest, adjusted, single = [], [], []
    for _ in range(200):
        metrics = {f"m{i}": rng.normal(size=6) for i in range(12)}
        found = correlations(metrics, {"o": rng.normal(size=6)})
        smallest.append(min(c.p for c in found) <= 0.05)
        adjusted.append(min(c.p_adjusted for c in found) <= 0.05)
        single.append(found[0].p <= 0.05)
    assert np.mean(single) < 0.1
    assert np.mean(smallest) > 0.3  # what is found by looking at twelve
    assert np.mean(adjusted) < 0.1


def test_adjusted_p_is_that_of_the_largest_coefficient() -> None:
    rng = np.random.default_rng(5)
    metrics, outcomes = ({f"{k}{i}": rng.normal(size=5) for i in range(3)} for k in "mo")
    found = correlations(metrics, outcomes)
    orders = list(itertools.permutations(range(5)))
    largest = [
        max(abs(np.corrcoef(m, o[list(order)])[0, 1]) for m in metrics.values() for o in outcomes.values())
        for order in orders
    ]
    for c in found:
        expected = np.mean([value >= abs(c.pearson) - 1e-9 for value in largest])
        assert c.p_adjusted == pytest.approx(max(c.p, expected))


def test_a_true_relation_is_found_among_many_lineages() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(20, 2))
    assert one(x, x + 0.5 * rng.normal(size=(20, 2))).p_adjusted < 0.01


def test_what_does_not_vary_has_no_correlation() -> None:
    assert correlations({"flat": [1, 1, 1, 1]}, {"o": [1, 2, 3, 4]}) == []
    assert [c.metric for c in correlations({"flat": [1, 1, 1], "m": [1, 2, 4]}, {"o": [1, 3, 2]})] == ["m"]
    assert correlations({"m": [1, 2]}, {"o": [1, 2]}) == []


@pytest.mark.parametrize(
    ("metrics", "outcomes", "lineages", "message"),
    [
        ({}, {"o": [1]}, None, "metrics: expected at least one"),
        ({"m": [1, np.nan, 2]}, {"o": [1, 2, 3]}, None, "finite values"),
        ({"m": [1, 2, 3]}, {"o": [1, 2]}, None, "expected one shape"),
        ({"m": [1, 2, 3]}, {"o": [1, 2, 3]}, ["a"], "one for each of 3 units, got 1"),
    ],
)
def test_bad_input_is_named(metrics, outcomes, lineages, message: str) -> None:
    with pytest.raises(InputError, match=message):
        correlations(metrics, outcomes, lineages)
