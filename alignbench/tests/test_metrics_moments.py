"""Moments in any chunks, merged in any order, give the scores of the arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics import (
    Moments,
    calibrated_cka,
    coral_distance,
    covariance,
    debiased_cka,
    discriminability,
    discriminability_raw,
    linear_cka,
    linear_cka_null,
    linear_cka_within_mean,
    ncoral,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N = 120
CODES = np.arange(N) % 4


def data(dy: int = 5, offset: float = 0.0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 5)) * np.arange(1, 6) + CODES[:, None] + offset
    return x, x[:, rng.permutation(5)].repeat(2, axis=1)[:, :dy] + rng.normal(size=(N, dy)) - 2 * offset


def scores(moments: Moments) -> list[float]:
    return [
        moments.linear_cka(),
        *moments.linear_cka_null(),
        moments.calibrated_cka(),
        moments.debiased_cka(),
        moments.linear_cka_within_mean(),
        moments.discriminability(),
        moments.discriminability_raw(),
    ]


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_scores_of_moments_are_those_of_arrays(offset: float) -> None:
    x, y = data(8, offset)
    expected = [
        linear_cka(x, y),
        *linear_cka_null(x, y),
        calibrated_cka(x, y),
        debiased_cka(x, y),
        linear_cka_within_mean(x, y, CODES),
        discriminability(x, CODES),
        discriminability_raw(x, CODES),
    ]
    assert scores(Moments.from_arrays(x, y, CODES)) == pytest.approx(expected, abs=1e-10)


def test_coral_of_moments_is_that_of_arrays() -> None:
    x, y = data()
    moments = Moments.from_arrays(x, y)
    assert moments.coral_distance() == pytest.approx(coral_distance(x, y), rel=1e-10)
    assert moments.ncoral() == pytest.approx(ncoral(x, y), abs=1e-12)
    assert moments.covariances()[1] == pytest.approx(covariance(y), abs=1e-10)
    assert moments.means()[0] == pytest.approx(x.mean(axis=0), abs=1e-12)


@given(cuts=st.lists(st.integers(0, N), max_size=6), merges=st.booleans(), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_any_split_of_the_rows_gives_the_same_scores(cuts: list[int], merges: bool, seed: int) -> None:
    x, y = data(8, 30.0)
    parts = [part for part in np.split(np.arange(N), sorted(cuts)) if len(part)]
    np.random.default_rng(seed).shuffle(parts)
    moments = Moments.from_arrays(x[parts[0]], y[parts[0]], CODES[parts[0]])
    for part in parts[1:]:
        if merges:
            moments = moments.merge(Moments.from_arrays(x[part], y[part], CODES[part]))
        else:
            moments.update(x[part], y[part], CODES[part])
    assert scores(moments) == pytest.approx(scores(Moments.from_arrays(x, y, CODES)), abs=1e-10)


def test_merging_changes_neither_part() -> None:
    x, y = data()
    a, b = Moments.from_arrays(x[:50], y[:50], CODES[:50]), Moments.from_arrays(x[50:], y[50:], CODES[50:])
    before = [scores(a), scores(b)]
    a.merge(b)
    assert [scores(a), scores(b)] == before


def test_taking_a_block_out_is_never_having_had_it() -> None:
    x, y = data()
    rest = Moments.from_arrays(x, y, CODES).without(Moments.from_arrays(x[:33], y[:33], CODES[:33]))
    assert rest.n == N - 33
    assert scores(rest) == pytest.approx(scores(Moments.from_arrays(x[33:], y[33:], CODES[33:])), abs=1e-10)


def test_moments_of_no_rows_can_be_filled_and_merged() -> None:
    x, y = data()
    empty = Moments.empty(np.zeros(5), np.zeros(5))
    assert empty.merge(Moments.from_arrays(x, y)).linear_cka() == pytest.approx(linear_cka(x, y), abs=1e-12)
    with pytest.raises(TooFewSamplesError):
        empty.linear_cka()


def test_wrong_chunks_are_refused() -> None:
    x, y = data()
    moments = Moments.from_arrays(x, y, CODES)
    with pytest.raises(InputError, match=r"expected widths \(5, 5\), got \(5, 4\)"):
        moments.update(x, y[:, :4], CODES)
    with pytest.raises(InputError, match="for all chunks or for none"):
        moments.update(x, y)
    with pytest.raises(InputError, match="same widths"):
        moments.merge(Moments.from_arrays(x, y[:, :4], CODES))
    with pytest.raises(InputError, match="classes on both sides"):
        moments.merge(Moments.from_arrays(x, y))


def test_what_moments_lack_is_said() -> None:
    x, y = data(8)
    moments = Moments.from_arrays(x, y)
    with pytest.raises(InputError, match="give labels"):
        moments.discriminability()
    with pytest.raises(InputError, match=r"shared basis, got widths \(5, 8\)"):
        moments.ncoral()
    with pytest.raises(DegenerateError, match="x: zero variance"):
        Moments.from_arrays(np.ones((9, 2)), y[:9]).linear_cka()
