"""The k-th largest value of each row, against sorted rows."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.metrics.largest import FEWEST_GROUPS, GROUP, kth_largest


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
