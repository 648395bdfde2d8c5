"""Patches are made fewer and narrower without a look at what is held out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.projectors.fit import Split, Training, fit
from alignbench.projectors.patches import MOST_PATCHES, MOST_WIDTH, grid, principal_axes, width_read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

N, WIDTH = 20, MOST_WIDTH + 40


def wide(seed: int = 0) -> Vectors:
    """Patches of 30 directions among many, the first of the largest variance."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((WIDTH, 30)))[0]
    strengths = rng.standard_normal((N, 9, 30)) * np.arange(30, 0, -1)
    values: Vectors = (strengths @ directions.T + 7).astype(np.float32)
    return values


def split(train: int = 16) -> Split:
    rows = np.arange(N) < train
    return Split(rows, ~rows, ~rows, seed=3)


@pytest.mark.slow
def test_axes_are_those_of_a_singular_value_decomposition() -> None:
    centred = wide().astype(np.float64) - wide().mean(axis=(0, 1))
    axes = principal_axes(centred)
    assert axes is not None
    assert axes.shape == (WIDTH, MOST_WIDTH)
    np.testing.assert_allclose(axes.T @ axes, np.eye(MOST_WIDTH), atol=1e-4)
    largest = np.linalg.svd(centred.reshape(-1, WIDTH))[2][:5]
    np.testing.assert_allclose(np.abs((largest * axes[:, :5].T).sum(axis=1)), 1.0, atol=1e-3)


def test_narrow_patches_are_read_as_they_are() -> None:
    assert principal_axes(np.zeros((4, 3, MOST_WIDTH))) is None
    assert width_read(np.zeros((4, 3, MOST_WIDTH), np.float32)) == MOST_WIDTH
    assert width_read(wide()) == MOST_WIDTH
    assert width_read(np.zeros((4, WIDTH), np.float32)) == WIDTH


def test_what_is_held_out_does_not_shape_the_axes() -> None:
    x, y = wide(), np.random.default_rng(1).standard_normal((N, 8)).astype(np.float32)
    other = x.copy()
    other[16:] = 100 * wide(5)[16:]
    how = Training("cross_attention", "mse", epochs=3)
    first, second = (fit(values, y, [split()], how)[0] for values in (x, other))
    np.testing.assert_array_equal(first.train_loss, second.train_loss)
    assert not np.array_equal(first.prediction, second.prediction)


@pytest.mark.slow
def test_wide_patches_teach_what_their_axes_do() -> None:
    x, rows = wide(), np.arange(N) < 16
    y = np.random.default_rng(1).standard_normal((N, 8)).astype(np.float32)
    centred = x.astype(np.float64) - x[rows].astype(np.float64).mean(axis=(0, 1))
    axes = principal_axes(centred[rows])
    assert axes is not None
    how = Training("cross_attention", "mse", epochs=5)
    given, read = (fit(values, y, [split()], how)[0] for values in (x, (centred @ axes).astype(np.float32)))
    np.testing.assert_allclose(given.prediction, read.prediction, atol=2e-4)


def test_trainings_of_wide_patches_do_not_depend_on_those_beside() -> None:
    x, y = wide(), np.random.default_rng(1).standard_normal((N, 8)).astype(np.float32)
    how, both = Training("cross_attention", "mse", epochs=2), [split(), replace(split(12), seed=4)]
    alone = [fit(x, y, [one], how)[0].prediction for one in both]
    for one, beside in zip(alone, fit(x, y, both, how), strict=True):
        np.testing.assert_allclose(one, beside.prediction, rtol=1e-4, atol=1e-5)


def test_many_patches_teach_what_their_grid_does() -> None:
    x = np.random.default_rng(2).standard_normal((N, 100, 6)).astype(np.float32)
    y, how = x[:, :50].mean(axis=1), Training("cross_attention", "mse", epochs=3)
    given, averaged = (fit(values, y, [split()], how)[0] for values in (x, grid(x, MOST_PATCHES)))
    np.testing.assert_array_equal(given.prediction, averaged.prediction)


@pytest.mark.parametrize(("patches", "most", "left"), [(256, 64, 64), (49, 64, 49), (10, 4, 4), (65, 64, 64)])
def test_more_patches_than_wanted_are_averaged(patches: int, most: int, left: int) -> None:
    values = np.random.default_rng(0).standard_normal((2, patches, 3)).astype(np.float32)
    averaged = grid(values, most)
    assert averaged.shape == (2, left, 3)
    assert averaged.mean() == pytest.approx(values.mean(), abs=0.05)
