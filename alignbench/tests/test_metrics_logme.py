"""LogME against the formula of the paper, and against the marginal likelihood itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from alignbench.metrics import METRICS, logme
from alignbench.stats import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SHAPES = [(40, 6, 9), (40, 60, 5), (25, 24, 3), (12, 3, 1), (9, 30, 4)]
NOTHING_KNOWN = -(np.log(2 * np.pi) + 1) / 2


def sides(n: int, dx: int, dy: int, noise: float = 0.5, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx))
    y = x @ rng.normal(size=(dx, dy)) / np.sqrt(dx) + noise * rng.normal(size=(n, dy))
    return x * 7 + 1, y * 0.01 - 3


def prepared(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """Return x centred, with a mean squared row length of 1, and the columns of y with unit variance."""
    x = x - x.mean(axis=0)
    y = y - y.mean(axis=0)
    return x / np.sqrt(np.square(x).sum() / len(x)), y / np.sqrt(np.square(y).mean(axis=0))


def fitted(f: Matrix, target: Matrix, steps: int = 11) -> tuple[float, float, float]:
    """Return the evidence of one target with α and β by the steps of the paper, with whole matrices."""
    n, d = f.shape
    alpha = beta = 1.0
    for _ in range(steps):
        a = alpha * np.eye(d) + beta * f.T @ f
        m = beta * np.linalg.solve(a, f.T @ target)
        gamma = sum(beta * s / (alpha + beta * s) for s in np.linalg.eigvalsh(f.T @ f))
        m2, res2 = float(m @ m), float(np.square(f @ m - target).sum())
        alpha, beta = gamma / (m2 + 1e-5), (n - gamma) / (res2 + 1e-5)
    _, volume = np.linalg.slogdet(alpha * np.eye(d) + beta * f.T @ f)
    evidence = n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi)
    return float(evidence - beta / 2 * res2 - alpha / 2 * m2 - volume / 2) / n, alpha, beta


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_formula_of_the_paper(shape: tuple[int, int, int]) -> None:
    x, y = sides(*shape)
    features, targets = prepared(x, y)
    assert logme(x, y) == pytest.approx(np.mean([fitted(features, t)[0] for t in targets.T]), abs=1e-9)


def test_the_evidence_is_the_density_of_the_targets_and_the_steps_find_its_maximum() -> None:
    """With weights integrated out, the targets are normal with covariance FFᵀ / α + I / β."""
    x, y = sides(40, 6, 1)
    features, targets = prepared(x, y)
    _, alpha, beta = fitted(features, targets[:, 0])

    def density(a: float, b: float) -> float:
        covariance = features @ features.T / a + np.eye(40) / b
        return float(multivariate_normal(np.zeros(40), covariance).logpdf(targets[:, 0])) / 40

    assert logme(x, y) == pytest.approx(density(alpha, beta), abs=1e-6)
    for a, b in ((1.05, 1), (1 / 1.05, 1), (1, 1.05), (1, 1 / 1.05)):
        assert density(alpha * a, beta * b) < density(alpha, beta)


def test_features_that_say_nothing_are_worth_nothing_and_better_ones_are_worth_more() -> None:
    rng = np.random.default_rng(0)
    assert logme(rng.normal(size=(500, 3)), rng.normal(size=(500, 20))) == pytest.approx(
        NOTHING_KNOWN, abs=0.005
    )
    values = [logme(*sides(60, 6, 9, noise=noise)) for noise in (4.0, 1.0, 0.2)]
    assert values == sorted(values)
    assert METRICS.get("logme").chance is not None
    assert METRICS.get("logme").chance(60, None, {}) == pytest.approx(NOTHING_KNOWN)  # type: ignore[misc]


def test_a_fit_without_error_is_finite_and_constant_columns_are_no_targets() -> None:
    x, y = sides(30, 4, 3)
    assert 1 < logme(x, x) < 20
    padded = np.hstack([y, np.full((30, 2), 0.1)])
    assert logme(x, padded) == pytest.approx(logme(x, y), abs=1e-12)


@pytest.mark.parametrize("kind", ["rank one", "copies", "three rows"])
def test_hostile_sides_have_a_value(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 4))
    if kind == "rank one":
        x = x[:, :1] @ rng.normal(size=(1, 50)) + 1e3
        assert logme(x, y) == pytest.approx(logme(x @ rng.normal(size=(50, 1)), y), abs=1e-6)
    elif kind == "copies":
        x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4, axis=0)
    else:
        x, y = x[:3], y[:3]
    assert np.isfinite(logme(x, y))


def test_it_sees_the_pairing() -> None:
    found = evaluate(METRICS.get("logme"), *sides(40, 6, 9), n_permutations=99, interval=False)
    assert found.null is not None
    assert found.null.p == 0.01
    assert found.null.mean == pytest.approx(NOTHING_KNOWN, abs=0.06)
