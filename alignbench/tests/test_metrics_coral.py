"""CORAL, spectra and the shared basis: closed forms, textbook forms, and what they must not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics import (
    METRICS,
    SharedBasis,
    bures_similarity,
    coral_distance,
    coral_distance_lw,
    coral_similarity,
    covariance,
    ledoit_wolf,
    mean_distance,
    ncoral,
    ncoral_lw,
    shared_k,
    spectral_divergence,
    spectral_kl,
    spectral_ncoral,
    to_shared_basis,
)
from alignbench.stats import train_half

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def data(n: int = 60, d: int = 5, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.arange(1, d + 1), rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


def rotation(d: int, seed: int = 0) -> Matrix:
    q: Matrix = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    return q


def test_coral_distance_is_equation_one() -> None:
    x, y = data()
    difference = np.cov(x, rowvar=False) - np.cov(y, rowvar=False)
    assert coral_distance(x, y) == pytest.approx((difference**2).sum() / (4 * 25), rel=1e-12)
    assert coral_similarity(x, y) == pytest.approx(1 / (1 + (difference**2).sum() / 100), rel=1e-12)


def test_coral_does_not_see_a_shift_and_mean_distance_sees_only_that() -> None:
    x, _ = data()
    shifted = x + np.arange(5)
    assert coral_distance(x, shifted) == pytest.approx(0, abs=1e-18)
    assert mean_distance(x, shifted) == pytest.approx(np.sqrt(30), rel=1e-12)


@pytest.mark.parametrize("c", [0.5, 2.0, -3.0])
def test_coral_of_a_scaled_copy_is_the_closed_form(c: float) -> None:
    x, _ = data()
    expected = (1 - c**2) ** 2 * np.square(covariance(x)).sum() / (4 * 25)
    assert coral_distance(x, c * x) == pytest.approx(expected, rel=1e-12)
    assert ncoral(x, c * x) == pytest.approx(0, abs=1e-12)


def test_equal_widths_are_not_a_shared_basis() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 20)) * np.linspace(5, 0.1, 20) ** 2
    turned = x @ rotation(20)
    assert ncoral(x, turned) > 0.5
    assert spectral_ncoral(x, turned) == pytest.approx(0, abs=1e-12)
    based = METRICS.get("ncoral")(x, turned, align="procrustes")
    assert based < 0.01


def test_unit_rows_saturate_coral_similarity() -> None:
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(90, 768)) for _ in range(2)]
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    assert coral_similarity(x, y) > 0.999999


def test_bures_similarity_is_the_fidelity_of_matrix_roots() -> None:
    from scipy.linalg import sqrtm

    for n in (60, 4):  # more and fewer rows than columns
        x, y = data(n)
        c, d = covariance(x), covariance(y)
        root = np.real(sqrtm(c))
        expected = np.trace(np.real(sqrtm(root @ d @ root))) / np.sqrt(np.trace(c) * np.trace(d))
        assert bures_similarity(x, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_ledoit_wolf_is_that_of_scikit_learn() -> None:
    from sklearn.covariance import ledoit_wolf as reference

    for n, d in ((30, 8), (10, 25), (400, 3)):
        x = np.random.default_rng(n).normal(size=(n, d)) * np.arange(1, d + 1)
        assert ledoit_wolf(x) * (n - 1) / n == pytest.approx(reference(x)[0], rel=1e-9, abs=1e-9)


def test_shrunk_scores_compare_shrunk_covariances() -> None:
    x, y = data(12)
    c, d = ledoit_wolf(x), ledoit_wolf(y)
    assert coral_distance_lw(x, y) == pytest.approx(np.square(c - d).sum() / 100, rel=1e-10)
    assert ncoral_lw(x, y) < ncoral(x, y)
    assert "ncoral_lw" not in METRICS.names(family="coral")


def shares(x: Matrix) -> Matrix:
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False))[::-1]
    return np.asarray(values / values.sum(), dtype=np.float64)


def test_spectral_scores_are_their_formulas() -> None:
    x, y = data()
    p, q = shares(x), shares(y)
    m = (p + q) / 2
    squares = ((p - q) ** 2).sum() / ((p**2).sum() + (q**2).sum())
    assert spectral_ncoral(x, y) == pytest.approx(squares, abs=1e-12)
    js = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
    assert spectral_divergence(x, y) == pytest.approx(js, abs=1e-12)
    kl = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    assert spectral_kl(x, y) == pytest.approx(kl, abs=1e-12)


def test_spectra_of_other_widths_and_ranks_compare() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 50)), rng.normal(size=(30, 2)) @ rng.normal(size=(2, 8))
    assert 0 < spectral_divergence(x, y) < np.log(2)
    assert np.isfinite(spectral_kl(x, y))
    assert 0 < spectral_ncoral(x, y) < 1


def test_pca_basis_makes_covariances_diagonal_and_means_equal() -> None:
    x, y = data(40, 6)
    a, b = to_shared_basis(x, y @ rotation(6)[:, :4], align="pca")
    assert a.shape == b.shape == (40, 4)
    for side in (a, b):
        c = covariance(side)
        assert c - np.diag(np.diag(c)) == pytest.approx(np.zeros((4, 4)), abs=1e-10)
    assert mean_distance(a, b) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 5), (24, 50)], ids=["narrow", "wide"])
def test_procrustes_basis_undoes_rotation_scale_and_shift(shape: tuple[int, int]) -> None:
    n, d = shape
    x = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(3, 1, d)
    y = 7 * x @ rotation(d) + 5
    a, b = to_shared_basis(x, y)
    assert a == pytest.approx(b, abs=1e-9)
    assert a.shape == (n - n // 2, min(d, n // 2 // 5))


def test_the_map_is_fitted_on_the_train_half_and_scored_on_the_other() -> None:
    x, y = data(40)
    names = np.arange(40).astype(str)
    train = train_half(names, 42)
    basis = SharedBasis.fit(x[train], y[train], 4)
    p, q = basis.transform(x[train], y[train])
    assert np.trace(covariance(p)) == pytest.approx(1)
    assert np.trace(covariance(q)) == pytest.approx(1)
    spoiled = y.copy()
    spoiled[~train] = 0.5 * y[~train][::-1]
    a, b = to_shared_basis(x, y, k=4, groups=names)
    for side, held_out in zip((a, b), basis.transform(x[~train], y[~train]), strict=True):
        assert side == pytest.approx(held_out, abs=1e-12)
    a_spoiled, _ = to_shared_basis(x, spoiled, k=4, groups=names)
    assert (a == a_spoiled).all()


def test_directions_beyond_the_rank_are_zero_not_noise() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 10))
    a, b = to_shared_basis(x, rng.normal(size=(60, 10)), k=5, align="pca")
    assert np.abs(a[:, 2:]).max() == 0
    assert np.linalg.matrix_rank(b) == 5


def test_the_width_is_one_for_the_whole_run() -> None:
    assert shared_k((192, 256, 64), 45) == 9
    assert shared_k((192, 6), 45) == 6
    assert shared_k((192, 256), 4) == 1


def test_bases_that_cannot_be_are_refused() -> None:
    x, y = data(60)
    with pytest.raises(InputError, match=r"equal widths, got 5 and 3; use 'procrustes'"):
        to_shared_basis(x, y[:, :3], align="none")
    with pytest.raises(InputError, match="expected one of procrustes, pca, none, got 'cca'"):
        to_shared_basis(x, y, align="cca")
    with pytest.raises(InputError, match=r"1 <= k <= 5, the smaller width, got 6"):
        to_shared_basis(x, y, k=6)
    with pytest.raises(TooFewSamplesError, match="at least 10 train groups, half of all, got 9"):
        to_shared_basis(x[:19], y[:19])
    with pytest.raises(InputError, match="shared basis, got widths 5 and 3"):
        ncoral(x, y[:, :3])
    with pytest.raises(DegenerateError, match="y: zero variance"):
        to_shared_basis(x, np.ones((60, 5)))
