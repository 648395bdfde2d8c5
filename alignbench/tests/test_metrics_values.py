"""The forms that make values fast give the same bits as the plain forms in which they are defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics import METRICS, blocks, cknna, nearest, neighbors, retrieval, sums
from alignbench.metrics.checks import as_matrix, centered_beside, check_varies, standardized
from alignbench.metrics.distances import CLOSE, unit_rounding
from alignbench.metrics.nearest import MANY, cosine_neighbors
from alignbench.metrics.retrieval import TIE, first_hit
from alignbench.tests.traced import peak

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


def test_a_spread_near_a_power_of_two_is_scaled_like_any_other() -> None:
    """The second mean moves some of these spreads from just below 1 to 1, or the other way."""
    for seed in range(500):
        x = np.random.default_rng(seed).normal(size=(7, 3)) + 0.1
        x /= np.abs(x - x.mean(axis=0)).max()
        assert np.array_equal(standardized(x), plain_standardized(x)[0])


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


def plain_neighbors(x: np.ndarray, k: int) -> np.ndarray:
    """Weights of neighbours from all distances and their errors at once."""
    centered, given = plain_standardized(x)
    rounding = unit_rounding(x.shape[1])
    size = np.sqrt(np.einsum("ij,ij->i", given, given))
    noise = rounding * (size + size.mean())
    length = np.linalg.norm(centered, axis=1)
    nowhere = length <= noise
    length[nowhere] = 1
    unit = np.where(nowhere[:, None], 0, centered / length[:, None])
    moved = np.add.outer(*2 * [np.where(nowhere, 0, noise / length + rounding)])
    sizes = np.add.outer(*2 * [np.einsum("ij,ij->i", unit, unit)])
    distances = np.maximum(sizes - 2 * (unit @ unit.T), 0)
    for i, j in np.argwhere(distances < CLOSE * sizes):
        square = np.square(unit[i] - unit[j]).sum()
        distances[i, j] = 0 if square <= moved[i, j] ** 2 else square
    errors = moved * (2 * np.sqrt(distances) + moved) + np.where(
        distances < CLOSE * sizes, 0, sizes * rounding
    )
    either = np.logical_or.outer(nowhere, nowhere)
    distances[either], errors[either] = 2, 0
    np.fill_diagonal(distances, np.inf)
    weights: np.ndarray = np.zeros_like(distances)
    for row, (distance, error) in enumerate(zip(distances, errors, strict=True)):
        last = np.argsort(distance)[k - 1]
        reach = error + error[last]
        nearer = distance - distance[last] < -reach
        tied = ~nearer & (distance - distance[last] <= reach)
        weights[row] = nearer + tied * (k - nearer.sum()) / tied.sum()
    return weights


def _mirrored(rng: np.random.Generator) -> np.ndarray:
    """Whole numbers that sum to zero, with two rows at the center, so that many cosines are equal."""
    half = rng.integers(-2, 3, size=(64, 5)).astype(float)
    return np.concatenate([half, -half, np.zeros((2, 5))])


def _at_the_center(rng: np.random.Generator) -> np.ndarray:
    """A row that is the mean of all others, up to rounding."""
    x = rng.normal(size=(130, 12)) + 3
    x[7] = np.delete(x, 7, axis=0).mean(axis=0)
    return x


SIDES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "no ties": lambda rng: rng.normal(size=(130, 12)),
    "whole numbers": lambda rng: rng.integers(0, 3, size=(130, 6)).astype(float),
    "copied rows": lambda rng: np.repeat(rng.normal(size=(44, 7)), 3, axis=0)[:130],
    "nearly copied rows": lambda rng: (
        np.repeat(rng.normal(size=(65, 7)), 2, axis=0) + 1e-10 * rng.normal(size=(130, 7))
    ),
    "categories": lambda rng: np.eye(9)[rng.integers(0, 9, size=130)],
    "mirrored": _mirrored,
    "at the center": _at_the_center,
    "far away": lambda rng: rng.normal(size=(130, 12)) + 1e6,
    "huge": lambda rng: rng.normal(size=(130, 12)) * 1e200,
}


@pytest.mark.parametrize("whole", [sums.WHOLE, 3000])
@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("kind", SIDES)
def test_neighbors_are_those_of_the_plain_form(
    kind: str, k: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece and in blocks; shared places of ties included."""
    monkeypatch.setattr(sums, "WHOLE", whole)
    monkeypatch.setattr(blocks, "CACHED", 2000)
    x = SIDES[kind](np.random.default_rng(0))
    found = cosine_neighbors(x, k)
    np.testing.assert_allclose(found.dense(), plain_neighbors(x, k), atol=1e-15)
    assert (np.diff(found.places) > 0).all()
    assert found.weights.min() > 0


@pytest.mark.parametrize("kind", SIDES)
def test_shared_neighbors_are_the_same_from_sparse_and_from_dense_weights(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    a, b = cosine_neighbors(SIDES[kind](rng), 5), cosine_neighbors(SIDES[kind](rng), 5)
    dense = a.shared(b)
    monkeypatch.setattr(nearest, "FEW", 10)
    assert a.shared(b) == pytest.approx(dense, rel=1e-14)
    assert dense == pytest.approx((a.dense() * b.dense()).sum(), rel=1e-14)


def test_neighbors_need_no_more_memory_than_one_matrix_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 3000
    x = np.random.default_rng(0).normal(size=(n, 8))
    whole = peak(lambda: cosine_neighbors(x, 10))
    assert n * n * 8 < whole < 1.15 * n * n * 8
    monkeypatch.setattr(sums, "WHOLE", n * 100)
    assert peak(lambda: cosine_neighbors(x, 10)) < 0.15 * n * n * 8


@pytest.mark.parametrize("kind", ["no ties", "whole numbers", "copied rows", "far away"])
def test_cknna_is_the_same_from_sparse_and_from_dense_sums(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x = SIDES[kind](rng)
    y = x @ rng.normal(size=(x.shape[1], 4)) + rng.normal(size=(len(x), 4))
    orders = np.stack([rng.permutation(len(x)) for _ in range(MANY)])
    value, draw = cknna(x, y), METRICS.get("cknna").null
    assert draw is not None
    assert draw.draw is not None
    drawn = draw.draw(x, y, orders)
    np.testing.assert_array_equal(drawn, np.concatenate([draw.draw(x, y, order[None]) for order in orders]))
    assert drawn == pytest.approx([cknna(x, y[order]) for order in orders], rel=1e-9, abs=1e-12)
    monkeypatch.setattr(neighbors, "FEW", 10)
    assert cknna(x, y) == pytest.approx(value, rel=1e-12)


def test_a_side_varies_exactly_where_it_can_be_standardized() -> None:
    rng = np.random.default_rng(0)
    for mean in (0.0, 1.0, 1e300):
        for spread in (0.0, 1e-17, 1e-16, 3e-15, 1e-14, 1e-11, 1e-3, 1e5):
            x = mean + np.maximum(mean, 1e-290) * spread * rng.normal(size=(9, 4))
            for name in ("x", "y"):
                outcomes = []
                for check in (standardized, check_varies):
                    try:
                        check(x, name)
                        outcomes.append("")
                    except DegenerateError as error:
                        outcomes.append(str(error))
                assert outcomes[0] == outcomes[1]
    x = rng.normal(size=(9, 4))
    for bad in (np.nan, np.inf, -np.inf):
        x[3, 1] = bad
        with pytest.raises(InputError, match="x: 1 of 36 values are NaN or infinite"):
            check_varies(x, "x")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [m for m in METRICS if METRICS.get(m).kind == "pair"])
def test_every_pair_metric_refuses_a_bad_value_on_either_side(name: str, bad: float) -> None:
    sides = np.random.default_rng(0).normal(size=(2, 40, 6))
    for number in range(2):
        broken = sides.copy()
        broken[number, 17, 3] = bad
        with pytest.raises(InputError, match=r"[xy]: 1 of 240 values are NaN or infinite .* row 17"):
            METRICS.get(name).fn(*broken)


def plain_cknna(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """CKNNA from masks [n, n] of whole numbers, whose products are exact, so that ties are equal numbers."""
    n, kernels, masks = len(x), [], []
    for side in (x, y):
        kernel = side @ side.T
        np.fill_diagonal(kernel, -np.inf)
        border = np.sort(kernel, axis=1)[:, -k, None]
        nearer, tied = kernel > border, kernel == border
        left = k - nearer.sum(axis=1, keepdims=True)
        masks.append(nearer + tied * left / tied.sum(axis=1, keepdims=True))
        np.fill_diagonal(kernel, 0)
        kernels.append(kernel)

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        pairs = np.trace(a @ b) - 2 / (n - 2) * (a @ b).sum()
        return float(pairs + a.sum() * b.sum() / ((n - 1) * (n - 2)))

    own = [hsic(mask * kernel, mask * kernel) for mask, kernel in zip(masks, kernels, strict=True)]
    both = masks[0] * masks[1]
    return hsic(both * kernels[0], both * kernels[1]) / float(np.sqrt(own[0] * own[1]))


@pytest.mark.parametrize("limit", [10, 2000])
def test_cknna_with_shared_places_is_that_of_whole_masks(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "FEW", limit)
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, size=(70, 4)).astype(float)
    y = x + rng.integers(-1, 2, size=(70, 4))
    for k in (2, 7):
        assert cknna(x, y, k=k) == pytest.approx(plain_cknna(x, y, k), rel=1e-12)
