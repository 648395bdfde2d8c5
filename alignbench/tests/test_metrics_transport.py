"""Gromov-Wasserstein against POT, against the definition with four indices, and over all permutations."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.optimize import linprog

from alignbench.errors import DegenerateError
from alignbench.metrics import METRICS, couplings, gw_distance, gw_identity, gw_parts, transport
from alignbench.metrics.couplings import conditional_gradient, distortion
from alignbench.metrics.transport import angles, matched_angles
from alignbench.stats import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def sides(n: int, shared: int = 4, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, shared))
    return np.hstack([common, rng.normal(size=(n, 3))]), np.hstack([common, rng.normal(size=(n, 5))])


def naive_angles(x: Matrix) -> Matrix:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    result: Matrix = np.arccos(np.clip(unit @ unit.T, -1, 1))
    np.fill_diagonal(result, 0)
    return result


def naive_distortion(a: Matrix, b: Matrix, coupling: Matrix) -> float:
    """Return the sum over all four indices."""
    difference = a[:, None, :, None] - b[None, :, None, :]
    return float(np.einsum("ijkl,ij,kl->", difference**2, coupling, coupling))


def naive_solver(a: Matrix, b: Matrix, steps: int = 100) -> float:
    """Conditional gradients whose steps are linear programs, and whose lines are parabolas."""
    n = len(a)
    coupling = np.full((n, n), 1 / n**2)
    marginals = np.concatenate([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    value = naive_distortion(a, b, coupling)
    for _ in range(steps):
        gradient = 2 * np.einsum("ijkl,kl->ij", (a[:, None, :, None] - b[None, :, None, :]) ** 2, coupling)
        found = linprog(gradient.ravel(), A_eq=marginals, b_eq=np.full(2 * n, 1 / n), method="highs-ds")
        other = found.x.reshape(n, n)
        middle, end = (naive_distortion(a, b, (1 - s) * coupling + s * other) for s in (0.5, 1.0))
        bend, slope = 2 * (end - 2 * middle + value), 4 * middle - 3 * value - end
        ends = (0.0, 1.0, *((min(1, max(0, -slope / (2 * bend))),) if bend > 0 else ()))
        step = min(ends, key=lambda s: bend * s * s + slope * s)
        coupling = (1 - step) * coupling + step * other
        before, value = value, naive_distortion(a, b, coupling)
        if before - value < 1e-12:
            break
    return value


@pytest.mark.parametrize(("n", "seed"), [(4, 0), (6, 0), (9, 0), (9, 1), (9, 2), (9, 3)])
def test_the_solver_is_the_one_with_four_indices_and_linear_programs(n: int, seed: int) -> None:
    a, b = (naive_angles(side) for side in sides(n, seed=seed))
    assert conditional_gradient(a, b) == pytest.approx(naive_solver(a, b), abs=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_steps_stop_between_two_couplings_where_the_minimum_is_there(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances that grow where the others shrink have no best permutation: each line is convex."""
    monkeypatch.setattr(couplings, "STEPS", steps)
    a, b = (naive_angles(side) for side in sides(5, shared=1))
    start = np.full((5, 5), 1 / 25)
    value = conditional_gradient(a, b.max() - b)
    assert value == pytest.approx(naive_solver(a, b.max() - b, steps), abs=1e-9)
    assert value < naive_distortion(a, b.max() - b, start)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 90, 200])
def test_the_solver_is_that_of_pot(n: int) -> None:
    ot: Any = pytest.importorskip("ot", reason="POT is not installed; it is in the extra `test`")
    a, b = matched_angles(*sides(n))
    weights = np.full(n, 1 / n)
    _, log = ot.gromov.gromov_wasserstein(a, b, weights, weights, "square_loss", log=True)
    assert conditional_gradient(a, b) == pytest.approx(float(log["gw_dist"]), abs=1e-9)
    start = np.random.default_rng(0).permutation(n)
    given = np.zeros((n, n))
    given[np.arange(n), start] = 1 / n
    _, log = ot.gromov.gromov_wasserstein(a, b, weights, weights, "square_loss", log=True, G0=given)
    assert conditional_gradient(a, b, start) == pytest.approx(float(log["gw_dist"]), abs=1e-9)


def test_a_coupling_of_rows_has_the_distortion_of_the_definition() -> None:
    a, b = matched_angles(*sides(7))
    order = np.random.default_rng(0).permutation(7)
    assert distortion(a, b, order) == pytest.approx(naive_distortion(a, b, np.eye(7)[order] / 7), abs=1e-14)


def test_angles_are_those_of_cosines_and_exact_where_cosines_are_not() -> None:
    x, _ = sides(30)
    assert angles(x, "x") == pytest.approx(naive_angles(x), abs=1e-9)
    lengths = 10.0 ** np.linspace(-200, 200, 30)[:, None]
    assert angles(x * lengths, "x") == pytest.approx(angles(x, "x"), abs=2e-10)
    few = np.array([[1, 0], [1, 1e-9], [-1, 0], [0, 3], [1, 0]], dtype=np.float64)
    expected = [0, 1e-9, np.pi, np.pi / 2, 0]
    assert angles(few, "x")[0] == pytest.approx(expected, abs=1e-10)
    assert angles(few, "x")[0, 4] == 0


def test_the_distances_of_x_get_the_median_of_those_of_y() -> None:
    x, y = sides(31)
    a, b = matched_angles(x, y)
    medians = [np.median([m[i, j] for i in range(31) for j in range(i)]) for m in (a, b)]
    assert medians[0] == pytest.approx(medians[1], rel=1e-12)
    assert a / a.max() == pytest.approx(naive_angles(x) / naive_angles(x).max(), abs=1e-8)


def test_equal_sides_are_matched_whatever_their_order() -> None:
    x, _ = sides(40)
    rng = np.random.default_rng(0)
    turned = (x @ np.linalg.qr(rng.normal(size=(7, 7)))[0])[rng.permutation(40)] * 3
    assert gw_distance(x, turned) == pytest.approx(0, abs=1e-7)
    assert gw_identity(x, turned) > 0.1


def test_starts_that_do_not_know_the_pairs_stay_above_the_distortion_at_the_pairs() -> None:
    """What the solver finds says how far it gets as much as how alike the sides are."""
    x, y = sides(60, shared=20)
    parts = gw_parts(x, y)
    value = gw_distance(x, y)
    assert parts["true_pairs"] < parts["best"] <= value <= parts["worst"]
    assert parts["true_pairs"] ** 2 == pytest.approx(gw_identity(x, y), abs=1e-12)
    assert gw_parts(x, y) == parts


def test_many_pairs_are_sampled_and_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST", 30)
    x, y = sides(50)
    found = evaluate(METRICS.get("gw_distance"), x, y, interval=False)
    assert found.flags == ("subsampled",)
    assert (found.parts["pairs"], found.parts["of"]) == (30, 50)
    assert found.null is None
    few = evaluate(METRICS.get("gw_distance"), x[:30], y[:30], interval=False)
    assert few.flags == ()
    assert evaluate(METRICS.get("gw_distance"), x, y, interval=False, seed=1).value != found.value


@pytest.mark.parametrize("score", [gw_distance, gw_identity])
def test_sides_without_directions_are_refused(score: Any) -> None:
    x, y = sides(12)
    x[5] = 0
    with pytest.raises(DegenerateError, match="x: row 5 is all zeros"):
        score(x, y)
    y[:10] = y[0]
    with pytest.raises(DegenerateError, match="y: zero variance: most rows have the same direction"):
        score(sides(12)[0], y)


def test_ties_are_decided_by_names_and_not_by_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    x, y = np.eye(4)[np.arange(16) % 4], np.eye(4)[np.arange(16) // 4] + 0.0
    names, order = np.arange(16), rng.permutation(16)
    turned = (x @ np.linalg.qr(rng.normal(size=(4, 4)))[0])[order]
    assert gw_distance(turned, y[order], groups=names[order]) == pytest.approx(
        gw_distance(x, y, groups=names), abs=1e-9
    )


def test_ties_know_neither_the_pairs_nor_how_a_side_is_turned() -> None:
    """On a ring, all rows have the same mean angle, so that any first assignment is as good as another."""
    turns = 2 * np.pi * np.arange(15) / 15
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    value = gw_distance(ring, ring)
    assert value > 0.1
    assert gw_identity(ring, ring) == 0
    for seed in range(3):
        turned = ring @ np.linalg.qr(np.random.default_rng(seed).normal(size=(2, 2)))[0]
        assert gw_distance(turned, ring) == value


def test_the_null_of_the_distortion_is_that_of_all_permutations() -> None:
    x, y = sides(6)
    a, b = matched_angles(x, y)
    values = [distortion(a, b, np.asarray(order)) for order in permutations(range(6))]
    null = METRICS.get("gw_identity").null
    assert null is not None
    assert null.exact is not None
    assert null.exact(x, y) == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
    assert null.within_mean is not None
    codes = np.asarray([0, 0, 1, 1, 1, 0])
    orders = np.asarray(list(permutations(range(6))))
    inside = np.asarray(values)[(codes[orders] == codes).all(axis=1)]
    assert null.within_mean(x, y, codes) == pytest.approx(np.mean(inside), rel=1e-9)


def test_more_than_300_pairs_have_a_p_without_drawing() -> None:
    shared, unrelated = sides(310, shared=3), (sides(310)[0], sides(310, seed=1)[1])
    found, nothing = (
        evaluate(METRICS.get("gw_identity"), *pair, interval=False).null for pair in (shared, unrelated)
    )
    assert found is not None
    assert nothing is not None
    assert found.p_kind == nothing.p_kind == "closed_form"
    assert found.p == 1e-6
    assert nothing.p is not None
    assert nothing.p > 0.01
