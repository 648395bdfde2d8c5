"""ELAS: four parts as they are defined, high where a projector carries over, low where pairs are shuffled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.experiments.elas.score import elas_score
from alignbench.experiments.repeats import Repeats
from alignbench.hidden import Patches
from alignbench.metrics import ELAS_WEIGHTS, elas, elas_parts, linear_cka
from alignbench.projectors import PROJECTORS
from alignbench.tests.pairs import make_pair
from alignbench.tests.toys import copy_benchmarks, run, scores

QUICK = Repeats(splits=3, seeds=2, epochs=60)
TRAIN = np.array([True] * 6 + [False] * 3)


def parts(prediction, y) -> dict[str, float]:
    return elas_parts(0.5, prediction, y, TRAIN, ~TRAIN)


def test_parts_are_those_of_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(9, 4)) + 5
    f = y + 0.3 * rng.normal(size=(9, 4))
    mean = [sum(y[i][j] for i in range(6)) / 6 for j in range(4)]
    error, fitted = (
        sum((f[i][j] - y[i][j]) ** 2 for i in rows for j in range(4)) / (4 * len(rows))
        for rows in (range(6, 9), range(6))
    )
    variance = sum((y[i][j] - mean[j]) ** 2 for i in range(6, 9) for j in range(4)) / 12
    cosines = []
    for i in range(6, 9):
        a, b = f[i] - mean, y[i] - mean
        cosines.append(sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5))
    expected = {
        "linear_cka": 0.5,
        "1 - mse": 1 - error / variance,
        "1 - gap": 1 - abs(error - fitted) / max(error, fitted),
        "cosine": sum(cosines) / 3,
    }
    assert parts(f, y) == pytest.approx(expected)
    weighted = [0.3 * 0.5, 0.3 * expected["1 - mse"], 0.2 * expected["1 - gap"], 0.2 * expected["cosine"]]
    assert elas(parts(f, y)) == pytest.approx(sum(weighted))


def test_a_perfect_projection_gets_all_of_its_parts() -> None:
    y = np.random.default_rng(1).normal(size=(9, 4))
    assert parts(y, y) == {"linear_cka": 0.5, "1 - mse": 1.0, "1 - gap": 1.0, "cosine": pytest.approx(1)}


def test_worse_than_the_train_mean_is_0_not_less() -> None:
    y = np.random.default_rng(1).normal(size=(9, 4))
    f = np.where(TRAIN[:, None], y, -y)
    found = parts(f, y)
    assert found["1 - mse"] == 0
    assert found["1 - gap"] == 0
    assert found["cosine"] == 0


def test_what_has_no_parts_is_refused() -> None:
    y = np.random.default_rng(1).normal(size=(9, 4))
    with pytest.raises(DegenerateError, match="all equal the train mean"):
        parts(y, np.ones((9, 4)))
    with pytest.raises(DegenerateError, match="has no direction"):
        parts(np.tile(y[:6].mean(axis=0), (9, 1)), y)
    with pytest.raises(InputError, match="one shape"):
        parts(y[:, :2], y)
    with pytest.raises(InputError, match="test: expected a mask"):
        elas_parts(0.5, y, y, TRAIN, ~TRAIN[:4])


def test_planted_alignment_is_found_and_shuffled_pairs_get_little() -> None:
    repeats = replace(QUICK, epochs=300)
    score = elas_score(make_pair(60, noise=0.1), repeats)
    assert score.value is not None
    assert score.null is not None
    assert score.null.mean is not None
    assert score.value > score.null.mean + 0.2
    assert score.params["parts"]["cosine"] > 0.6
    assert score.params["shuffled_parts"]["1 - mse"] < 0.05
    assert score.params["shuffled_parts"]["linear_cka"] < score.params["parts"]["linear_cka"] / 2
    assert abs(score.params["shuffled_parts"]["cosine"]) < 0.25
    nothing = elas_score(make_pair(60, noise=None), repeats)
    assert nothing.value == pytest.approx(nothing.null.mean, abs=0.15)  # type: ignore[union-attr]


def test_the_sum_is_that_of_the_recorded_parts() -> None:
    score = elas_score(make_pair(), QUICK)
    recorded = score.params["part_repeats"]
    sums = sum(weight * np.asarray(recorded[name]) for name, weight in ELAS_WEIGHTS.items())
    np.testing.assert_allclose(score.repeats, np.ravel(sums))
    assert score.value == pytest.approx(elas(score.params["parts"]))
    pair = make_pair()
    assert score.params["parts"]["linear_cka"] == pytest.approx(linear_cka(pair.x.values, pair.y.values))


@pytest.mark.slow
@pytest.mark.parametrize("projector", PROJECTORS)
def test_every_projector_has_an_elas_of_its_own(projector: str) -> None:
    pair = make_pair()
    patches = None
    if projector == "cross_attention":
        values = pair.x.values
        patches = Patches(pair.x.model, np.stack([values, values[::-1]], axis=1), pair.x.ids)
    score = elas_score(pair, QUICK, projector, patches)
    assert score.variant == ("" if projector == "linear" else projector)
    assert score.params["projector"] == projector
    assert score.params["parts"]["linear_cka"] == pytest.approx(linear_cka(pair.x.values, pair.y.values))
    if projector != "linear":
        assert score.repeats != elas_score(pair, QUICK).repeats


def test_a_projector_that_can_t_be_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean '2layer_mlp'"):
        elas_score(make_pair(), QUICK, "2layermlp")
    with pytest.raises(InputError, match=r"cross_attention: expected x \[n, p, dx\]"):
        elas_score(make_pair(), QUICK, "cross_attention")


def test_several_rows_of_a_group_stay_together() -> None:
    score = elas_score(make_pair(60, per_group=3), QUICK)
    assert (score.n, score.status) == (20, "ok")


def test_tiny_n_and_constant_sides_are_not_applicable() -> None:
    tiny = elas_score(make_pair(9), QUICK)
    assert (tiny.status, tiny.value) == ("not_applicable", None)
    assert "at least 10" in str(tiny.reason)
    pair = make_pair()
    constant = replace(pair, x=replace(pair.x, values=np.ones_like(pair.x.values)))
    assert "zero variance" in str(elas_score(constant, QUICK).reason)


def test_a_run_trains_the_projectors_that_are_asked_for(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_elas.py")
    asked = "--align-projectors=linear,2layer_mlp,cross_attention"
    result = run(project, "benchmarks", asked, "--align-epochs=2", "--align-splits=2", "--encoders=toy-a")
    assert result.ret == 0
    found = scores(project).values()
    assert {score["variant"] for score in found} == {"", "2layer_mlp"}
    result.assert_outcomes(passed=2, skipped=1)  # a toy gives no patches


def test_recorded_serially_and_by_workers_alike(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_elas.py", "test_e2e.py")
    found = []
    for how in (("-p", "no:xdist"), ("-n", "2")):
        args = ("--align-epochs=8", "--align-splits=2", "--align-seeds=2", "--align-loss=mse,contrastive")
        result = run(project, "benchmarks", "-p", "no:randomly", *args, *how)
        assert result.ret == 0
        found.append(scores(project))
    serial, workers = found
    assert serial.keys() == workers.keys()
    assert {key[0] for key in serial} == {"elas", "e2e"}
    assert len(serial) == 2 + 2 * 2 * 10
    for key, score in serial.items():
        assert score["value"] == pytest.approx(workers[key]["value"], abs=1e-12)
        np.testing.assert_allclose(score["repeats"], workers[key]["repeats"], rtol=0, atol=1e-12)
        assert score["null"] == pytest.approx(workers[key]["null"], abs=1e-12)
