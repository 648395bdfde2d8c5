"""How the growth of the page's memory is judged."""

from __future__ import annotations

import pytest

from alignbench.workshop.measure.page import growth_per_100


def test_the_slope_of_the_last_half_counts() -> None:
    warming_up = [(20, 500.0), (40, 900.0), (60, 1000.0)]
    assert growth_per_100([*warming_up, (80, 1000.0), (100, 1001.0), (120, 1002.0)]) == pytest.approx(5)
    assert growth_per_100([*warming_up, (80, 1000.0), (100, 1000.0), (120, 1000.0)]) == 0


def test_one_late_collection_does_not_decide() -> None:
    flat = [(20 * i, 1000.0) for i in range(1, 21)]
    flat[15] = (320, 1400.0)
    assert growth_per_100(flat) == 0


def test_fewer_than_two_measurements_have_no_slope() -> None:
    assert growth_per_100([]) == 0
    assert growth_per_100([(20, 1000.0)]) == 0
