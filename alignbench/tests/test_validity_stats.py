"""What scores explain of an outcome, and what leaving out changes: against naive arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from alignbench.errors import InputError
from alignbench.stats import explained, without_each


def naive_r2(x, y) -> float:
    design = np.column_stack([np.ones(len(y)), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - residual @ residual / np.square(y - y.mean()).sum())


@pytest.mark.parametrize("k", [1, 2])
def test_r2_q2_and_exact_p_are_those_of_going_through_everything(k: int) -> None:
    rng = np.random.default_rng(k)
    x, y = rng.normal(size=(6, k)), rng.normal(size=6)
    found = explained(x, y)
    assert found.r2 == pytest.approx(naive_r2(x, y))
    drawn = [naive_r2(x, y[list(order)]) for order in itertools.permutations(range(6))]
    assert found.p == pytest.approx(np.mean(np.asarray(drawn) >= found.r2 - 1e-9))
    missed = total = 0.0
    for out in range(6):
        rest = np.arange(6) != out
        design = np.column_stack([np.ones(5), x[rest]])
        weights = np.linalg.lstsq(design, y[rest], rcond=None)[0]
        missed += (y[out] - weights[0] - x[out] @ weights[1:]) ** 2
        total += (y[out] - y[rest].mean()) ** 2
    assert found.q2 == pytest.approx(1 - missed / total)
    assert found.null_r2 == pytest.approx(k / 5)
    assert (found.exact, found.scores) == (True, k)


@pytest.mark.slow
def test_null_r2_is_the_mean_r2_of_unrelated_scores() -> None:
    rng = np.random.default_rng(0)
    drawn = [explained(rng.normal(size=(8, 3)), rng.normal(size=8)).r2 for _ in range(60)]
    assert np.mean(drawn) == pytest.approx(3 / 7, abs=0.1)


def test_as_many_scores_as_encoders_explain_everything_and_nothing() -> None:
    rng = np.random.default_rng(1)
    found = explained(rng.normal(size=(6, 6)), rng.normal(size=6))
    assert found.r2 == pytest.approx(1)
    assert (found.p, found.q2, found.null_r2) == (1, None, 1)


def test_p_of_unrelated_scores_is_uniform() -> None:
    rng = np.random.default_rng(2)
    p = np.asarray([explained(rng.normal(size=(5, 1)), rng.normal(size=5)).p for _ in range(300)])
    for level in (0.05, 0.25, 0.5, 0.75):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 300))


def test_checkpoints_of_a_lineage_are_left_out_and_permuted_together() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 1)), rng.normal(size=5)
    thrice = [f"lineage {i}" for i in range(5) for _ in range(3)]
    once, often = explained(x, y), explained(np.repeat(x, 3, axis=0), np.repeat(y, 3), thrice)
    assert often.p == pytest.approx(once.p)
    assert often.q2 == pytest.approx(once.q2)


def test_columns_are_averaged() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, 1, 2)), rng.normal(size=(6, 2))
    found = explained(x, y)
    assert found.r2 == pytest.approx(np.mean([naive_r2(x[:, :, c], y[:, c]) for c in range(2)]))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((4, 1)), np.arange(3), "expected scores"),
        (np.full((4, 1), np.nan), np.arange(4), "finite"),
        (np.ones((4, 1)), np.ones(4), "varies"),
        (np.ones((2, 1)), np.arange(2), "three lineages"),
    ],
)
def test_bad_input_is_named(x, y, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explained(x, y)


def test_without_each_family_r_is_that_of_the_others() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 2))
    labels = ["a", "a", "b", "b", "b", "c", "c"]
    found = without_each(x, y, labels)
    for label in "abc":
        rest = [own != label for own in labels]
        expected = np.mean([np.corrcoef(x[rest, c], y[rest, c])[0, 1] for c in range(2)])
        assert found[label] == pytest.approx(expected)


def test_without_a_family_that_leaves_two_there_is_no_r() -> None:
    assert without_each([1, 2, 3, 4], [1, 3, 2, 4], ["a", "a", "b", "b"]) == {"a": None, "b": None}
