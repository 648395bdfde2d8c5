"""The C score: against its definition, at chance where it has to be, and in a run."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets.synthetic.recurring import recurring_objects
from alignbench.experiments.correspondence.scores import (
    ALPHA,
    c_score,
    hit_table,
    match_arrays,
    other_targets,
    without_each,
)
from alignbench.experiments.scoring import Settings
from alignbench.hidden import Patches
from alignbench.metrics.correspondence import patch_centres
from alignbench.tests.test_datasets_keypoints import annotation, spair
from alignbench.tests.toys import copy_benchmarks, run, scores
from alignbench.types import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.datasets.keypoints import KeypointPairs
    from alignbench.types import Score

    Array = np.ndarray[Any, Any]

GRID = (14, 14)
SETTINGS = Settings(seed=3, permutations=199)


@cache
def drawn() -> KeypointPairs:
    return recurring_objects(40, 11)


def patches(values: Array, data: KeypointPairs) -> Patches:
    info = ModelInfo("eye", "vision", "other", "test", "arrays")
    return Patches(info, values.astype(np.float32), tuple(sample.id for sample in data.images.samples))


def seeing(data: KeypointPairs) -> Array:
    """Return patches that know how near each point of the pair is, relative to the object's size."""
    values = np.full((len(data.images), GRID[0] * GRID[1], 6), 0.3)
    for pair in data.pairs:
        for row, points in zip(pair.images, (pair.points, pair.truths), strict=True):
            centres = patch_centres(GRID) * data.sizes[row]
            distances = np.linalg.norm(centres[:, None] - points[None], axis=2)
            values[row, :, :5] = np.exp(-((distances / (0.2 * np.ptp(points, axis=0).max())) ** 2))
    return values


def at_random(data: KeypointPairs, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(len(data.images), GRID[0] * GRID[1], 8))


def of_places(data: KeypointPairs) -> Array:
    """Return patches that know their place in the image, and nothing of what is there."""
    places = np.random.default_rng(1).normal(size=(GRID[0] * GRID[1], 16))
    return np.tile(places, (len(data.images), 1, 1))


def by_hand(values: Array, data: KeypointPairs) -> float:
    """Return the C score of patches without ties, one keypoint at a time."""
    shares = []
    for pair in data.pairs:
        source, target = (values[row].astype(np.float32).astype(float) for row in pair.images)
        width, height = data.sizes[pair.images[0]]
        hits = 0
        for (x, y), truth in zip(pair.points, pair.truths, strict=True):
            feature = np.zeros(source.shape[1])
            for row in range(GRID[0]):
                for column in range(GRID[1]):
                    across = max(0.0, 1 - abs(x / width * GRID[1] - 0.5 - column))
                    down = max(0.0, 1 - abs(y / height * GRID[0] - 0.5 - row))
                    feature += across * down * source[row * GRID[1] + column]
            cosines = [feature @ p / (np.linalg.norm(feature) * np.linalg.norm(p)) for p in target]
            row, column = divmod(int(np.argmax(cosines)), GRID[1])
            of_target = data.sizes[pair.images[1]]
            found = ((column + 0.5) / GRID[1] * of_target[0], (row + 0.5) / GRID[0] * of_target[1])
            hits += bool(np.hypot(*(np.array(found) - truth)) < ALPHA * pair.side)
        shares.append(hits / len(pair.points))
    return float(np.mean(shares))


def scored(values: Array, data: KeypointPairs | None = None) -> Score:
    data = data or drawn()
    return c_score(patches(values, data), GRID, data, SETTINGS)


@pytest.mark.slow
def test_features_of_the_points_find_nearly_all_that_can_be_found() -> None:
    score = scored(seeing(drawn()))
    assert score.value is not None
    assert score.value > 0.9 * score.params["ceiling"]
    assert score.value == pytest.approx(by_hand(seeing(drawn()), drawn()))
    assert score.null is not None
    assert score.null.p == pytest.approx(1 / 200)
    assert score.params["keypoints"] == 200
    assert (score.n, score.dims, score.encoder, score.llm) == (40, (6,), "eye", None)


@pytest.mark.slow
def test_objects_of_drawn_pairs_are_elsewhere_and_of_another_size() -> None:
    for pair in drawn().pairs:
        corners = [
            np.array([points.min(axis=0), points.max(axis=0)]) for points in (pair.points, pair.truths)
        ]
        source, target = (np.ptp(ends, axis=0) for ends in corners)
        assert max(*(source / target), *(target / source)) >= 1.25
        assert np.linalg.norm(corners[0].mean(axis=0) - corners[1].mean(axis=0)) >= 0.1 * 448


@pytest.mark.slow
def test_features_at_random_are_at_chance() -> None:
    values = [scored(at_random(drawn(), seed)) for seed in range(12)]
    mean = np.mean([score.value for score in values])
    [chance] = {score.chance for score in values}
    assert chance is not None
    assert 0.01 < chance < 0.05
    assert mean == pytest.approx(chance, abs=4 * np.sqrt(chance / (12 * 200)))
    assert sum(score.null is not None and (score.null.p or 1) <= 0.05 for score in values) <= 3
    assert values[0].value == pytest.approx(by_hand(at_random(drawn()), drawn()))


def test_features_of_the_place_alone_find_the_same_in_every_target() -> None:
    score = scored(of_places(drawn()))
    assert score.null is not None
    assert score.null.mean == pytest.approx(score.value)
    assert score.null.p == 1.0


def test_patches_that_are_all_alike_are_at_chance_exactly() -> None:
    score = scored(np.ones((len(drawn().images), GRID[0] * GRID[1], 4)))
    assert score.value == pytest.approx(score.chance)
    assert score.null is not None
    assert score.null.p == 1.0


def test_neither_scale_nor_rotation_of_the_features_matters() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(8, 8)))
    plain, turned = scored(at_random(drawn())), scored(3 * at_random(drawn()) @ turn)
    assert plain.value == turned.value


def test_the_null_looks_into_other_targets_and_judges_by_the_own() -> None:
    data, values = drawn(), seeing(drawn())
    others = other_targets(len(data.pairs), 3)
    assert others.shape == (40, 20)
    assert all(len(set(row)) == 20 and number not in row for number, row in enumerate(others.tolist()))
    table = hit_table(patches(values, data), GRID, data, others)
    pair, other = data.pairs[5], data.pairs[others[5, 2]]
    exchanged = replace(data, pairs=(replace(pair, images=(pair.images[0], other.images[1])),))
    assert table[5, 3] == pytest.approx(by_hand(values, exchanged))
    assert other_targets(1, 3).shape == (1, 0)


def test_an_interval_leaves_out_what_pairs_share() -> None:
    values = np.array([1.0, 0.0, 0.5])
    assert without_each(values, ((0,), (1,), (2,))) == pytest.approx((0.25, 0.75, 0.5))
    assert without_each(values, ((0, 1), (1, 2), (2, 3))) == pytest.approx((0.25, 0.5, 1.0, 0.5))
    assert without_each(values[:1], ((0, 1),)) == ()
    score = scored(seeing(drawn()))
    assert score.interval is not None
    assert score.interval.method == "jackknife over pairs, G=40"
    assert len(score.deletions) == 40
    few = replace(drawn(), pairs=drawn().pairs[:19])
    assert scored(seeing(drawn()), few).interval is None
    assert "n_too_small" in scored(seeing(drawn()), few).flags


def test_patches_too_coarse_for_the_points_are_flagged() -> None:
    data = drawn()
    coarse = np.random.default_rng(0).normal(size=(len(data.images), 9, 4))
    score = c_score(patches(coarse, data), (3, 3), data, SETTINGS)
    assert score.flags == ("coarse_patches",)
    assert score.params["ceiling"] < 0.5
    assert score.value is not None
    assert score.value <= score.params["ceiling"]


def test_a_figure_gets_the_places_that_were_found() -> None:
    arrays = match_arrays(patches(seeing(drawn()), drawn()), GRID, drawn())
    assert arrays["images"].shape == (3, 2, 224, 224, 3)
    assert arrays["pair"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    missed = np.abs(arrays["found"] - arrays["truth"]).max(axis=1)
    assert missed[arrays["right"] == 1].max() < 0.1
    assert (arrays["right"] == 1).mean() > 0.7


@pytest.fixture(scope="module")
def eye(folders: Callable[[str], Path]) -> Path:
    """A tiny encoder, made before pytester notes the imported modules: it forgets all others."""
    return folders("dinov2")


@pytest.mark.slow
def test_a_run_scores_drawn_pairs_or_a_folder(eye: Path, project: pytest.Pytester, tmp_path: Path) -> None:
    copy_benchmarks(project, "test_correspondence.py")
    ours = (f"--encoders=eye={eye},toy-a", "--n-samples=2")
    result = run(project, "benchmarks", *ours, "-m", "correspondence", "-p", "no:xdist")
    assert result.ret == 0
    result.stdout.fnmatch_lines_random(
        [
            "model  eye: *, pairs of images to match",
            "images correspondence looks at images of its own, not at these samples",
        ]
    )
    assert result.parseoutcomes() == {"passed": 1, "skipped": 1}
    [score] = scores(project).values()
    assert (score["metric"], score["n"], score["encoder"]) == ("c_score", 80, "eye")
    folder = project.path / "reports" / "latest"
    assert [path.name for path in (folder / "artifacts").iterdir()] == ["matches-eye.npz"]
    many = [annotation(kind, f"{i}.jpg", f"{i + 1}.jpg") for kind in ("cat", "dog") for i in range(3)]
    place = spair(tmp_path / "pairs", many)
    assert run(project, "benchmarks", *ours, "-m", "correspondence", f"--align-keypoints={place}").ret == 0
    [score] = scores(project).values()
    assert (score["n"], score["dataset"].split("@")[0]) == (4, "spair-test")
    assert score["params"]["by_category"].keys() == {"cat", "dog"}
    [broken, *_] = sorted((place / "PairAnnotation" / "test").iterdir())
    broken.write_text("{}", encoding="utf-8")
    wrong = run(project, "benchmarks", *ours, "-m", "correspondence", f"--align-keypoints={place}")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines([f"ERROR: {broken}: category: expected a name, got None"])
    wrong = run(project, "benchmarks", *ours, "-m", "correspondence", "--align-keypoints=nowhere")
    wrong.stderr.fnmatch_lines(["*--align-keypoints: *nowhere: expected SPair-71k's layout*"])
