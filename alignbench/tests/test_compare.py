"""Held-out projections against a plain loop; shuffled pairs at the null; scores of one data type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import DegenerateError
from alignbench.experiments.compare.projection import cosine_table, error_table, project
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.hidden import Patches
from alignbench.metrics import METRICS
from alignbench.projectors.ridge import PENALTY
from alignbench.stats import corrected_interval, repeated_split, seed_for
from alignbench.types import Embeddings, ModelInfo, Pair, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOW = Repeats(epochs=60, permutations=99)
LR = 1e-3


def make_pair(n: int = 60, aligned: bool = True, seed: int = 0, dx: int = 6, dy: int = 5) -> Pair:
    rng = np.random.default_rng(seed)
    x = f32(rng.normal(size=(n, dx)))
    signal = x @ rng.normal(size=(dx, dy)) if aligned else rng.normal(size=(n, dy))
    y = f32(signal + 0.1 * rng.normal(size=(n, dy)))
    ids = tuple(f"s{i}" for i in range(n))
    models = (
        ModelInfo("enc", "vision", "other", "enc", "custom"),
        ModelInfo("llm", "text", "other", "llm", "custom"),
    )
    labels = tuple(("a", "b", "c")[i % 3] for i in range(n))
    return Pair(Embeddings(models[0], x, ids), Embeddings(models[1], y, ids), labels, ids, "data@0")


def f32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def naive_training(pair: Pair, split: int, how: Repeats, projector: str) -> tuple[float, float]:
    """Make one projector by itself, and return its held-out error and cosine row by row."""
    train, test = repeated_split(np.asarray(pair.groups), how.seed, split)
    x, y = (side.values.astype(np.float64) for side in (pair.x, pair.y))
    mean_x, mean_y = x[train].mean(axis=0), y[train].mean(axis=0)
    scale_x, scale_y = (np.sqrt(np.square(s[train] - s[train].mean(axis=0)).mean()) for s in (x, y))
    inputs, targets = (x - mean_x) / scale_x, (y - mean_y) / scale_y
    make = naive_ridge if projector == "linear" else naive_adam
    predicted = make(inputs, targets, train, test, split, how, projector) * scale_y
    centred = y[test] - mean_y
    cosines = [p @ t / np.linalg.norm(p) / np.linalg.norm(t) for p, t in zip(predicted, centred, strict=True)]
    return float(np.square(predicted - centred).mean() / np.square(centred).mean()), float(np.mean(cosines))


def naive_ridge(
    inputs: Any, targets: Any, train: Any, test: Any, split: int, how: Repeats, projector: str
) -> Any:
    x = inputs[train]
    penalty = PENALTY * np.trace(x @ x.T) / len(x)
    return inputs[test] @ np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1])) @ x.T @ targets[train]


def naive_adam(
    inputs: Any, targets: Any, train: Any, test: Any, split: int, how: Repeats, projector: str
) -> Any:
    import torch

    from alignbench.projectors.architectures import build

    x, y = inputs, targets
    module = build(projector, x.shape[1], y.shape[1], seed_for(how.seed, "initial weights of split", split))
    x, y = (torch.tensor(side, dtype=torch.float32) for side in (inputs, targets))
    optimiser = torch.optim.Adam(module.parameters(), lr=LR)
    for _ in range(how.epochs):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(module(x[train]), y[train]).backward()
        optimiser.step()
    return module(x[test]).detach().double().numpy()


@pytest.mark.slow
@pytest.mark.parametrize("projector", ["linear", "mlp", "2layer_mlp"])
def test_scores_are_those_of_a_plain_loop(projector: str) -> None:
    pair, how = make_pair(), HOW
    found = by_metric(project(pair, how, projector)[0])
    naive = np.asarray([naive_training(pair, split, how, projector) for split in range(how.splits)])
    for metric, column in (("projection_mse", 0), ("projection_cosine", 1)):
        assert found[metric].repeats == pytest.approx(naive[:, column], rel=1e-3)
        assert found[metric].value == pytest.approx(naive[:, column].mean(), rel=1e-3)
        assert found[metric].variant == projector


def test_intervals_are_corrected_for_overlapping_splits() -> None:
    found = by_metric(project(make_pair(aligned=False), HOW)[0])
    for score in found.values():
        assert score.params["test_to_train"] == pytest.approx(12 / 48)
        assert score.interval == corrected_interval(score.repeats, 0.25)


def test_error_of_the_train_mean_is_one_and_of_the_truth_zero() -> None:
    rng = np.random.default_rng(0)
    y, mean = f32(rng.normal(size=(9, 4))), f32(rng.normal(size=4))
    assert error_table(f32(np.tile(mean, (9, 1))), y, mean).diagonal().mean() == pytest.approx(1)
    assert error_table(y, y, mean).diagonal() == pytest.approx(np.zeros(9), abs=1e-6)


def test_tables_hold_every_prediction_against_every_target() -> None:
    rng = np.random.default_rng(0)
    f, y, mean = f32(rng.normal(size=(4, 3))), f32(rng.normal(size=(4, 3))), f32(rng.normal(size=3))
    variance = np.square(y - mean).sum(axis=1).mean()
    a, b = f[1] - mean, y[2] - mean
    assert error_table(f, y, mean)[1, 2] == pytest.approx(np.square(f[1] - y[2]).sum() / variance, rel=1e-5)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine_table(f, y, mean)[1, 2] == pytest.approx(cosine, rel=1e-5)


def test_what_has_no_variance_or_direction_is_degenerate() -> None:
    same = f32(np.ones((4, 3)))
    with pytest.raises(DegenerateError, match="no variance around the train mean"):
        error_table(same, same, same[0])
    with pytest.raises(DegenerateError, match="has no direction"):
        cosine_table(same, f32(np.eye(4, 3)), same[0])


def test_aligned_sides_beat_their_shuffled_control() -> None:
    found = by_metric(project(make_pair(300), HOW)[0])
    error, cosine = found["projection_mse"], found["projection_cosine"]
    for score in (error, cosine):
        assert score.null is not None
        assert score.null.p == pytest.approx(0.02)  # twice the smallest of 99 draws
    assert error.value is not None
    assert error.null is not None
    assert error.null.mean is not None
    assert error.value < 0.3 < 0.95 < error.null.mean
    assert (error.chance, error.higher_is_better) == (1.0, False)
    assert cosine.value is not None
    assert cosine.value > 0.9
    assert cosine.chance == 0.0


def test_unrelated_sides_score_as_their_shuffled_control() -> None:
    p_values, gaps = [], []
    for seed in range(12):
        found = by_metric(project(make_pair(aligned=False, seed=seed), replace(HOW, splits=3))[0])
        for score in found.values():
            assert score.null is not None
            assert score.null.mean is not None
            assert score.value is not None
            assert score.null.p is not None
            p_values.append(score.null.p)
        cosine = found["projection_cosine"]
        gaps.append((cosine.value or 0.0) - (cosine.null.mean or 0.0 if cosine.null else 0.0))
    assert sum(p <= 0.05 for p in p_values) <= 3
    assert abs(np.mean(gaps)) < 0.1


@pytest.mark.slow
def test_the_control_is_trained_on_other_pairs() -> None:
    _, curves = project(make_pair(), replace(HOW, epochs=200), "mlp", lr=1e-2)
    assert curves["train"].shape == curves["held_out"].shape == (5, 200)
    assert curves["control_train"].shape == (1, 200)
    assert curves["control_train"][:, -1].min() > 5 * curves["train"][:, -1].max()


def test_one_row_of_a_group_goes_in() -> None:
    pair = make_pair(60)
    doubled = replace(pair, groups=tuple(f"g{i // 2}" for i in range(60)))
    score = project(doubled, HOW)[0][0]
    assert score.n == 30
    assert score.params["test_to_train"] == pytest.approx(6 / 24)


def test_too_few_groups_are_not_applicable_with_the_reason() -> None:
    scores, curves = project(make_pair(14), HOW)
    assert not curves
    assert [score.status for score in scores] == ["not_applicable"] * 2
    assert (
        scores[0].reason
        == "expected at least 15 groups to train on some and hold out others, got 14; use more samples"
    )


def test_below_twenty_groups_there_is_no_interval() -> None:
    score = project(make_pair(18), HOW)[0][0]
    assert score.interval is None
    assert "n_too_small" in score.flags


@pytest.mark.slow
def test_learning_by_heart_is_flagged() -> None:
    noise = make_pair(30, aligned=False, dx=40)
    assert all("overtrained" in s.flags for s in project(noise, replace(HOW, epochs=300), "mlp")[0])
    assert all("overtrained" not in s.flags for s in project(make_pair(120), HOW, "mlp")[0])


def test_a_linear_projector_is_solved_and_has_no_curves() -> None:
    scores, curves = project(make_pair(), HOW)
    assert not curves
    for score in scores:
        assert (score.params["loss"], score.params["penalty"]) == ("ridge", PENALTY)
        assert not {"epochs", "lr", "overtraining"} & set(score.params)


def test_cross_attention_reads_patches() -> None:
    pair = make_pair(30)
    values = np.random.default_rng(1).normal(size=(30, 4, 6)).astype(np.float32)
    scores, _ = project(
        pair, replace(HOW, epochs=5), "cross_attention", Patches(pair.x.model, values, pair.x.ids)
    )
    assert scores[0].params["patches"] == 4
    assert scores[0].dims == (6, 5)


@pytest.mark.parametrize("metric", ["calibrated_cka", "mutual_knn", "ridge_r2"])
def test_a_type_is_scored_on_its_own_rows(metric: str) -> None:
    pair = make_pair(90)
    settings = Settings(permutations=19)
    score = score_pair(METRICS.get(metric), pair, settings, experiment="compare", data_type="b")
    rows = [i for i, label in enumerate(pair.labels) if label == "b"]
    alone = score_pair(METRICS.get(metric), pair.take(rows), settings, experiment="compare")
    assert score == replace(alone, data_type="b")
    assert score.n == 30


def test_a_type_too_small_for_a_metric_is_not_applicable() -> None:
    score = score_pair(
        METRICS.get("ridge_r2"), make_pair(30), Settings(), experiment="compare", data_type="c"
    )
    assert score.status == "not_applicable"
    assert "at least 15" in str(score.reason)


def test_what_only_tells_types_apart_has_a_small_p_but_not_within_types() -> None:
    rng = np.random.default_rng(0)
    pair = make_pair(n=90, aligned=False)
    center = np.eye(3)[np.unique(pair.labels, return_inverse=True)[1]]
    for side in (pair.x, pair.y):
        side.values[:] = 4 * center @ rng.standard_normal((3, side.dim)) + rng.standard_normal((90, side.dim))
    scores, _ = project(pair, Repeats(epochs=60, permutations=199), lr=1e-2)
    for score in scores:
        assert score.null is not None
        assert score.null.p == pytest.approx(2 / 200)
        assert score.null.within_p is not None
        assert score.null.within_p > 0.2
