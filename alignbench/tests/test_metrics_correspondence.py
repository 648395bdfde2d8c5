"""Matches of points by patches, against the definition written out one point and one patch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alignbench.errors import InputError
from alignbench.metrics.correspondence import nearest_patches, patch_centres, point_features, within_reach


def one_feature(patches: np.ndarray, grid: tuple[int, int], x: float, y: float) -> np.ndarray:
    """Return the bilinear feature at a point, from the four patches around it and their areas."""
    rows, columns = grid
    at_x = min(max(x * columns - 0.5, 0.0), columns - 1.0)
    at_y = min(max(y * rows - 0.5, 0.0), rows - 1.0)
    total = np.zeros(patches.shape[1])
    for row in range(rows):
        for column in range(columns):
            share = max(0.0, 1 - abs(at_x - column)) * max(0.0, 1 - abs(at_y - row))
            total += share * patches[row * columns + column]
    return total


@pytest.mark.parametrize("grid", [(3, 5), (1, 4), (4, 1), (1, 1)])
def test_features_between_patches_are_bilinear(grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(grid[0] * grid[1], 6))
    points = np.vstack([rng.uniform(size=(30, 2)), [[0, 0], [1, 1], [0, 1]], patch_centres(grid)])
    found = point_features(patches, grid, points)
    assert found == pytest.approx(np.stack([one_feature(patches, grid, x, y) for x, y in points]))
    assert found[-len(patches) :] == pytest.approx(patches)


def test_patches_that_are_linear_in_their_place_are_so_between_them() -> None:
    centres = patch_centres((4, 6))
    points = np.array([[0.3, 0.4], [0.77, 0.61]])
    assert point_features(centres, (4, 6), points) == pytest.approx(points)


def test_rows_of_patches_come_from_the_top() -> None:
    assert patch_centres((2, 3)).tolist() == pytest.approx(
        np.array([[1 / 6, 0.25], [0.5, 0.25], [5 / 6, 0.25], [1 / 6, 0.75], [0.5, 0.75], [5 / 6, 0.75]])
    )


def test_the_match_is_the_largest_cosine_whatever_the_lengths() -> None:
    rng = np.random.default_rng(1)
    features, patches = rng.normal(size=(8, 5)), rng.normal(size=(12, 5)) * rng.uniform(0.1, 9, size=(12, 1))
    weights = nearest_patches(features, patches)
    for feature, of_patches in zip(features, weights, strict=True):
        lengths = np.linalg.norm(feature) * np.linalg.norm(patches, axis=1)
        best = int(np.argmax(patches @ feature / lengths))
        assert of_patches.tolist() == np.eye(12)[best].tolist()


def test_tied_patches_share_a_match() -> None:
    patches = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert nearest_patches([[3.0, 0.1]], patches).tolist() == [[0.5, 0.5, 0.0]]
    assert nearest_patches([[0.0, 0.0]], patches) == pytest.approx(np.full((1, 3), 1 / 3))
    same = np.tile(np.random.default_rng(2).normal(size=7).astype(np.float32), (9, 1))
    between = point_features(same, (3, 3), [[0.4, 0.3]])
    assert nearest_patches(between, same) == pytest.approx(np.full((1, 9), 1 / 9))


def test_a_match_is_correct_below_the_reach_and_not_at_it() -> None:
    # Patches of 20 by 10 pixels: their centres are 10 or 30 to the right and 5 or 15 down.
    near = within_reach((2, 2), (40, 20), [[10.0, 5.0], [13.0, 9.0], [20.0, 10.0]], 5.0)
    assert near.tolist() == [[True, False, False, False], [False] * 4, [False] * 4]
    assert within_reach((2, 2), (40, 20), [[13.0, 9.0]], 5.01)[0].tolist() == [True, False, False, False]


@pytest.mark.parametrize("points", [[[0.5, 1.2]], [[np.nan, 0.5]], [0.5, 0.5], [[-0.1, 0.2]]])
def test_points_outside_the_image_are_refused(points: list[Any]) -> None:
    with pytest.raises(InputError, match="points: expected shares of the image"):
        point_features(np.ones((4, 2)), (2, 2), points)


def test_patches_that_do_not_fill_the_grid_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected 2 rows of 3 patches, got shape \(5, 4\)"):
        point_features(np.ones((5, 4)), (2, 3), [[0.5, 0.5]])
