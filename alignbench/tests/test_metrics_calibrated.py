"""Calibrated scores: chance is 0 and identity 1, by the mean over all re-pairings."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics import METRICS, calibrated
from alignbench.metrics.neighbors import cknna_mean
from alignbench.stats import evaluate
from alignbench.stats.permutation import draw_permutations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics import NullModel

    Matrix = NDArray[np.float64]

BASES = {
    "calibrated_mutual_knn": "mutual_knn",
    "calibrated_cknna": "cknna",
    "calibrated_rsa": "rsa",
    "calibrated_procrustes": "procrustes_similarity",
}
EXACT = [name for name in BASES if name != "calibrated_procrustes"]
EVERY = np.array(list(permutations(range(6))))


def sides(n: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 5)), rng.normal(size=(n, 4))
    y[:, :2] += x[:, :2]
    return x, y


def null(name: str) -> NullModel:
    found = METRICS.get(name).null
    assert found is not None
    return found


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("copies", [False, True])
def test_chance_is_the_mean_over_every_permutation(name: str, copies: bool) -> None:
    x, y = sides(6)
    if copies:
        x[1], y[4] = x[2], y[5]
    of_base, draw = null(BASES[name]).draw, null(name).draw
    assert of_base is not None
    assert draw is not None
    base = of_base(x, y, EVERY)
    expected = (base - base.mean()) / (1 - base.mean())
    found = [METRICS.get(name)(x, y[p]) for p in EVERY[::50]]
    assert found == pytest.approx(expected[::50], abs=1e-10)
    assert draw(x, y, EVERY[::50]) == pytest.approx(expected[::50], abs=1e-10)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 3), (6, 4)])
def test_the_mean_of_cknna_is_that_of_every_permutation(n: int, k: int) -> None:
    every = np.array(list(permutations(range(n))))
    draw = null("cknna").draw
    assert draw is not None
    for seed in range(3):
        x, y = sides(n, seed)
        expected = float(draw(x, y, every, k=k).mean())
        assert cknna_mean(x, y, k=k) == pytest.approx(expected, abs=1e-12)


def test_the_mean_of_cknna_in_a_larger_sample() -> None:
    x, y = sides(60, 3)
    draw = null("cknna").draw
    assert draw is not None
    drawn = draw(x, y, draw_permutations(60, 2000, np.random.default_rng(0)))
    error = float(drawn.std()) / np.sqrt(len(drawn))
    assert cknna_mean(x, y) == pytest.approx(float(drawn.mean()), abs=4 * error)


def test_drawn_chance_is_near_the_mean_and_fixed_by_seed_and_names() -> None:
    x, y = sides(40)
    metric, base = METRICS.get("calibrated_procrustes"), METRICS.get("procrustes_similarity")
    model = null("procrustes_similarity")
    assert model.draw is not None
    drawn = model.draw(x, y, draw_permutations(40, 2000, np.random.default_rng(0)))
    expected = (base(x, y) - drawn.mean()) / (1 - drawn.mean())
    names = np.array([f"sample {i}" for i in range(40)])
    assert metric(x, y, groups=names) == pytest.approx(float(expected), abs=0.03)
    order = np.random.default_rng(1).permutation(40)
    assert metric(x[order], y[order], groups=names[order]) == pytest.approx(metric(x, y, groups=names))
    assert metric(y, x, groups=names) == pytest.approx(metric(x, y, groups=names))
    assert metric(x, y, groups=names, seed=1) != metric(x, y, groups=names)


def test_draws_have_the_scale_of_the_pairs_that_are_permuted() -> None:
    x, y = sides(30)
    orders = np.vstack([np.arange(30), draw_permutations(30, 5, np.random.default_rng(0))])
    own, base = null("calibrated_procrustes").draw, null("procrustes_similarity").draw
    assert own is not None
    assert base is not None
    calibrated_draws, plain = own(x, y, orders), base(x, y, orders)
    assert calibrated_draws[0] == pytest.approx(METRICS.get("calibrated_procrustes")(x, y))
    assert (1 - calibrated_draws) / (1 - calibrated_draws[0]) == pytest.approx((1 - plain) / (1 - plain[0]))


@pytest.mark.parametrize("name", BASES)
def test_an_evaluation_has_chance_at_0_and_the_p_of_its_base(name: str) -> None:
    x, y = sides(40)
    types = np.array(["a", "b"] * 20)
    own, base = (
        evaluate(METRICS.get(metric), x, y, labels=types, n_permutations=199, interval=False)
        for metric in (name, BASES[name])
    )
    assert own.null is not None
    assert own.null.p is not None
    assert own.null.p <= 0.02
    assert own.null.mean == pytest.approx(0, abs=0.05)
    if name in EXACT:
        assert own.null.mean == 0.0
    if name in ("calibrated_mutual_knn", "calibrated_rsa"):
        assert base.null is not None
        assert own.null.within_mean is not None
        assert base.null.mean is not None
        assert base.null.within_mean is not None
        room = 1 - base.null.mean
        assert own.null.within_mean == pytest.approx((base.null.within_mean - base.null.mean) / room)


@pytest.mark.slow
def test_with_many_rows_p_has_the_closed_form_of_the_base() -> None:
    x, y = sides(310)
    own, base = (evaluate(METRICS.get(m), x, y, interval=False) for m in ("calibrated_rsa", "rsa"))
    assert own.null == base.null
    x, y = np.random.default_rng(0).normal(size=(2, 310, 4))
    own, base = (
        evaluate(METRICS.get(metric), x, y, interval=False)
        for metric in ("calibrated_mutual_knn", "mutual_knn")
    )
    assert own.null is not None
    assert base.null is not None
    assert own.null.p == pytest.approx(base.null.p)
    assert own.null.p_kind == base.null.p_kind


def test_any_score_of_the_pairing_can_be_calibrated() -> None:
    x, y = sides(30)
    own = calibrated(METRICS.get("linear_cka"), "mine")
    assert own(x, y) == pytest.approx(METRICS.get("calibrated_cka")(x, y), abs=1e-12)
    assert own.self_value == 1.0
    assert own.default is False
    plain = replace(METRICS.get("linear_cka"), null=None, name="plain")
    drawn = calibrated(plain, "drawn")
    assert drawn(x, y) == pytest.approx(own(x, y), abs=0.05)
    assert "plain" in str(drawn.fn.__doc__)


def test_a_score_that_takes_groups_and_a_seed_itself_gets_them() -> None:
    x, y = sides(30)
    base, own = METRICS.get("ridge_r2"), calibrated(METRICS.get("ridge_r2"), "mine")
    names, order = np.array([f"sample {i}" for i in range(30)]), np.random.default_rng(1).permutation(30)
    found = own(x, y, groups=names, seed=3)
    assert own(x[order], y[order], groups=names[order], seed=3) == pytest.approx(found)
    assert base.null is not None
    assert base.null.draw is not None
    drawn = base.null.draw(
        x, y, draw_permutations(30, 99, np.random.default_rng(0)), groups=names, seed=3
    ).mean()
    assert found == pytest.approx((base(x, y, groups=names, seed=3) - drawn) / (1 - drawn), abs=0.02)


@pytest.mark.parametrize("name", ["coral_distance", "ncoral", "eas"])
def test_a_score_that_shuffling_leaves_alone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: only a score of pairs that sees the pairing"):
        calibrated(METRICS.get(name), "mine")


def test_there_is_no_scale_where_chance_is_the_best_value() -> None:
    certain = replace(METRICS.get("rsa"), name="certain", fn=lambda x, y: 1.0, null=None)
    with pytest.raises(DegenerateError, match=r"^certain: shuffled pairs get 1, the best possible value"):
        calibrated(certain, "mine")(*sides(10))
