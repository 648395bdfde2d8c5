"""Splits, permutation p-values, intervals and tie groups, each alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from alignbench.stats import (
    assign,
    bootstrap_interval,
    deletion_blocks,
    draw_permutations,
    holm_rejects,
    jackknife_error,
    jackknife_interval,
    joint_of_deletions,
    one_per_group,
    p_value,
    paired_p,
    rng_for,
    tie_groups,
    train_half,
    wilson_interval,
)

GROUPS = np.asarray([f"g{i // 2}" for i in range(46)])


def test_splits_keep_groups_whole_and_parts_even() -> None:
    part = assign(GROUPS, 5, 0, "fold")
    assert all(len(set(part[name == GROUPS])) == 1 for name in set(GROUPS))
    sizes = np.bincount(part) // 2
    assert sizes.sum() == 23
    assert sizes.max() - sizes.min() <= 1


def test_splits_follow_the_names_not_the_order() -> None:
    order = np.random.default_rng(0).permutation(len(GROUPS))
    assert (assign(GROUPS[order], 5, 0, "fold") == assign(GROUPS, 5, 0, "fold")[order]).all()


def test_splits_differ_by_seed_and_purpose() -> None:
    first = assign(GROUPS, 5, 0, "fold")
    assert (assign(GROUPS, 5, 1, "fold") != first).any()
    assert (assign(GROUPS, 5, 0, "block") != first).any()


def test_leaving_a_group_out_moves_few_others() -> None:
    keep = GROUPS != "g7"
    moved = train_half(GROUPS, 0)[keep] != train_half(GROUPS[keep], 0)
    assert moved.sum() <= 2
    assert train_half(GROUPS, 0).sum() == 22


def test_one_row_is_drawn_of_every_group() -> None:
    rows = one_per_group(GROUPS, 0)
    assert sorted(GROUPS[rows]) == sorted(set(GROUPS))
    assert (rows != one_per_group(GROUPS, 1)).any()


@pytest.mark.slow
def test_generators_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = "from alignbench.stats import rng_for; print(rng_for(42, 'a', 'b').integers(10**9))"
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in "12"
    ]
    assert {run.stdout for run in runs} == {f"{rng_for(42, 'a', 'b').integers(10**9)}\n"}
    assert rng_for(42, "ab").integers(10**9) != rng_for(42, "a", "b").integers(10**9)


def test_permutations_are_permutations() -> None:
    orders = draw_permutations(6, 200, np.random.default_rng(0))
    assert (np.sort(orders, axis=1) == np.arange(6)).all()
    assert len(np.unique(orders, axis=0)) > 120


def test_p_counts_ties_up_to_rounding_and_never_reaches_zero() -> None:
    drawn = np.asarray([0.1, 0.5 - 1e-14, 0.7, 0.2])
    assert p_value(0.5, drawn) == 3 / 5
    assert p_value(0.9, drawn) == 1 / 5
    assert p_value(0.15, drawn, higher_is_better=False) == 2 / 5


def test_jackknife_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=25)
    deletions = [np.delete(values, i).mean() for i in range(25)]
    assert jackknife_error(deletions) == pytest.approx(values.std(ddof=1) / 5, rel=1e-12)


def test_jackknife_interval_uses_students_t_and_the_bounds() -> None:
    interval = jackknife_interval(0.9, [0.8, 1.0, 0.9], bounds=(0, 1))
    error = jackknife_error([0.8, 1.0, 0.9])
    assert interval.low == pytest.approx(0.9 - 4.302652729911275 * error)
    assert interval.high == 1


@pytest.mark.parametrize(
    ("count", "method", "expected"), [(30, "jackknife", 30), (250, "jackknife", 100), (30, "blocks", 10)]
)
def test_blocks_partition_the_rows(count: int, method: str, expected: int) -> None:
    blocks = deletion_blocks(np.arange(count).astype(str), method, 0)
    assert len(blocks) == expected
    assert sorted(np.concatenate(blocks)) == list(range(count))


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(8, 10, 0.4901625, 0.9433178), (0, 20, 0, 0.1611252)])
def test_wilson_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(hits, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


def test_bootstrap_resamples_groups_not_rows() -> None:
    values = np.random.default_rng(0).normal(size=30)
    rows = bootstrap_interval(values)
    tripled = bootstrap_interval(np.repeat(values, 3), np.repeat(np.arange(30), 3))
    assert tripled.high - tripled.low == pytest.approx(rows.high - rows.low, rel=1e-9)
    fooled = bootstrap_interval(np.repeat(values, 3))
    assert fooled.high - fooled.low < 0.7 * (rows.high - rows.low)


def test_holm_rejects_step_by_step() -> None:
    assert holm_rejects([0.01, 0.04, 0.03]) == [True, False, False]
    assert holm_rejects([0.01, 0.02, 0.04]) == [True, True, True]
    assert holm_rejects([]) == []


def noisy(value: float, seed: int, spread: float = 0.01) -> list[float]:
    return [value + spread * error for error in np.random.default_rng(seed).normal(size=30)]


def test_tie_groups_follow_the_leader_rule() -> None:
    values = {"a": 0.9, "b": 0.89, "c": 0.3, "d": 0.31, "e": -0.1}
    deletions = {name: noisy(value, i) for i, (name, value) in enumerate(values.items())}
    assert tie_groups(values, joint_of_deletions(deletions)) == [["a", "b"], ["d", "c"], ["e"]]


def test_low_is_best_where_the_metric_says_so() -> None:
    values = {"a": 0.9, "b": 0.1}
    deletions = {name: noisy(value, i) for i, (name, value) in enumerate(values.items())}
    assert tie_groups(values, joint_of_deletions(deletions), higher_is_better=False) == [["b"], ["a"]]


def test_a_small_difference_counts_where_the_blocks_agree_on_it() -> None:
    shared = np.asarray(noisy(0.5, 0, spread=0.05))
    wobble = 1e-4 * np.random.default_rng(1).normal(size=30)
    deletions = {"a": shared.tolist(), "b": (shared - 0.01 + wobble).tolist()}
    assert tie_groups({"a": 0.5, "b": 0.49}, joint_of_deletions(deletions)) == [["a"], ["b"]]
    assert paired_p(0.01, deletions["a"]) > 0.9


def test_equal_scores_are_tied_and_without_deletions_all_are() -> None:
    same = joint_of_deletions({"a": [1.0] * 20, "b": [1.0] * 20})
    assert tie_groups({"a": 1.0, "b": 1.0}, same) == [["a", "b"]]
    assert tie_groups({"a": 0.1, "b": 0.9, "c": 0.5}, None) == [["b", "c", "a"]]
    assert tie_groups({}, None) == []
