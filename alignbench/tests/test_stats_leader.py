"""Tie groups at their level: the leader is the largest of many, and is ahead of its equals by luck."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import studentized_range
from scipy.stats import t as student

from alignbench.errors import InputError
from alignbench.stats import (
    Joint,
    holm_rejects,
    joint_of_deletions,
    leader_quantile,
    pair_level,
    paired_p,
    probability_best,
    tie_groups,
)

NAMES = [f"encoder-{i:02}" for i in range(20)]


def drawn(
    rng: np.random.Generator, models: int, blocks: int, gap: float = 0.0
) -> tuple[dict[str, float], Joint]:
    """Return scores and how they vary: the first is better by `gap` errors of a difference."""
    rows = rng.normal(size=(blocks, models))
    rows[:, 0] += gap * np.sqrt(2 / blocks)
    means = rows.mean(axis=0)
    without = (rows.sum(axis=0) - rows) / (blocks - 1)
    names = NAMES[:models]
    joint = joint_of_deletions({name: without[:, i].tolist() for i, name in enumerate(names)})
    return dict(zip(names, means.tolist(), strict=True)), joint


@pytest.mark.parametrize("freedom", [1, 4, 99])
def test_of_two_it_is_the_two_sided_quantile_of_students_t(freedom: int) -> None:
    assert leader_quantile(2, freedom) == pytest.approx(student.ppf(0.975, freedom), rel=1e-9)
    assert pair_level(2, freedom, 0.1) == pytest.approx(0.1, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("models", "freedom"), [(3, 19), (10, 59), (20, 99), (5, 100_000)])
def test_it_lies_between_the_studentised_range_and_bonferroni(models: int, freedom: int) -> None:
    shared_error = studentized_range.ppf(0.95, models, min(freedom, 10_000)) / np.sqrt(2)
    all_pairs = student.ppf(1 - 0.025 / (models * (models - 1) / 2), freedom)
    assert 0.995 * shared_error < leader_quantile(models, freedom) < all_pairs


@pytest.mark.slow
@pytest.mark.parametrize(("models", "freedom"), [(3, 5), (6, 20)])
def test_it_is_the_quantile_of_the_largest_lead_over_its_own_error(models: int, freedom: int) -> None:
    rng = np.random.default_rng(1)
    largest = []
    for _ in range(4000):
        rows = rng.normal(size=(freedom + 1, models))
        means = rows.mean(axis=0)
        leads = [
            (means.max() - means[i])
            / ((rows[:, means.argmax()] - rows[:, i]).std(ddof=1) / np.sqrt(freedom + 1))
            for i in range(models)
            if i != means.argmax()
        ]
        largest.append(max(leads))
    exceeded = np.mean(np.asarray(largest) > leader_quantile(models, freedom))
    assert exceeded == pytest.approx(0.05, abs=0.011)  # three standard deviations of 4,000 draws


@pytest.mark.slow
@pytest.mark.parametrize("models", [2, 10])
def test_of_equal_models_one_is_told_apart_in_at_most_5_percent_of_draws(models: int) -> None:
    rng = np.random.default_rng(models)
    apart, before = [], []
    for _ in range(800):
        values, joint = drawn(rng, models, 60)
        apart.append(len(tie_groups(values, joint)[0]) < models)
        leader = max(values, key=values.__getitem__)
        p_values = [
            paired_p(values[leader] - values[n], np.subtract(joint.parts[leader], joint.parts[n]).tolist())
            for n in values
            if n != leader
        ]
        before.append(any(holm_rejects(p_values)))
    assert np.mean(apart) == pytest.approx(0.05, abs=0.02)
    if models >= 10:  # Holm's procedure takes the leader for one that was named beforehand
        assert np.mean(before) > 0.1


@pytest.mark.slow
def test_a_best_that_is_far_ahead_is_told_from_all_by_the_quantile_for_two() -> None:
    """Those far behind don't make it harder to tell the second: they are out before it is looked at."""
    rng = np.random.default_rng(0)
    values, joint = drawn(rng, 10, 60)
    names = list(values)
    lead = 1.02 * leader_quantile(2, 59) * joint.error_between(names[0], names[1])
    far = {name: values[name] - 10.0 for name in names[2:]}
    shifted = {names[0]: 1.0, names[1]: 1.0 - lead, **far}
    assert tie_groups(shifted, joint)[0] == [names[0]]
    assert tie_groups({**shifted, names[1]: 1.0 - 0.96 * lead}, joint)[0] == names[:2]


@pytest.mark.slow
def test_who_is_told_from_the_leader_is_hardly_ever_the_best_and_who_stands_alone_is() -> None:
    rng = np.random.default_rng(3)
    alone = 0
    for i in range(60):
        values, joint = drawn(rng, 5, 60, gap=i % 6)
        first = tie_groups(values, joint)[0]
        probability = probability_best(values, joint)
        assert all(probability[name] < 0.025 + 0.005 for name in values if name not in first)
        if len(first) == 1:
            alone += 1
            assert probability[first[0]] > 0.95
    assert alone > 5


@pytest.mark.parametrize(("models", "freedom", "level"), [(1, 9, 0.05), (2, 0, 0.05), (2, 9, 0.0), (2, 9, 1)])
def test_what_can_not_be_is_refused(models: int, freedom: int, level: float) -> None:
    with pytest.raises(InputError, match="leader_quantile: expected"):
        leader_quantile(models, freedom, level)
