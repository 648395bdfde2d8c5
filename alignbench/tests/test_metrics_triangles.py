"""Products of columns by their lower triangles, against whole products."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.metrics.blocks import unbuffered
from alignbench.metrics.triangles import (
    TILE,
    add_cross_products,
    add_products,
    add_square,
    lower_product,
    mirrored,
    square_sum,
)


@pytest.mark.parametrize("d", [1, 7, TILE - 1, TILE, TILE + 1, 2 * TILE + 40])
@pytest.mark.parametrize("n", [2, 400])
def test_triangles_are_those_of_whole_products(n: int, d: int) -> None:
    rng = np.random.default_rng(d)
    x, v = rng.normal(size=(n, d)), rng.normal(size=d)
    lower = lower_product(x, 0.5)
    add_square(lower, v, -3.0)
    add_products(lower, x)
    whole = 1.5 * x.T @ x - 3 * np.outer(v, v)
    np.testing.assert_allclose(lower, np.tril(whole), rtol=1e-12, atol=1e-12 * n)
    assert square_sum(lower) == pytest.approx(float(np.square(whole).sum()), rel=1e-12)
    expected = np.tril(lower) + np.tril(lower, -1).T
    assert np.array_equal(mirrored(lower), expected)


@pytest.mark.parametrize(("n", "dx", "dy"), [(1, 1, 1), (50, 7, 3), (3, 40, 200)])
def test_cross_products_are_added_in_place(n: int, dx: int, dy: int) -> None:
    rng = np.random.default_rng(n)
    x, y, total = rng.normal(size=(n, dx)), rng.normal(size=(n, dy)), rng.normal(size=(2, dx, dy))
    expected = total[1] + x.T @ y
    add_cross_products(total[1], x, y)
    np.testing.assert_allclose(total[1], expected, rtol=1e-12, atol=1e-12)


def test_a_sum_of_squares_beyond_float64_is_infinite() -> None:
    assert square_sum(np.tril(np.full((3, 3), 1e200))) == np.inf
    assert square_sum(np.diag([1e200, 1.0])) == np.inf


def test_numpy_has_its_buffer_again_after_an_error() -> None:
    before = np.getbufsize()

    def fails() -> None:
        with unbuffered():
            assert np.getbufsize() < before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert np.getbufsize() == before
