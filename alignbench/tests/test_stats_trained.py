"""Trained scores over repeated splits: corrected intervals, the spread of seeds, p over splits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from alignbench.errors import DegenerateError, InputError
from alignbench.stats import corrected_error, corrected_interval, multi_split_p, seed_spread

SPLITS = [0.50, 0.58, 0.46, 0.55, 0.51]


def test_corrected_error_is_that_of_the_paper() -> None:
    naive = np.std(SPLITS, ddof=1) / np.sqrt(5)
    assert corrected_error(SPLITS, 0.25) == pytest.approx(naive * np.sqrt(1 + 5 * 0.25), rel=1e-12)


def test_corrected_interval_is_a_t_interval_of_the_splits() -> None:
    low, high = student.interval(0.95, 4, np.mean(SPLITS), corrected_error(SPLITS, 0.25))
    found = corrected_interval(SPLITS, 0.25)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert (found.method, found.level) == ("corrected t over 5 splits", 0.95)


def test_corrected_interval_stays_in_the_scores_bounds() -> None:
    found = corrected_interval([0.9, 1.0, 0.95], 0.25, bounds=(0, 1), level=0.99)
    assert found.high == 1
    assert found.low < 0.8


def overlapping_splits(rng: np.random.Generator, splits: int = 5, n: int = 50) -> list[float]:
    """Return the held-out error of the mean of the train part, in each of the splits of one sample."""
    sample = rng.normal(size=n)
    values = []
    for _ in range(splits):
        order = rng.permutation(n)
        test, train = sample[order[: n // 5]], sample[order[n // 5 :]]
        values.append(float(np.square(test - train.mean()).mean()))
    return values


def test_corrected_interval_covers_where_a_naive_one_does_not() -> None:
    """The expected held-out error is 1 + 1/n_train; splits share a sample, which a naive error forgets."""
    rng = np.random.default_rng(0)
    corrected = naive = 0
    for _ in range(2000):
        values = np.asarray(overlapping_splits(rng))
        interval = corrected_interval(values, 0.25)
        corrected += interval.low <= 1 + 1 / 40 <= interval.high
        half = (interval.high - interval.low) / 2 / np.sqrt(1 + 5 * 0.25)
        naive += abs(values.mean() - 1 - 1 / 40) <= half
    assert 0.92 <= corrected / 2000 <= 0.98
    assert naive / 2000 < 0.85


@pytest.mark.parametrize(
    ("values", "ratio"), [([0.5], 0.25), ([], 0.25), ([0.5, np.nan], 0.25), (SPLITS, 0.0), (SPLITS, np.nan)]
)
def test_what_has_no_corrected_error_is_refused(values: list[float], ratio: float) -> None:
    with pytest.raises(InputError, match=r"split_values: expected|test_to_train: expected"):
        corrected_error(values, ratio)


def test_seed_spread_ignores_what_differs_between_splits() -> None:
    values = np.asarray([[0.1, 0.3], [5.0, 5.2], [9.1, 8.9]])
    assert seed_spread(values) == pytest.approx(np.std([0.1, 0.3], ddof=1), rel=1e-12)


def test_seed_spread_pools_variances() -> None:
    values = [[0.0, 2.0], [0.0, 4.0]]
    assert seed_spread(values) == pytest.approx(np.sqrt((2.0 + 8.0) / 2))


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(DegenerateError, match="at least two seeds"):
        seed_spread([[0.5], [0.6]])
    with pytest.raises(InputError, match=r"\[splits, seeds\], got shape \(2,\)"):
        seed_spread([0.5, 0.6])


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [([0.01, 0.02, 0.9], 0.04), ([0.01, 0.03], 0.04), ([0.7, 0.8], 1.0), ([0.2], 0.4)],
)
def test_p_over_splits_is_twice_the_median(p_values: list[float], expected: float) -> None:
    assert multi_split_p(p_values) == pytest.approx(expected)


@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.99])
def test_p_over_splits_is_valid_whatever_the_dependence(dependence: float) -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 5))
    p_values = ndtr(np.sqrt(dependence) * shared + np.sqrt(1 - dependence) * own)
    rejected = np.mean([multi_split_p(row) <= 0.05 for row in p_values])
    assert rejected <= 0.055


@pytest.mark.parametrize("p_values", [[], [1.2], [np.nan], [[0.1]]])
def test_what_is_no_p_is_refused(p_values: list[float]) -> None:
    with pytest.raises(InputError, match="p_values: expected"):
        multi_split_p(p_values)
