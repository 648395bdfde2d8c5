"""The probability of being the best, and how many samples would tell a tie apart: against other ways."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy.stats import multivariate_t, nct
from scipy.stats import t as student

from alignbench.errors import InputError
from alignbench.stats import (
    Joint,
    corrected_error,
    joint_of_deletions,
    joint_of_repeats,
    leader_quantile,
    needed_of_ties,
    paired_p,
    probability_best,
    samples_needed,
    tie_groups,
)

RNG = np.random.default_rng(3)
NOISE = RNG.normal(size=(30, 4))
LETTERS = "abcd"


def deletions(values: dict[str, float], spread: float = 0.01) -> dict[str, list[float]]:
    return {name: (values[name] + spread * NOISE[:, i]).tolist() for i, name in enumerate(values)}


def covariance(joint: Joint) -> np.ndarray:
    columns = np.stack(list(joint.deviations.values()), axis=1)
    return columns.T @ columns


def test_joint_of_deletions_is_the_jackknife_covariance() -> None:
    values = deletions(dict.fromkeys(LETTERS, 0.5))
    naive = np.zeros((4, 4))
    rows = np.stack(list(values.values()), axis=1)
    for row in rows:
        away = row - rows.mean(axis=0)
        naive += 29 / 30 * np.outer(away, away)
    joint = joint_of_deletions(values)
    assert covariance(joint) == pytest.approx(naive, rel=1e-12)
    assert joint.freedom == 29
    difference = [1.0, -1.0, 0.0, 0.0] @ naive @ [1.0, -1.0, 0.0, 0.0]
    assert joint.error_between("a", "b") == pytest.approx(math.sqrt(difference), rel=1e-12)


def test_joint_of_repeats_is_the_corrected_covariance_of_splits_and_that_of_seeds() -> None:
    tables = RNG.normal(size=(2, 6, 3))
    joint = joint_of_repeats({"a": tables[0].tolist(), "b": tables[1].tolist()}, 0.25)
    of_splits, of_seeds = np.cov(tables.mean(axis=2)), np.cov(tables.mean(axis=1))
    assert covariance(joint) == pytest.approx((1 / 6 + 0.25) * of_splits + of_seeds / 3, rel=1e-12)
    assert joint.freedom == 5
    between = tables.mean(axis=2)[0] - tables.mean(axis=2)[1]
    assert joint.error_between("a", "b") == pytest.approx(corrected_error(between, 0.25), rel=1e-12)


def test_one_seed_adds_no_variance_of_seeds() -> None:
    tables = RNG.normal(size=(2, 6, 1))
    joint = joint_of_repeats({"a": tables[0].tolist(), "b": tables[1].tolist()}, 0.25)
    assert covariance(joint) == pytest.approx((1 / 6 + 0.25) * np.cov(tables[:, :, 0]), rel=1e-12)


@pytest.mark.parametrize(
    "values", [{}, {"a": [1.0]}, {"a": [1.0, 2.0], "b": [1.0]}, {"a": [1.0, math.nan]}, {"a": [[1.0], [2.0]]}]
)
def test_deletions_that_share_nothing_are_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(InputError, match="deletions: expected"):
        joint_of_deletions(values)


@pytest.mark.parametrize("difference", [0.0, 0.004, -0.01, 0.2])
def test_probability_of_two_is_the_one_sided_t(difference: float) -> None:
    values = {"a": 0.5 + difference, "b": 0.5}
    joint = joint_of_deletions(deletions(values, 0.001))
    exact = float(student.cdf(difference / joint.error_between("a", "b"), 29))
    found = probability_best(values, joint)
    assert found["a"] == pytest.approx(exact, abs=0.006)
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)


def test_probability_of_three_is_that_of_the_multivariate_t() -> None:
    values = {"a": 0.51, "b": 0.505, "c": 0.49}
    joint = joint_of_deletions(deletions(values, 0.002))
    contrast = np.asarray([[1, -1, 0], [1, 0, -1]])
    center = contrast @ list(values.values())
    shape = contrast @ covariance(joint) @ contrast.T
    exact = multivariate_t(-center, shape, df=29, seed=0).cdf([0, 0])
    assert 0.3 < exact < 0.9
    assert probability_best(values, joint)["a"] == pytest.approx(exact, abs=0.01)


def test_low_is_best_where_the_metric_says_so() -> None:
    values = {"a": 0.51, "b": 0.505, "c": 0.49}
    joint = joint_of_deletions(deletions(values, 0.002))
    low = probability_best(values, joint, higher_is_better=False)
    high = probability_best({name: -value for name, value in values.items()}, joint_of_negated(values))
    assert low == pytest.approx(high, abs=1e-12)
    assert max(low, key=low.__getitem__) == "c"


def joint_of_negated(values: dict[str, float]) -> Joint:
    plain = deletions(values, 0.002)
    return joint_of_deletions({name: [-value for value in column] for name, column in plain.items()})


def test_identical_scores_share_and_a_control_gets_nothing() -> None:
    column = (0.5 + 0.001 * NOISE[:, 0]).tolist()
    joint = joint_of_deletions({"a": column, "twin": column, "control": (0.001 * NOISE[:, 1]).tolist()})
    found = probability_best({"a": 0.5, "twin": 0.5, "control": 0.0}, joint)
    assert found == {"a": 0.5, "twin": 0.5, "control": 0.0}


def test_scores_without_any_error_are_ordered_for_sure() -> None:
    joint = joint_of_deletions({"a": [1.0] * 5, "b": [0.5] * 5, "c": [1.0] * 5})
    assert probability_best({"a": 1.0, "b": 0.5, "c": 1.0}, joint) == {"a": 0.5, "b": 0.0, "c": 0.5}


def test_one_model_is_the_best_of_one_and_none_of_none() -> None:
    joint = joint_of_deletions({"a": [0.4, 0.5, 0.6]})
    assert probability_best({"a": 0.5}, joint) == {"a": 1.0}
    assert probability_best({}, joint) == {}
    with pytest.raises(InputError, match="expected how 'b' varies, it has a"):
        probability_best({"b": 0.5}, joint)


def test_more_models_than_blocks_have_probabilities() -> None:
    names = [f"e{i}" for i in range(8)]
    values = {name: 0.01 * i for i, name in enumerate(names)}
    joint = joint_of_deletions({name: (RNG.normal(size=3) * 0.01).tolist() for name in names})
    assert sum(probability_best(values, joint).values()) == pytest.approx(1, abs=1e-12)


def test_probabilities_do_not_depend_on_the_order_of_the_names() -> None:
    values = {"a": 0.51, "b": 0.505, "c": 0.49}
    plain = deletions(values, 0.002)
    turned = dict(reversed(values.items()))
    joint = joint_of_deletions(plain)
    assert probability_best(turned, joint) == probability_best(values, joint)
    assert list(probability_best(turned, joint)) == ["c", "b", "a"]


def jackknife_of_means(sample: np.ndarray) -> tuple[dict[str, float], Joint]:
    """Return the column means [n, m] with their deletions."""
    without = (sample.sum(axis=0) - sample) / (len(sample) - 1)
    means = dict(zip(LETTERS, sample.mean(axis=0).tolist(), strict=False))
    return means, joint_of_deletions(dict(zip(LETTERS, without.T.tolist(), strict=False)))


@pytest.mark.slow
def test_probabilities_are_calibrated_where_nothing_was_known_before() -> None:
    """True means are drawn from a wide prior; of what got a probability p, a share of p is truly the best."""
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(3, 3))
    said, true = [], []
    for _ in range(1500):
        means = rng.normal(size=3)
        sample = means + 2 * rng.normal(size=(20, 3)) @ mixing
        values, joint = jackknife_of_means(sample)
        found = probability_best(values, joint, draws=1000)
        said += [found[name] for name in "abc"]
        true += [i == int(means.argmax()) for i in range(3)]
    probabilities, best = np.asarray(said), np.asarray(true)
    for low, high in ((0.0, 0.15), (0.15, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 1.01)):
        chosen = (probabilities >= low) & (probabilities < high)
        assert chosen.sum() > 100
        assert best[chosen].mean() == pytest.approx(probabilities[chosen].mean(), abs=0.06)


@pytest.mark.slow
def test_two_equal_ones_look_decided_no_more_often_than_they_should() -> None:
    rng = np.random.default_rng(6)
    found = []
    for _ in range(1500):
        values, joint = jackknife_of_means(rng.normal(size=(25, 2)))
        found.append(probability_best(values, joint, draws=1000)["a"])
    assert np.mean(np.asarray(found) > 0.95) == pytest.approx(0.05, abs=0.02)
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)


def test_samples_needed_is_where_the_test_has_its_power() -> None:
    difference, error, n = 0.02, 0.015, 90
    needed = samples_needed(difference, error, n)
    rng = np.random.default_rng(0)
    seen = difference + error * math.sqrt(n / needed) * rng.normal(size=20_000)
    found = np.abs(seen) / (error * math.sqrt(n / needed)) > student.ppf(0.975, 10_000)
    assert found.mean() == pytest.approx(0.8, abs=0.01)
    assert needed == pytest.approx(397.4, abs=0.1)


@pytest.mark.parametrize(("level", "power"), [(0.05, 0.8), (0.01, 0.8), (0.05, 0.5), (0.05, 0.95)])
@pytest.mark.parametrize("freedom", [9, 89])
def test_with_few_degrees_of_freedom_the_power_is_that_of_students_test(
    level: float, power: float, freedom: int
) -> None:
    needed = samples_needed(0.01, 0.02, 100, level=level, power=power, freedom=freedom)
    shift = 0.01 / (0.02 * math.sqrt(100 / needed))
    exact = nct.sf(student.ppf(1 - level / 2, freedom), freedom, shift)
    assert exact == pytest.approx(power, abs=0.03)


def test_half_the_difference_takes_four_times_the_samples() -> None:
    assert samples_needed(0.01, 0.02, 90) == pytest.approx(4 * samples_needed(-0.02, 0.02, 90))


@pytest.mark.parametrize(("difference", "error"), [(0.0, 0.0), (0.0, 0.1), (1e-9, 0.1)])
def test_a_difference_of_practically_zero_takes_infinitely_many(difference: float, error: float) -> None:
    assert samples_needed(difference, error, 90) == math.inf


def test_a_difference_without_error_takes_none() -> None:
    assert samples_needed(0.1, 0.0, 90) == 0


@pytest.mark.parametrize(
    "keywords",
    [
        {"difference": math.nan},
        {"error": -0.1},
        {"error": math.inf},
        {"n": 0},
        {"level": 0.0},
        {"power": 1.0},
    ],
)
def test_samples_needed_refuses_what_can_not_be(keywords: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        samples_needed(**{"difference": 0.1, "error": 0.1, "n": 90} | keywords)  # type: ignore[arg-type]


def test_ties_need_what_the_rule_that_tied_them_asks() -> None:
    values = {"best": 0.50, "near": 0.495, "far": 0.49}
    joint = joint_of_deletions(deletions(values, 0.004))
    needed = needed_of_ties("best", ["near", "far"], values, joint, 90)
    of_three = 2 * student.sf(leader_quantile(3, 29), 29)
    clear = samples_needed(0.01, joint.error_between("best", "far"), 90, level=of_three, freedom=29)
    last = samples_needed(0.005, joint.error_between("best", "near"), 90, level=0.05, freedom=29)
    assert needed == {"near": pytest.approx(last), "far": pytest.approx(clear)}
    assert list(needed) == ["near", "far"]


def test_none_needs_fewer_than_a_clearer_tie() -> None:
    column = 0.004 * NOISE[:, 1]
    plain = {"best": [0.5] * 30, "b": (0.49 + column).tolist(), "c": (0.4901 + column).tolist()}
    values = {"best": 0.50, "b": 0.49, "c": 0.4901}
    needed = needed_of_ties("best", "bc", values, joint_of_deletions(plain), 90)
    alone = needed_of_ties("best", "c", values, joint_of_deletions(plain), 90)
    assert alone["c"] < needed["b"]
    assert needed["c"] == needed["b"]


def test_identical_ties_need_infinitely_many() -> None:
    joint = joint_of_deletions({"a": [0.4, 0.5, 0.6], "b": [0.4, 0.5, 0.6]})
    assert needed_of_ties("a", "b", {"a": 0.5, "b": 0.5}, joint, 90) == {"b": math.inf}


def test_ties_of_trained_scores_are_tested_with_the_corrected_error() -> None:
    splits = {"a": [0.50, 0.56, 0.47, 0.55, 0.52], "b": [0.44, 0.52, 0.45, 0.48, 0.46]}
    values = {name: float(np.mean(column)) for name, column in splits.items()}
    difference = np.subtract(splits["a"], splits["b"])
    naive = abs(difference.mean()) / (difference.std(ddof=1) / math.sqrt(5))
    p = 2 * student.sf(naive / math.sqrt(1 + 5 * 0.25), 4)
    error = partial(corrected_error, test_to_train=0.25)
    assert paired_p(values["a"] - values["b"], difference.tolist(), error) == pytest.approx(p, rel=1e-9)
    assert 2 * student.sf(naive, 4) < 0.01 < p < 0.05
    joint = joint_of_repeats({name: [[value] for value in column] for name, column in splits.items()}, 0.25)
    assert tie_groups(values, joint) == [["a"], ["b"]]
    assert tie_groups(values, joint, level=0.01) == [["a", "b"]]
