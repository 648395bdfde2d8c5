"""Vision laid over text: shown are pairs that the map never saw, and shuffled pairs have no relation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.experiments.embedding.overlay import RESIDUAL, overlay, overlay_space, overlay_width
from alignbench.experiments.scoring import Settings
from alignbench.stats import train_half
from alignbench.tests.space_fakes import make_related, with_y

SETTINGS = Settings(seed=3, permutations=99)


def residual(shown: Any) -> float:
    size = np.square(shown.x).sum() + np.square(shown.y).sum()
    return float(np.square(shown.x - shown.y).sum() / size)


def test_two_turns_of_one_cause_fall_together() -> None:
    score, _ = overlay_space(make_related(80, noise=0.05), SETTINGS, experiment="embedding")
    assert score.value is not None
    assert score.value < 0.05
    assert score.null is not None
    assert score.null.p == 0.01
    assert (score.encoder, score.llm, score.higher_is_better) == ("toy", "toy-llm", False)


@pytest.mark.slow
def test_shuffled_pairs_score_at_the_null() -> None:
    ranks = []
    for n in range(60, 76):
        score, _ = overlay_space(make_related(n, shuffled=True), SETTINGS, experiment="embedding")
        assert score.null is not None
        assert score.null.p is not None
        assert score.null.mean == pytest.approx(1.0, abs=0.06)
        assert score.chance == 1.0
        ranks.append(score.null.p)
    assert 0.25 < np.mean(ranks) < 0.75
    assert min(ranks) > 0.01


def test_the_map_never_saw_what_is_shown() -> None:
    pair = make_related(60)
    names = np.asarray(pair.groups)
    held = ~train_half(names, 3)
    shown = overlay(pair.x.values, pair.y.values, groups=names, seed=3, k=5)
    assert (shown.rows == np.flatnonzero(held)).all()
    spoiled = pair.y.values.copy()
    last = np.flatnonzero(held)[-1]
    spoiled[last] += 100
    again = overlay(pair.x.values, spoiled, groups=names, seed=3, k=5)
    assert (again.x == shown.x).all()
    assert (again.y[:-1] == shown.y[:-1]).all()
    assert (again.y[-1] != shown.y[-1]).all()


def test_a_fit_on_all_pairs_would_look_better_than_it_is() -> None:
    # noise: on its own pairs the map finds a relation that isn't there
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 20)), rng.normal(size=(80, 20))
    names = np.arange(80).astype(str)
    held_out = residual(overlay(x, y, groups=names, seed=1, k=8))
    train = train_half(names, 1)
    for side in (x, y):
        side[~train] = side[train]
    on_its_own = residual(overlay(x, y, groups=names, seed=1, k=8))
    assert on_its_own < 0.6
    assert held_out > 0.8


def test_the_directions_shown_are_those_shared_most() -> None:
    pair = make_related(400, noise=0.01)
    shown = overlay(pair.x.values, pair.y.values, groups=pair.groups, seed=3, k=3)
    full = residual(overlay(pair.x.values, pair.y.values, groups=pair.groups, seed=3, k=2))
    assert residual(shown) == pytest.approx(full, abs=1e-3)
    variances = shown.x.var(axis=0)
    assert variances[0] > variances[1]
    assert variances.sum() / 0.9 < 1.2  # 13/14 of the unit trace: 3² + 2² of 3² + 2² + 1²


def test_turning_a_side_changes_nothing_that_is_shown_but_the_picture_s_own_turn() -> None:
    pair = make_related(60)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(14, 14)))[0]
    value = RESIDUAL(pair.x.values, pair.y.values, groups=np.asarray(pair.groups), seed=3, k=5)
    turned = RESIDUAL(
        pair.x.values, 7 * pair.y.values @ turn + 2, groups=np.asarray(pair.groups), seed=3, k=5
    )
    assert turned == pytest.approx(value, abs=1e-5)


def test_a_null_drawn_at_once_is_the_residual_of_each_shuffled_pairing() -> None:
    pair = make_related(60, noise=0.5)
    x, y = pair.x.values.astype(np.float64), pair.y.values.astype(np.float64)
    settings: dict[str, Any] = {"groups": np.asarray(pair.groups), "seed": 3, "k": 5}
    rng = np.random.default_rng(2)
    permutations = np.stack([np.arange(60), *(rng.permutation(60) for _ in range(4))])
    assert RESIDUAL.null is not None
    assert RESIDUAL.null.draw is not None
    drawn = RESIDUAL.null.draw(x, y, permutations, **settings)
    assert len(set(drawn)) == 5
    np.testing.assert_array_equal(drawn, [RESIDUAL(x, y[p], **settings) for p in permutations])


def test_arrays_are_sorted_by_type_and_name_each_point() -> None:
    pair = make_related(60)
    _, arrays = overlay_space(pair, SETTINGS, experiment="embedding")
    assert arrays is not None
    labels = list(arrays["labels"])
    assert labels == sorted(labels)
    assert arrays["x"].shape == arrays["y"].shape == (30, 2)
    assert arrays["cross"].shape == (30, 30)
    label_of = dict(zip(pair.x.ids, pair.labels, strict=True))
    assert [label_of[str(i)] for i in arrays["ids"]] == labels
    shown = overlay(
        pair.x.values, pair.y.values, groups=pair.groups, seed=3, k=overlay_width(60, (10, 14))["k"]
    )
    by_id = {pair.x.ids[row]: place for place, row in enumerate(shown.rows)}
    for i, name in enumerate(arrays["ids"]):
        assert arrays["x"][i] == pytest.approx(shown.x[by_id[str(name)]], abs=1e-5)
        assert arrays["cross"][i, i] == pytest.approx(
            shown.cosine[by_id[str(name)], by_id[str(name)]], abs=1e-5
        )


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (make_related(19), "at least 20"),
        (with_y(make_related(40), np.ones((40, 5))), "zero variance"),
        (with_y(make_related(40), np.arange(40.0)[:, None]), "at least 2 dimensions"),
    ],
    ids=["few", "constant", "one-column"],
)
def test_what_has_no_overlay_is_not_applicable_with_the_reason(pair: Any, reason: str) -> None:
    score, arrays = overlay_space(pair, SETTINGS, experiment="embedding")
    assert arrays is None
    assert score.status == "not_applicable"
    assert reason in str(score.reason)


def test_duplicates_share_a_half() -> None:
    pair = make_related(60)
    doubled = replace(pair, groups=tuple(f"g{i // 2}" for i in range(60)))
    score, arrays = overlay_space(doubled, SETTINGS, experiment="embedding")
    assert score.n == 30
    assert arrays is not None
    assert len(arrays["ids"]) == 15


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError):
        overlay(np.ones((30, 4)), np.ones((29, 4)), k=2)
    with pytest.raises(TooFewSamplesError):
        overlay(np.eye(19), np.eye(19), k=2)
    with pytest.raises(DegenerateError):
        overlay(np.eye(30), np.eye(30), k=1)


@pytest.mark.parametrize(
    ("n", "dims", "k"), [(90, (192, 256), 9), (20, (192, 256), 2), (90, (192, 1), 1), (4000, (64, 8), 8)]
)
def test_the_space_is_as_wide_as_samples_and_sides_allow(n: int, dims: tuple[int, ...], k: int) -> None:
    assert overlay_width(n, dims) == {"k": k}
