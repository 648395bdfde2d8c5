"""Correlations of several blocks as one: the meta-analysis by hand, its p by a naive count, hostile input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from alignbench.errors import InputError
from alignbench.stats.correlation import spearman
from alignbench.stats.pooled import pool, pooled_correlations


def by_hand(r: list[float], n: list[int]) -> tuple[float, float, float, float]:
    """DerSimonian and Laird's formulas for independent blocks, one number after another."""
    z = [0.5 * math.log((1 + one) / (1 - one)) for one in r]
    w = [count - 3 for count in n]
    mean = sum(a * b for a, b in zip(w, z, strict=True)) / sum(w)
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, z, strict=True))
    tau2 = max(0.0, (q - (len(r) - 1)) / (sum(w) - sum(a * a for a in w) / sum(w)))
    again = [1 / (1 / a + tau2) for a in w]
    mean = sum(a * b for a, b in zip(again, z, strict=True)) / sum(again)
    margin = stats.norm.ppf(0.975) / math.sqrt(sum(again))
    return math.tanh(mean), math.tanh(mean - margin), math.tanh(mean + margin), max(0.0, 1 - (len(r) - 1) / q)


@pytest.mark.parametrize(
    ("r", "n"), [([0.5, 0.7, 0.2], [20, 30, 12]), ([0.9, -0.5, 0.1], [40, 35, 50]), ([0.3], [10])]
)
def test_independent_blocks_give_the_formulas_of_a_random_effects_meta_analysis(
    r: list[float], n: list[int]
) -> None:
    found = pool(r, n)
    if len(r) == 1:
        margin = stats.norm.ppf(0.975) / math.sqrt(n[0] - 3)
        expected = (r[0], math.tanh(math.atanh(r[0]) - margin), math.tanh(math.atanh(r[0]) + margin), 0.0)
    else:
        expected = by_hand(r, n)
    assert (found.r, found.low, found.high, found.i2) == pytest.approx(expected, abs=1e-12)
    assert found.blocks == len(r)


def test_a_block_that_is_there_twice_says_no_more_than_once() -> None:
    once, twice = pool([0.6], [15]), pool([0.6, 0.6], [15, 15], [[15, 15], [15, 15]])
    assert (twice.r, twice.low, twice.high) == pytest.approx((once.r, once.low, once.high))
    apart = pool([0.6, 0.6], [15, 15])
    assert apart.low > twice.low


def test_the_interval_of_blocks_with_the_same_encoders_covers_as_it_says() -> None:
    rng, truth, covered, narrow = np.random.default_rng(7), 0.5, 0, 0
    for _ in range(400):
        x = rng.normal(size=25)
        common = truth * x + math.sqrt(1 - truth**2) * rng.normal(size=25)
        noise = 0.4 * rng.normal(size=(3, 25))
        r = [float(np.corrcoef(x, common + own)[0, 1]) for own in noise]
        own_truth = truth / math.sqrt(1 + 0.16)
        found, wrong = pool(r, [25] * 3, np.full((3, 3), 25)), pool(r, [25] * 3)
        covered += found.low <= own_truth <= found.high
        narrow += wrong.low <= own_truth <= wrong.high
    assert 0.93 <= covered / 400 <= 1
    assert narrow / 400 < 0.9  # what treating the blocks as independent would cost


def test_p_is_a_count_over_orders_of_all_blocks_at_once() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=6), rng.normal(size=(6, 2))
    x[:3] += y[:3, 0]
    scores = {"a": np.stack([x, x], axis=1)}
    y[5, 1] = np.nan  # the second block lacks an encoder
    scores["a"][5, 1] = np.nan
    (found,) = pooled_correlations(scores, {"o": y})
    totals = []
    for order in itertools.permutations(range(6)):
        z = 0.0
        for b, rows in ((0, range(6)), (1, range(5))):
            r = np.corrcoef([x[order[i]] for i in rows], [y[i, b] for i in rows])[0, 1]
            z += (len(rows) - 3) * math.atanh(r)
        totals.append(abs(z))
    expected = sum(one >= totals[0] - 1e-12 for one in totals) / len(totals)
    assert found.p == pytest.approx(expected)
    assert found.orders == 720
    assert found.by_block[1][1] == 5


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_unit_of_a_score_and_of_an_outcome_does_not_matter(scale: float) -> None:
    rng = np.random.default_rng(4)
    x, y = np.repeat(rng.normal(size=(9, 1)), 2, axis=1), rng.normal(size=(9, 2))
    x[:4] = 1.0  # orders in which the score does not vary in the second block
    y[4:8, 1] = np.nan
    (once,), (scaled,) = (pooled_correlations({"a": c * x}, {"o": c * y}) for c in (1.0, scale))
    assert scaled.pooled.r == pytest.approx(once.pooled.r)
    assert scaled.by_block.keys() == once.by_block.keys()
    assert scaled.p == once.p


def test_a_score_that_differs_by_block_is_permuted_among_encoders_of_the_same_blocks() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 2))
    x[8:, 1] = y[8:, 1] = np.nan
    (found,) = pooled_correlations({"a": x}, {"o": y}, seed=1)
    assert found.orders == 9999
    assert found.pooled.blocks == 2
    assert 0 < found.p <= 1


def test_unrelated_scores_are_significant_about_as_often_as_the_level_says() -> None:
    rng, hits = np.random.default_rng(11), 0
    for i in range(60):
        x, common = rng.normal(size=7), rng.normal(size=7)
        y = common[:, None] + 0.5 * rng.normal(size=(7, 2))
        (found,) = pooled_correlations({"a": np.stack([x, x], axis=1)}, {"o": y}, seed=i)
        hits += found.p <= 0.1
    assert hits <= 13  # binomial(60, .1): P(more than 13) < .005


def test_the_adjusted_p_is_for_the_largest_of_all() -> None:
    rng = np.random.default_rng(2)
    x = {name: np.repeat(rng.normal(size=(10, 1)), 2, axis=1) for name in "abcd"}
    y = {name: rng.normal(size=(10, 2)) for name in "op"}
    found = pooled_correlations(x, y)
    assert len(found) == 8
    assert all(one.p_adjusted >= one.p for one in found)
    order = sorted(found, key=lambda one: one.p_adjusted)
    assert order[0].p_adjusted > order[0].p


def test_one_block_alone_is_not_pooled_and_wrong_input_is_told() -> None:
    x = np.arange(5.0)[:, None]
    assert pooled_correlations({"a": x}, {"o": x}) == []
    with pytest.raises(InputError, match=r"expected one shape \[encoders, blocks\]"):
        pooled_correlations({"a": x}, {"o": np.ones((4, 1))})
    with pytest.raises(InputError, match="needs 4 encoders, got 3"):
        pool([0.5], [3])
    with pytest.raises(InputError, match="expected r from -1 to 1"):
        pool([1.5], [9])
    with pytest.raises(InputError, match="of the same blocks"):
        pool([0.5, 0.4], [9])


def test_spearman_is_that_of_scipy_with_ties() -> None:
    x, y = [1, 2, 2, 5, 9, 9, 9], [3, 1, 1, 8, 4, 8, 2]
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    with pytest.raises(InputError, match="two series of one length that vary"):
        spearman([1, 1, 1], [1, 2, 3])
