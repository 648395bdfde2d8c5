"""The k-th largest value of each row, and the median, against sorted values."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.metrics.largest import FEWEST_GROUPS, GROUP, SAMPLE, kth_largest, median_of


@pytest.mark.parametrize("levels", [0, 1, 3, 100, None])
@pytest.mark.parametrize("k", [1, 2, 10])
@pytest.mark.parametrize("n", [11, GROUP * FEWEST_GROUPS * 10, GROUP * FEWEST_GROUPS * 10 + GROUP - 1, 1003])
def test_it_is_that_of_sorted_rows(n: int, k: int, levels: int | None) -> None:
    values = np.random.default_rng(n).normal(size=(17, n))
    if levels is not None:
        values = np.round(levels * values)
    values[3] = np.sort(values[3])  # the largest are all in the last group or beyond it
    values[4] = np.sort(values[4])[::-1]
    values[5, : n - k] = -np.inf
    values[np.arange(17), np.arange(17) % n] = -np.inf
    before = values.copy()
    assert np.array_equal(kth_largest(values, k), np.sort(values, axis=1)[:, n - k])
    assert np.array_equal(values, before)


@pytest.mark.parametrize("n", [1, 2, 7, 16 * SAMPLE - 1, 16 * SAMPLE, 20 * SAMPLE + 5])
def test_the_median_is_numpys(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.exponential(size=n)
    misleading = np.where(np.arange(n) % max(1, n // SAMPLE) == 0, 1e9, values)  # that is what is looked at
    half = np.where(np.arange(n) < n // 2, 1.0, 2.0)
    kinds = values, np.sort(values), -np.sort(values), np.round(values), np.ones(n), misleading, half
    for kind in kinds:
        assert median_of(kind) == np.median(kind)
