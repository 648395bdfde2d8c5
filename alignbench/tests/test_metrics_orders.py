"""The order of many numbers, and ranks of those that are left, are those of plain sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import rankdata

from alignbench.metrics import orders
from alignbench.metrics.orders import Order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

KINDS = ["plain", "ties", "copies and zeros", "wide", "one far away", "last digits", "equal", "signs"]


def numbers(kind: str, m: int = 3000) -> Vector:
    rng = np.random.default_rng(0)
    values: Vector = rng.random(m)
    if kind == "ties":
        values = np.round(values, 2)
    if kind == "copies and zeros":
        values[::3] = 0.0
        values[1::3] = values[1]
        values[5::9] *= -0.0
    if kind == "wide":
        values = rng.standard_normal(m) ** 200
    if kind == "one far away":
        values[7] = 1e300
    if kind == "last digits":  # in any order, and equal up to the last bits
        values = np.where(values < 0.5, 1.0, 0.25) + rng.integers(0, 9, m) * 2.0**-52
        values[0] = 1e-300
    if kind == "equal":
        values[:] = 0.7
    return values - 0.5 if kind == "signs" else values


@pytest.mark.parametrize("bits", [64, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_many_numbers_have_the_ranks_of_few(kind: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = numbers(kind)
    errors = np.random.default_rng(1).random(len(values)) * 1e-5
    expected = Order.of(values, errors).ranks()
    monkeypatch.setattr(orders, "MANY", 10)
    monkeypatch.setattr(orders, "_BITS", bits)
    np.testing.assert_array_equal(Order.of(values).ranks(), rankdata(values))
    np.testing.assert_array_equal(Order.of(values, errors).ranks(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_of_what_is_left_are_ranks_of_it_alone(kind: str) -> None:
    values = numbers(kind)
    for seed, share in enumerate((0.0, 0.1, 0.9, 1.0)):
        left = np.random.default_rng(seed).random(len(values)) < share
        order = Order.of(values)
        by_place = left[order.order]
        ranks = rankdata(values[order.order][by_place])
        found = order.centered(by_place)
        np.testing.assert_array_equal(found[by_place], 2 * ranks - (len(ranks) + 1))
        assert not found[~by_place].any()
        np.testing.assert_array_equal(order.order[order.places()], np.arange(len(values)))
