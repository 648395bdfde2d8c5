"""Above 300 rows, sides are not centred in two passes: same values, to 12 digits, and same errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import metrics
from alignbench.errors import DegenerateError, InputError
from alignbench.metrics import METRICS, small_means
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import check_varies
from alignbench.metrics.covariances import covariance
from alignbench.metrics.kernels import centered_gram
from alignbench.metrics.small_means import SmallMean
from alignbench.workshop.measure import _peers_textbook as textbook

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Array = NDArray[Any]
    Kind = Callable[[Matrix], Array]
    Score = Callable[[Array, Array], float]

N = 320
WIDE, NARROW = (90, 240), (30, 40)  # more columns than rows together, and fewer
NAMES = (
    "linear_cka",
    "calibrated_cka",
    "debiased_cka",
    "rbf_cka",
    "mutual_knn",
    "cknna",
    "rsa",
    "coral_distance",
    "ncoral",
    "bures_similarity",
    "procrustes_similarity",
)


def sides(widths: tuple[int, int] = NARROW, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(N, 6))
    x, y = (common @ rng.normal(size=(6, d)) + rng.normal(size=(N, d)) for d in widths)
    return x, y


def value(name: str, x: Array, y: Array) -> float:
    if METRICS.get(name).same_width:
        width = min(x.shape[1], y.shape[1])
        x, y = np.ascontiguousarray(x[:, :width]), np.ascontiguousarray(y[:, :width])
    score: Score = getattr(metrics, name)
    return score(x, y)


def far_mean(x: Matrix) -> Matrix:
    return x + 1e8


def medium_mean(x: Matrix) -> Matrix:
    return x + 0.05


def constant_columns(x: Matrix) -> Matrix:
    return np.where(np.arange(x.shape[1]) % 3 == 0, 0.25, x)


def far_column(x: Matrix) -> Matrix:
    return np.column_stack([1e-3 * x[:, :1] + 0.5, x[:, 1:]])


def equal_rows(x: Matrix) -> Matrix:
    return x[np.arange(N) // 4]


def row_at_the_mean(x: Matrix) -> Matrix:
    return np.concatenate([x[:-1], x[:-1].mean(axis=0, keepdims=True)])


def outlier(x: Matrix) -> Matrix:
    return x * np.where(np.arange(N) == 7, 1e5, 1.0)[:, None]


def tiny(x: Matrix) -> Matrix:
    return x * 1e-140


def huge(x: Matrix) -> Matrix:
    return x * 1e140


def some_denormal(x: Matrix) -> Matrix:
    return np.where(np.arange(x.shape[1]) % 2 == 0, 5e-324, x)


def single(x: Matrix) -> NDArray[np.float32]:
    return x.astype(np.float32)


def whole(x: Matrix) -> NDArray[np.int64]:
    return np.round(3 * x).astype(np.int64)


def by_columns(x: Matrix) -> Matrix:
    return np.asfortranarray(x)


KINDS = (
    np.copy,
    medium_mean,
    far_mean,
    constant_columns,
    far_column,
    equal_rows,
    row_at_the_mean,
    pytest.param(outlier, marks=pytest.mark.slow),
    tiny,
    huge,
    pytest.param(some_denormal, marks=pytest.mark.slow),
    single,
    whole,
    by_columns,
)


@pytest.mark.parametrize("widths", [WIDE, NARROW])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_values_are_those_of_centred_sides(
    kind: Kind, widths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = map(kind, sides(widths))
    quick = {name: value(name, x, y) for name in NAMES if (name, kind) != ("coral_distance", huge)}
    monkeypatch.setattr(small_means, "FEW", N)
    for name, found in quick.items():
        assert found == pytest.approx(value(name, x, y), rel=1e-12, abs=0), name


def test_only_sides_with_a_small_mean_in_the_range_of_float64_are_not_centred() -> None:
    def taken(kind: Kind) -> bool:
        return SmallMean.of(np.asarray(kind(sides()[0]), dtype=np.float64)) is not None

    small: tuple[Kind, ...] = (np.copy, equal_rows, outlier, some_denormal, single, whole)
    others: tuple[Kind, ...] = (far_mean, tiny, huge, by_columns)
    assert all(map(taken, small))
    assert not any(map(taken, others))
    assert SmallMean.of(sides()[0][:FEW]) is None


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("linear_cka", textbook.cka_of_features),
        ("debiased_cka", textbook.debiased_of_features),
        ("rbf_cka", lambda x, y: textbook.rbf(x, y, textbook.squared_by_pairs)),
        ("mutual_knn", lambda x, y: textbook.mutual(x, y, 10, textbook.nearest_by_partition)),
        ("rsa", lambda x, y: textbook.rsa(x, y, textbook.squared_by_pairs)),
        ("procrustes_similarity", lambda x, y: textbook.procrustes(x, y, textbook.singular_of_numpy)),
    ],
)
@pytest.mark.parametrize("widths", [WIDE, NARROW])
def test_values_are_those_of_textbooks(name: str, form: Score, widths: tuple[int, int]) -> None:
    x, y = sides(widths)
    assert value(name, x, y) == pytest.approx(form(x, y), rel=1e-11)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(name: str, bad: float) -> None:
    x, y = sides((30, 30))
    y[200, 3] = bad
    with pytest.raises(InputError, match=r"y: 1 of 9600 values are NaN or infinite .* the first in row 200"):
        value(name, x, y)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 1.0, 1e-160])
def test_a_side_without_variance_is_refused(name: str, level: float) -> None:
    x, y = sides((30, 30))
    with pytest.raises(DegenerateError, match=r"x: zero variance"):
        value(name, np.full_like(x, level), y)


def test_the_mean_is_small_up_to_a_stated_share_and_no_further() -> None:
    x = sides(WIDE)[0]
    x -= x.mean(axis=0)
    step = np.zeros(x.shape[1])
    step[0] = np.sqrt(small_means.LARGEST_SHARE * float(np.vdot(x, x)) / np.sqrt(x.shape[1]) / N)
    assert SmallMean.of(x + 0.9 * step) is not None
    assert SmallMean.of(x + 1.1 * step) is None
    norms = [float(np.linalg.norm(product)) for side in (x, x + 0.9 * step) for product in (side @ side.T,)]
    assert norms[1] < 3 * norms[0]


def test_gram_matrix_and_covariance_are_those_of_centred_rows() -> None:
    for x in (sides()[0], far_column(sides()[0]), far_mean(sides()[0])):
        a = x - x.mean(axis=0)
        a -= a.mean(axis=0)
        gram = centered_gram(x, "x")
        np.testing.assert_allclose(gram / np.trace(gram), a @ a.T / np.vdot(a, a), rtol=1e-10, atol=1e-15)
        assert np.abs(covariance(x) / (a.T @ a / (N - 1)) - 1)[0, 0] < 1e-12


def test_the_far_column_is_why_a_covariance_looks_at_each_column() -> None:
    x = far_column(sides()[0])
    mean = SmallMean.of(x)
    assert mean is not None
    assert mean.lower_covariance() is None
    check_varies(x)


def of_long_doubles(x: Matrix, y: Matrix, debiased: bool) -> float:
    """Linear or debiased CKA of centred columns, with 64 bits of each number instead of 53."""
    a, b = (side - side.mean(axis=0) for side in (x.astype(np.longdouble), y.astype(np.longdouble)))
    n = len(a)

    def term(p: Array, q: Array) -> np.longdouble:
        norm = np.square(p.T @ q).sum()
        if not debiased:
            return np.longdouble(norm)
        squares_p, squares_q = np.square(p).sum(axis=1), np.square(q).sum(axis=1)
        hsic = norm - (squares_p @ squares_q) * n / np.longdouble(n - 2)
        return np.longdouble(hsic + squares_p.sum() * squares_q.sum() / ((n - 1) * np.longdouble(n - 2)))

    return float(term(a, b) / np.sqrt(term(a, a) * term(b, b)))


def uneven_means(x: Matrix) -> Matrix:
    powers = np.arange(x.shape[1])
    result: Matrix = x * 10.0 ** (powers % 5) + 10.0 ** (powers % 9)
    return result


def small_spread(x: Matrix) -> Matrix:
    return x * 1e-30 + 1e-23


def far_outlier(x: Matrix) -> Matrix:
    return outlier(x) + 1e6


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no longer than double here")
@pytest.mark.parametrize(
    "kind", [far_mean, uneven_means, small_spread, far_outlier], ids=lambda k: k.__name__
)
@pytest.mark.parametrize("widths", [WIDE, NARROW])
def test_shifted_sides_lose_no_digit(kind: Kind, widths: tuple[int, int]) -> None:
    x, y = map(kind, sides(widths))
    assert SmallMean.of(x) is None
    assert SmallMean.of_shifted(x) is not None
    assert metrics.linear_cka(x, y) == pytest.approx(of_long_doubles(x, y, debiased=False), rel=1e-13)
    lost = 1e-9 if kind is far_outlier else 1e-13  # terms of one long row cancel, centred in two passes, too
    assert metrics.debiased_cka(x, y) == pytest.approx(of_long_doubles(x, y, debiased=True), rel=lost)


def test_what_is_left_of_the_mean_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = map(uneven_means, sides(WIDE))
    expected = [value(name, x, y) for name in NAMES]
    shifted = SmallMean.of_shifted(x)
    assert shifted is not None
    moved: Matrix = shifted.rows + np.sqrt(0.2 / N * np.vdot(shifted.rows, shifted.rows) / x.shape[1] ** 1.5)
    mean = SmallMean.of(moved)
    assert mean is not None
    assert mean.square > 0
    monkeypatch.setattr(SmallMean, "of_shifted", lambda side: mean if side is x else SmallMean.of(side))
    assert [value(name, x, y) for name in NAMES] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("level", [0.1, 1e8, -1e-30])
def test_rows_that_differ_by_rounding_alone_are_not_shifted(level: float) -> None:
    rng = np.random.default_rng(0)
    x = np.asarray(level * (1 + 1e-16 * rng.integers(-2, 3, size=(N, 30))), dtype=np.float64)
    assert SmallMean.of_shifted(x) is None
    with pytest.raises(DegenerateError, match=r"x: zero variance"):
        metrics.linear_cka(x, sides()[0])
    assert SmallMean.of_shifted(x + level * 1e-6 * sides()[0]) is not None


@pytest.mark.parametrize("name", ["linear_cka", "debiased_cka"])
def test_nulls_and_deletions_are_those_of_centred_sides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = METRICS.get(name)
    x, y = sides(WIDE)
    blocks = np.array_split(np.arange(N), 5)
    assert metric.null is not None
    assert metric.null.moments is not None
    assert metric.deletions is not None

    def all_of() -> list[float]:
        assert metric.null is not None
        assert metric.null.moments is not None
        assert metric.deletions is not None
        moments = metric.null.moments(x, y, None)
        deleted = metric.deletions(x, y, blocks)
        assert deleted is not None
        return [moments.mean, moments.variance, moments.third, *deleted]

    quick = all_of()
    monkeypatch.setattr(small_means, "FEW", N)
    assert quick == pytest.approx(all_of(), rel=1e-10, abs=1e-17)


@pytest.mark.parametrize("name", ["linear_cka", "debiased_cka"])
def test_sides_whose_squares_are_beyond_float64_keep_their_scores(name: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 320, 6))
    metric = METRICS.get(name)
    assert metric(x * 2.0**1000 + 2.0**1000, y) == pytest.approx(metric(x + 1, y), rel=1e-9)
