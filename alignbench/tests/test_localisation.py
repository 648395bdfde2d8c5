"""Measures of a map over patches against a count of pixels, and what they say of maps that are known."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError
from alignbench.experiments.attention.localisation import (
    FIRST,
    MEASURES,
    any_object,
    draw_scenes,
    named_objects,
    over_scenes,
    prompt_of,
)
from alignbench.metrics.localisation import (
    box_coverage,
    grid_of,
    localisation_auc,
    overlap_iou,
    overlap_of_chance,
    pointing_game,
    union_coverage,
)
from alignbench.workshop.zoo.data import Drawings

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = (4, 6)
BOX = (0.25, 0.25, 0.5, 0.625)  # on a raster of 24 x 32 pixels no pixel is cut


def of_pixels(
    values: NDArray[np.float64], rows: int = 32, columns: int = 24
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the map and the box in pixels, each pixel with its patch's value."""
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    patch = (y * GRID[0]).astype(int) * GRID[1] + (x * GRID[1]).astype(int)
    left, top, right, bottom = BOX
    return values[patch].ravel(), ((x >= left) & (x < right) & (y >= top) & (y < bottom)).ravel()


def test_auc_is_that_of_all_pixels() -> None:
    values = np.random.default_rng(0).integers(0, 5, 24).astype(float)  # with ties
    pixels, inside = of_pixels(values)
    pairs = pixels[inside][:, None] - pixels[~inside][None, :]
    expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert localisation_auc(values, box_coverage(BOX, GRID)) == pytest.approx(expected, abs=1e-12)


def test_pointing_is_the_share_of_the_highest_pixels_inside() -> None:
    values = np.random.default_rng(1).integers(0, 3, 24).astype(float)
    pixels, inside = of_pixels(values)
    expected = inside[pixels == pixels.max()].mean()
    assert pointing_game(values, box_coverage(BOX, GRID)) == pytest.approx(expected, abs=1e-12)


def test_overlap_is_that_of_as_many_patches_as_the_box_covers() -> None:
    values = np.random.default_rng(2).permutation(24).astype(float)
    inside = box_coverage(BOX, GRID)
    size = round(float(inside.sum()))
    chosen = np.argsort(-values)[:size]
    hit = inside[chosen].sum()
    assert overlap_iou(values, inside) == pytest.approx(hit / (size + inside.sum() - hit))
    assert overlap_iou(inside, inside) > 0.5 > overlap_of_chance(inside)


def test_several_boxes_at_once_are_each_by_itself() -> None:
    values = np.random.default_rng(3).integers(0, 6, 24).astype(float)
    boxes = np.stack([box_coverage(b, GRID) for b in (BOX, (0.0, 0.0, 0.3, 0.2), (0.5, 0.5, 1.0, 1.0))])
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure(values, boxes), [measure(values, box) for box in boxes])


def test_a_box_covers_its_share_of_the_image_and_of_each_patch() -> None:
    inside = box_coverage(BOX, GRID).reshape(GRID)
    assert inside.mean() == pytest.approx((0.5 - 0.25) * (0.625 - 0.25))
    assert inside[1, 1] == pytest.approx(0.5)  # columns 1/6 to 2/6: half is right of .25
    assert inside[0].sum() == 0
    both = union_coverage([BOX, (0.6, 0.0, 1.0, 1.0)], GRID)
    assert both.mean() == pytest.approx(inside.mean() + 0.4)


def test_a_map_of_what_is_right_is_perfect_and_its_opposite_never_hits() -> None:
    inside = box_coverage((0.0, 0.0, 0.5, 0.5), (4, 4))
    assert [float(measure(inside, inside)) for measure in MEASURES.values()] == [1, 1, 1]
    assert [float(measure(-inside, inside)) for measure in MEASURES.values()] == [0, 0, 0]


def test_a_flat_map_is_a_guess() -> None:
    inside = box_coverage(BOX, GRID)
    flat = np.zeros(24)
    assert localisation_auc(flat, inside) == pytest.approx(0.5)
    assert pointing_game(flat, inside) == pytest.approx(inside.mean())


def test_what_can_not_be_measured_is_said() -> None:
    with pytest.raises(DegenerateError, match="empty, or all of the image"):
        localisation_auc(np.arange(4.0), np.ones(4))
    with pytest.raises(InputError, match=r"finite values \[p\]"):
        localisation_auc(np.array([np.nan, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="7 patches make no grid"):
        grid_of(7, (32, 32))


@pytest.mark.parametrize(("patches", "size", "grid"), [(49, (112, 112), (7, 7)), (24, (64, 96), (4, 6))])
def test_the_grid_follows_the_pixels(patches: int, size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_of(patches, size) == grid


def test_scenes_name_several_objects_each_in_its_box() -> None:
    scenes = draw_scenes(12)
    assert all(2 <= len(scene.prompts) == len(scene.boxes) <= 4 for scene in scenes)
    assert all(len(set(scene.prompts)) == len(scene.prompts) for scene in scenes)
    for scene in scenes:
        for box in scene.boxes:
            left, top, right, bottom = (round(edge * scene.image.width) for edge in box)
            page = np.asarray(scene.image)[0, 0].astype(int)
            part = np.asarray(scene.image)[top:bottom, left:right].astype(int)
            assert (np.abs(part - page).sum(axis=-1) > 30).mean() > 0.2
    assert prompt_of("orange star") == "An orange star."


def test_scenes_are_none_that_anything_was_trained_on() -> None:
    trained = Drawings()
    assert trained.seed != 2
    drawn = {scene.image.tobytes() for scene in draw_scenes(4)}
    assert len(drawn) == 4
    assert FIRST >= 1000  # below are those that the wording of the prompts was chosen on


def perfect(
    grid: tuple[int, int] = (7, 7), n: int = 12
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    scenes = draw_scenes(n)
    right = [np.stack([box_coverage(box, grid) for box in s.boxes]).astype(np.float32) for s in scenes]
    return right, [np.roll(maps, 1, axis=0) for maps in right]


def test_maps_of_what_is_named_are_found_out_and_those_of_the_neighbour_too() -> None:
    scenes = draw_scenes(12)
    right, wrong = perfect()
    for name, found in named_objects(right, scenes, (7, 7), 42, 199).items():
        assert found.value > found.chance, name
        assert found.null.p == pytest.approx(1 / 200)
    assert named_objects(wrong, scenes, (7, 7), 42, 199)["localisation_auc"].value < 0.5


def test_a_map_that_finds_any_object_whatever_the_text_is_no_better_than_its_null() -> None:
    scenes = draw_scenes(12)
    objects = [np.tile(union_coverage(s.boxes, (7, 7)), (len(s.boxes), 1)).astype(np.float32) for s in scenes]
    found = named_objects(objects, scenes, (7, 7), 42, 199)["localisation_auc"]
    assert found.value > 0.7
    assert found.null.p == pytest.approx(1.0)
    assert found.value == pytest.approx(found.null.mean)


def test_the_mean_of_the_null_is_that_of_all_exchanges() -> None:
    scenes = draw_scenes(3)
    rng = np.random.default_rng(4)
    maps = [rng.normal(size=(len(s.boxes), 49)).astype(np.float32) for s in scenes]
    found = named_objects(maps, scenes, (7, 7), 0, 99)["pointing_game"]
    expected = []
    for of, scene in zip(maps, scenes, strict=True):
        inside = [box_coverage(box, (7, 7)) for box in scene.boxes]
        orders = itertools.permutations(range(len(of)))
        expected.append(
            np.mean([[pointing_game(of[i], inside[j]) for i, j in enumerate(order)] for order in orders])
        )
    assert found.null.mean == pytest.approx(np.mean(expected))


def test_own_maps_are_judged_by_all_objects_together_against_other_images() -> None:
    scenes = draw_scenes(12)
    maps = np.stack([union_coverage(s.boxes, (7, 7)) for s in scenes]).astype(np.float32)
    found = any_object(maps, scenes, (7, 7), 42, 199)
    assert found["localisation_auc"].value > 0.95
    assert found["localisation_auc"].null.p == pytest.approx(1 / 200)
    assert found["pointing_game"].chance == pytest.approx(maps.mean(), abs=1e-6)


def test_the_interval_over_scenes_is_students() -> None:
    values = [0.2, 0.5, 0.9, 0.4]
    interval, deletions = over_scenes(values, (0.0, 1.0))
    half = 3.1824463 * np.std(values, ddof=1) / 2
    assert interval.high == pytest.approx(0.5 + half, abs=1e-6) or interval.high == 1.0
    assert interval.low == pytest.approx(max(0.0, 0.5 - half), abs=1e-6)
    assert deletions[0] == pytest.approx(np.mean(values[1:]))
