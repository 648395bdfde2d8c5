"""The forms that make values fast give the same bits as the plain forms in which they are defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import InputError
from alignbench.metrics import retrieval
from alignbench.metrics.checks import as_matrix, centered_beside, standardized
from alignbench.metrics.retrieval import TIE, first_hit

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "reversed": lambda x: x[:, ::-1],
}


def plain_standardized(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scaled into range first, centred then, and scaled once more."""
    scaled = np.ldexp(x, -int(np.frexp(np.abs(x).max())[1]))
    result = scaled - scaled.mean(axis=0)
    result = result - result.mean(axis=0)
    exponent = -int(np.frexp(np.abs(result).max())[1])
    return np.ldexp(result, exponent), np.ldexp(scaled, exponent)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scale", [1.0, 7.3, 3e-5, 1e-200, 1e99, 1e101, 1e200, 1e-310, 1e294])
@pytest.mark.parametrize("mean", [0.0, 1.0, 1e3, 1e8, 1e13])
def test_standardized_sides_have_the_bits_of_the_plain_form(mean: float, scale: float, layout: str) -> None:
    rng = np.random.default_rng(0)
    x = LAYOUTS[layout]((rng.normal(size=(60, 17)) + mean) * scale)
    before = x.copy()
    expected, beside = plain_standardized(x)
    found, found_beside = centered_beside(x)
    assert np.array_equal(found, expected)
    assert np.array_equal(found_beside, beside)
    assert np.array_equal(standardized(x), expected)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_value_is_found_among_values_whose_sum_overflows(bad: float) -> None:
    x = np.full((40, 30), 1e308)
    assert np.array_equal(as_matrix(x), x)
    x[37, 2] = bad
    with pytest.raises(InputError, match=r"1 of 1200 values are NaN or infinite in shape .* row 37"):
        as_matrix(x)
    with pytest.raises(InputError, match=r"similarity: 1 of 1600 values .* row 37"):
        retrieval(np.pad(x, ((0, 0), (0, 10))))


def plain_retrieval(scores: np.ndarray, right: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Each query's reciprocal rank and hit, query by query."""
    reciprocal, hits = np.empty(len(scores)), np.empty(len(scores))
    for row, (score, positive) in enumerate(zip(scores, right, strict=True)):
        best, tie = score[positive].max(), TIE * np.abs(score).max()
        tied = np.abs(score - best) <= tie
        places = first_hit(int(tied.sum()), int((tied & positive).sum()))
        at = (score > best + tie).sum() + np.arange(1, len(places) + 1)
        reciprocal[row], hits[row] = places @ (1 / at), places[at <= k].sum()
    return reciprocal, hits


SCORES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "no ties": lambda rng, n: rng.normal(size=(n, n)),
    "many ties": lambda rng, n: rng.integers(0, 5, size=(n, n)).astype(float),
    "ties within rounding": lambda rng, n: 1 + rng.integers(0, 9, size=(n, n)) * (TIE / 3),
    "copied candidates": lambda rng, n: np.repeat(rng.normal(size=(n, n)), 2, axis=1)[:, :n],
    "constant": lambda rng, n: np.full((n, n), 0.3),
    "zero": lambda rng, n: np.zeros((n, n)),
    "huge": lambda rng, n: rng.normal(size=(n, n)) * 1e300,
    "tiny": lambda rng, n: rng.normal(size=(n, n)) * 1e-310,
}


@pytest.mark.parametrize("n", [2, 33, 120])
@pytest.mark.parametrize("kind", SCORES)
def test_ranks_have_the_bits_of_the_plain_form(kind: str, n: int) -> None:
    rng = np.random.default_rng(0)
    scores = SCORES[kind](rng, n)
    several = (rng.random((n, n)) < 0.2) | np.eye(n, dtype=bool)
    for right in (None, np.eye(n, dtype=bool)[rng.permutation(n)], several):
        found = retrieval(scores, right, cuts=(3,))
        reciprocal, hits = plain_retrieval(scores, np.eye(n, dtype=bool) if right is None else right, 3)
        assert np.array_equal(found.reciprocal_ranks, reciprocal)
        assert np.array_equal(found.hits[3], hits)
