"""Retrieval in expectation over ties, against enumeration of all tie orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics import cosine_similarity, mrr_chance, recall_chance, retrieval


def ranks_over_tie_orders(scores: list[int], right: list[bool]) -> list[int]:
    """The rank of the first positive for every order of the candidates, sorted stably by score."""
    found = []
    for order in permutations(range(len(scores))):
        ranked = sorted(order, key=lambda i: -scores[i])
        found.append(1 + min(place for place, i in enumerate(ranked) if right[i]))
    return found


@pytest.mark.slow
@given(data=st.data())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_expectations_are_means_over_all_tie_orders(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    right = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
    result = retrieval([scores], [right], cuts=(1, 2, 5))
    ranks = np.asarray(ranks_over_tie_orders(scores, right))
    assert result.mrr == pytest.approx(np.mean(1 / ranks))
    assert result.median_rank == pytest.approx(ranks.mean())
    for k in (1, 2, 5):
        assert result.recall[k] == pytest.approx(np.mean(ranks <= k))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_one_positive_among_ties_is_the_clipped_share(k: int) -> None:
    scores = np.asarray([[5, 4, 3, 3, 3, 3, 1, 0, 0, 0, 0, 0]])
    right = np.arange(12)[None] == 3
    g, t = 2, 3
    result = retrieval(scores, right)
    assert result.recall[k] == pytest.approx(np.clip((k - g) / (t + 1), 0, 1))
    assert result.mrr == pytest.approx(np.mean([1 / (g + j) for j in range(1, t + 2)]))


@pytest.mark.parametrize("positives", [1, 3])
def test_a_constant_scorer_gets_chance(positives: int) -> None:
    n = 20
    right = np.zeros((4, n), dtype=bool)
    right[:, :positives] = True
    result = retrieval(np.zeros((4, n)), right)
    assert result.recall == pytest.approx(result.recall_chance)
    assert result.mrr == pytest.approx(result.mrr_chance)


def test_chance_is_what_random_scores_get() -> None:
    rng = np.random.default_rng(0)
    right = np.zeros((3000, 12), dtype=bool)
    right[:, :2] = True
    right[:1000, 2] = True
    result = retrieval(rng.normal(size=right.shape), right)
    assert result.recall_chance[5] == pytest.approx(
        (1000 * recall_chance(12, 3, 5) + 2000 * recall_chance(12, 2, 5)) / 3000
    )
    assert result.recall[5] == pytest.approx(result.recall_chance[5], abs=0.03)
    assert result.mrr == pytest.approx(result.mrr_chance, abs=0.02)


def test_chance_levels_are_the_textbook_ones() -> None:
    assert recall_chance(90, 1, 1) == pytest.approx(1 / 90)
    assert recall_chance(90, 1, 10) == pytest.approx(10 / 90)
    assert recall_chance(4, 1, 10) == 1
    assert mrr_chance(3, 1) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert mrr_chance(7, 7) == 1


def test_the_diagonal_is_right_by_default() -> None:
    result = retrieval(np.eye(15))
    assert result.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert result.mrr == result.median_rank == 1
    assert result.hits[1].shape == result.reciprocal_ranks.shape == (15,)


def test_the_best_of_several_positives_counts() -> None:
    right = [[False, True, True]]
    assert retrieval([[3, 2, 1]], right, cuts=(1, 2)).recall == {1: 0.0, 2: 1.0}


def test_identical_texts_do_not_lower_the_score() -> None:
    texts = np.asarray([0, 1, 1, 2])
    similarity = np.eye(3)[texts] @ np.eye(3)[texts].T
    strict = retrieval(similarity)
    fair = retrieval(similarity, texts[:, None] == texts)
    assert strict.recall[1] == 0.75
    assert fair.recall[1] == 1


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="say which candidates are right"):
        retrieval(np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"expected shape \(2, 3\), as similarity"):
        retrieval(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(DegenerateError, match="query 1 has none"):
        retrieval(np.zeros((2, 3)), [[1, 0, 0], [0, 0, 0]])
    with pytest.raises(InputError, match="cuts"):
        retrieval(np.eye(3), cuts=(0, 1))
    with pytest.raises(InputError, match="1 <= positives <= n = 3, got 4"):
        recall_chance(3, 4, 1)


def test_cosines_are_taken_after_the_train_means() -> None:
    x, y = np.asarray([[2.0, 1.0], [1.0, 3.0]]), np.asarray([[1.0, 1.0]])
    assert cosine_similarity(x, y, center=[[1, 1], [0, 0]]) == pytest.approx(np.full((2, 1), np.sqrt(0.5)))
    with pytest.raises(DegenerateError, match="x: a row is all zeros"):
        cosine_similarity(x, y, center=[[2, 1], [0, 0]])
    with pytest.raises(InputError, match="same width, got 2 and 3"):
        cosine_similarity(x, np.ones((1, 3)))


@pytest.mark.parametrize("factor", [1.0, 1e-170, 1e160, 0.0])
@pytest.mark.parametrize("n", [70, 449])
def test_ranks_are_counted_in_blocks_whatever_the_range(n: int, factor: float) -> None:
    rng = np.random.default_rng(n)
    scores = np.round(100 * rng.normal(size=(n, n)))  # with ties
    scores += 100 * np.eye(n)
    scores[n // 2] *= 1e6  # so that a margin for its whole block would be far too wide for other rows
    scores[-1] = 0.0
    rounding = 1 + 2e-16 * rng.integers(-2, 3, size=scores.shape)  # ties are up to rounding
    found = retrieval(scores * rounding * factor, cuts=(1, 10))
    for row in range(n):
        best = scores[row, row]
        above = 0 if factor == 0 else int((scores[row] > best).sum())
        tied = n if factor == 0 else int((scores[row] == best).sum())
        at = above + np.arange(1, tied + 1)
        assert found.reciprocal_ranks[row] == pytest.approx(float(np.mean(1 / at)), rel=1e-12)
        for k in (1, 10):
            assert found.hits[k][row] == pytest.approx(float(np.mean(at <= k)), rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused_in_any_block(bad: float) -> None:
    scores = np.zeros((449, 449))
    scores[-1, 0] = bad
    with pytest.raises(InputError, match=r"similarity: 1 of 201601 values are NaN or infinite .* row 448"):
        retrieval(scores)


@pytest.mark.parametrize("n", [8 * 255, 8 * 255 + 1, 2 * 8 * 255 + 9])
def test_ranks_are_counted_whatever_the_number_of_candidates(n: int) -> None:
    rng = np.random.default_rng(n)
    scores = rng.normal(size=(120, n))
    scores[:, -1] += np.linspace(-9, 9, 120)  # the rank goes from the last to the first
    scores[7, 3:9] = scores[7, -1]
    right = np.zeros(scores.shape, dtype=bool)
    right[:, -1] = True
    found = retrieval(scores, right)
    for row, reciprocal in enumerate(found.reciprocal_ranks):
        above, tied = ((scores[row] > scores[row, -1]).sum(), (scores[row] == scores[row, -1]).sum())
        assert reciprocal == pytest.approx(np.mean(1 / (above + np.arange(1, tied + 1))), rel=1e-12)
    assert found.reciprocal_ranks[0] == 1 / n
    assert found.reciprocal_ranks[-1] == 1
