"""CKNNA is what was published: against the authors' formula, written out anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics import METRICS, cknna
from alignbench.stats import evaluate
from alignbench.stats.permutation import draw_permutations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def sides(
    n: int, dx: int, dy: int, shared: int = 0, seed: int = 0, offset: float = 0.0
) -> tuple[Matrix, Matrix]:
    """Return two sides of unit rows that have `shared` columns in common."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, dx)) + offset, rng.normal(size=(n, dy)) + offset
    y[:, :shared] = x[:, :shared]
    return unit(x), unit(y)


def unit(x: Matrix) -> Matrix:
    rows: Matrix = x / np.linalg.norm(x, axis=1, keepdims=True)
    return rows


def mask_of(kernel: Matrix, k: int) -> Matrix:
    """Return a 1 for each of the k largest entries of a row without the diagonal, a row at a time."""
    mask = np.zeros_like(kernel)
    for i, row in enumerate(kernel):
        others = [j for j in range(len(row)) if j != i]
        for j in sorted(others, key=lambda j: -row[j])[:k]:
            mask[i, j] = 1
    return mask


def unbiased_hsic(a: Matrix, b: Matrix) -> float:
    """Return Song et al. (2012), eq. 5, term by term."""
    n, one = len(a), np.ones(len(a))
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    terms = np.trace(a @ b) + (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
    return float((terms - 2 / (n - 2) * (one @ a @ b @ one)) / (n * (n - 3)))


def published(x: Matrix, y: Matrix, k: int) -> float:
    """Return the formula of Huh et al. (2024) as their code has it, without its 1e-6 in the denominator."""
    kernel_x, kernel_y = x @ x.T, y @ y.T
    near_x, near_y = mask_of(kernel_x, k), mask_of(kernel_y, k)
    both = near_x * near_y
    own_x = unbiased_hsic(near_x * kernel_x, near_x * kernel_x)
    own_y = unbiased_hsic(near_y * kernel_y, near_y * kernel_y)
    return float(unbiased_hsic(both * kernel_x, both * kernel_y) / np.sqrt(own_x * own_y))


@pytest.mark.parametrize("offset", [0.0, 3.0], ids=["around the origin", "off the origin"])
@pytest.mark.parametrize(
    ("n", "k", "dx", "dy", "shared"),
    [
        (5, 2, 3, 4, 2),
        (12, 3, 2, 9, 1),
        (40, 2, 8, 8, 8),
        (40, 10, 30, 5, 0),
        (90, 10, 64, 96, 20),
        (90, 60, 4, 3, 3),
    ],
)
def test_it_is_the_published_formula(n: int, k: int, dx: int, dy: int, shared: int, offset: float) -> None:
    x, y = sides(n, dx, dy, shared, offset=offset)
    assert cknna(x, y, k=k) == pytest.approx(published(x, y, k), abs=1e-11)
    assert cknna(y, x, k=k) == pytest.approx(published(y, x, k), abs=1e-11)


def test_rows_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)) + 1, rng.normal(size=(40, 7)) + 1
    assert cknna(x, y, k=6) == pytest.approx(published(x, y, 6), abs=1e-12)
    assert cknna(x - x.mean(axis=0), y, k=6) != pytest.approx(cknna(x, y, k=6), abs=0.01)


@pytest.mark.parametrize("n", [100, 500])
def test_independent_data_get_about_nothing(n: int) -> None:
    """A mask that all three terms had in common gave .97 here."""
    drawn = [cknna(*sides(n, 64, 96, seed=seed)) for seed in range(5)]
    assert abs(np.mean(drawn)) < 1.2 * 10 / n


def test_equal_sides_get_one_and_what_they_share_counts() -> None:
    x, y = sides(200, 20, 20, 12)
    assert cknna(x, x) == pytest.approx(1, abs=1e-12)
    assert 0.1 < cknna(x, y) < 0.9


def test_a_re_pairing_is_the_score_of_re_paired_rows() -> None:
    x, y = sides(30, 6, 4, 3)
    x[3], y[5], y[6] = x[7], y[9], y[9]  # ties, so that masks have fractions
    draw = METRICS.get("cknna").null
    assert draw is not None
    assert draw.draw is not None
    permutations = draw_permutations(30, 20, np.random.default_rng(0))
    expected = [cknna(x, y[p], k=4) for p in permutations]
    np.testing.assert_allclose(draw.draw(x, y, permutations, k=4), expected, rtol=0, atol=1e-12)


def test_ties_are_broken_neither_by_rounding_nor_by_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    x = unit(rng.normal(size=(12, 3)))
    y = unit(x + 0.4 * rng.normal(size=(12, 3)))
    x[9] = x[10] = x[11]
    found = evaluate(METRICS.get("cknna"), x, y, params={"k": 4}, n_permutations=0).value
    turned = x @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert cknna(turned, y, k=4) == pytest.approx(found, abs=1e-12)
    order = rng.permutation(12)
    assert cknna(x[order], y[order], k=4) == pytest.approx(found, abs=1e-12)


def test_a_denominator_that_is_not_above_zero_is_no_number() -> None:
    x = np.random.default_rng(156).normal(size=(5, 2))
    with pytest.raises(DegenerateError, match=r"unbiased HSIC of x's neighbourhoods .* is not above 0"):
        cknna(x, np.random.default_rng(0).normal(size=(5, 2)), k=3)
    with pytest.raises(DegenerateError, match="unbiased HSIC of y's"):
        cknna(sides(8, 3, 3)[0], np.eye(8))  # all at right angles: no neighbour has a product


def test_sides_without_a_common_neighbour_get_zero() -> None:
    angles = 2 * np.pi * np.arange(7) / 7
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    y = np.stack([np.cos(3 * angles), np.sin(3 * angles)], axis=1)
    assert cknna(x, y, k=2) == 0


@pytest.mark.parametrize("k", [1, 0, 39, 100])
def test_impossible_numbers_of_neighbours_are_refused(k: int) -> None:
    with pytest.raises(InputError, match=rf"2 <= k <= n - 2 = 38 neighbours, got {k}") as caught:
        cknna(*sides(40, 3, 3), k=k)
    assert not isinstance(caught.value, TooFewSamplesError)
