"""The splits, seeds and controls of trained scores: nothing of a held-out group reaches the training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.errors import TooFewSamplesError
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.trained import CONTROLS, plan, shuffled_order, train_all, trained_score
from alignbench.projectors.fit import Training
from alignbench.session.options import Options
from alignbench.stats import corrected_interval, seed_spread
from alignbench.tests.pairs import make_pair

QUICK = Repeats(splits=3, seeds=2, epochs=15, permutations=99)
GROUPS = [f"g{i // 3}" for i in range(90)]


def of(mask) -> set[str]:
    return {GROUPS[i] for i in np.flatnonzero(mask)}


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_group_is_on_one_side_of_a_split_only(early_stopping: bool) -> None:
    for rows in plan(GROUPS, Repeats(splits=10), early_stopping=early_stopping):
        assert not of(rows.train) & of(rows.test)
        assert of(rows.train) | of(rows.watched) | of(rows.test) == set(GROUPS)
        assert len(of(rows.test)) == 6
        if early_stopping:
            assert not of(rows.watched) & (of(rows.test) | of(rows.train))
            assert len(of(rows.watched)) == 5


def test_splits_differ_and_depend_on_the_seed_only() -> None:
    first, again = (plan(GROUPS, Repeats(splits=4), early_stopping=True) for _ in range(2))
    other = plan(GROUPS, Repeats(splits=4, seed=7), early_stopping=True)
    assert all((a.test == b.test).all() for a, b in zip(first, again, strict=True))
    assert len({a.test.tobytes() for a in (*first, *other)}) == 8


class Bench:
    """Answers with an option's default, or with what was given of it."""

    def __init__(self, defaults: dict[str, int], **given: int) -> None:
        self.options = Options({"device": "cpu", **given}).with_defaults(defaults)

    def option(self, name: str, default: object = None) -> Any:
        return self.options.with_defaults({} if default is None else {name: default})[name]


def test_what_is_solved_has_more_splits_and_one_seed() -> None:
    usual: Any = Bench({"seeds": 3})
    assert Repeats.of(usual, "mse") == Repeats(seeds=3)
    assert Repeats.of(usual, "ridge") == Repeats(splits=40, seeds=1)
    given: Any = Bench({"seeds": 3}, splits=7, seeds=9, permutations=19, epochs=2)
    assert Repeats.of(given) == Repeats(42, 7, 9, 2, 19)
    assert Repeats.of(given, "ridge") == Repeats(42, 7, 1, 2, 19)


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(TooFewSamplesError, match=r"expected at least 10 groups to train on some .* got 9"):
        plan([f"g{i}" for i in range(9)] * 4, QUICK, early_stopping=True)


def test_shuffling_exchanges_whole_groups() -> None:
    groups = np.array(["a", "a", "a", "b", "c", "c", "d"])
    for seed in range(20):
        order = shuffled_order(groups.tolist(), np.random.default_rng(seed))
        partner = {g: {groups[order[i]] for i in np.flatnonzero(groups == g)} for g in "abcd"}
        assert all(len(own) == 1 for own in partner.values())
        assert set.union(*partner.values()) == set("abcd")
        assert len({*order[groups == "c"]}) == min(2, (groups == groups[order[4]]).sum())


def test_held_out_rows_leave_no_trace_in_the_training() -> None:
    """Train rows' predictions do not change when the held-out rows are replaced."""
    pair = make_pair()
    training = Training("linear", "mse", epochs=10)
    (rows,) = plan(pair.groups, Repeats(splits=1), early_stopping=False)
    x, y = (side.values.copy() for side in (pair.x, pair.y))
    x[rows.test] = 100 * x[rows.test] + 7
    y[rows.test] = -50
    spoilt = replace(pair, x=replace(pair.x, values=x), y=replace(pair.y, values=y))
    found = [
        next(train_all(p, [rows], training, replace(QUICK, splits=1), everything=True))[0][0].prediction
        for p in (pair, spoilt)
    ]
    np.testing.assert_allclose(found[0][rows.train], found[1][rows.train], atol=1e-5)
    assert not np.allclose(found[0][rows.test], found[1][rows.test])


def test_watched_rows_only_decide_when_to_stop() -> None:
    pair = make_pair()
    training = Training("linear", "mse", epochs=10)
    (rows,) = plan(pair.groups, Repeats(splits=1), early_stopping=True)
    y = pair.y.values.copy()
    y[rows.watched] = 1e3
    spoilt = replace(pair, y=replace(pair.y, values=y))
    found = [next(train_all(p, [rows], training, QUICK))[0][0].prediction for p in (pair, spoilt)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_trainings_come_split_by_split_with_their_controls() -> None:
    pair = make_pair()
    splits = plan(pair.groups, QUICK, early_stopping=True)
    found = list(train_all(pair, splits, Training("linear", "mse", epochs=2), QUICK))
    for rows, (own, controls) in zip(splits, found, strict=True):
        assert [one.rows.number for one in (*own, *controls)] == [rows.number] * (2 + CONTROLS)
        assert all((one.order == np.arange(40)).all() for one in own)
        assert all((one.order != np.arange(40)).any() for one in controls)
        assert not np.allclose(own[0].prediction, own[1].prediction)  # initialised apart


def test_a_control_is_trained_on_the_pairs_that_it_is_scored_on() -> None:
    """Its prediction fits its own shuffled train pairs, and not the true ones."""
    pair = make_pair(40, dims=(60, 6))
    training = Training("linear", "mse", epochs=300)
    (rows,) = plan(pair.groups, Repeats(splits=1), early_stopping=False)
    _, controls = next(train_all(pair, [rows], training, QUICK, everything=True))
    for one in controls:
        errors = [
            float(np.square(one.prediction - pair.y.values[order])[rows.train].mean())
            for order in (one.order, np.arange(40))
        ]
        assert errors[0] < 0.1 * errors[1]


def test_many_predictions_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_pair()
    splits = plan(pair.groups, QUICK, early_stopping=True)
    training = Training("linear", "cosine", epochs=3)
    whole = list(train_all(pair, splits, training, QUICK))
    monkeypatch.setattr("alignbench.experiments.trained.PREDICTION_BYTES", 1)
    for (a, _), (b, _) in zip(whole, train_all(pair, splits, training, QUICK), strict=True):
        np.testing.assert_allclose(a[1].prediction, b[1].prediction, atol=1e-6)


def test_a_score_is_the_mean_with_interval_spread_and_control() -> None:
    values = np.array([[0.5, 0.6], [0.4, 0.5], [0.7, 0.6]])
    score = trained_score(
        make_pair(), "elas", values, np.array([0.1, 0.3]), QUICK, experiment="elas", p={"p": 0.2}
    )
    interval = corrected_interval([0.55, 0.45, 0.65], 0.25, bounds=(0, 1))
    assert score.value == pytest.approx(values.mean())
    assert score.interval is not None
    assert (score.interval.low, score.interval.high) == pytest.approx((interval.low, interval.high))
    assert score.repeats == tuple(values.ravel())
    assert score.null is not None
    assert (score.null.mean, score.null.std) == pytest.approx((0.2, np.std([0.1, 0.3], ddof=1)))
    assert score.null.p == 0.2
    assert score.params["seed_spread"] == pytest.approx(seed_spread(values))
    assert (score.params["splits"], score.params["seeds"], score.params["test_to_train"]) == (3, 2, 0.25)


def test_below_twenty_groups_there_is_no_interval() -> None:
    score = trained_score(make_pair(12), "elas", np.ones((2, 1)), np.zeros(2), QUICK, experiment="elas")
    assert (score.interval, score.flags) == (None, ("n_too_small",))
    assert score.params["seed_spread"] is None
