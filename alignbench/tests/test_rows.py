"""Rows of unit length: one definition for models, metrics and experiments."""

from __future__ import annotations

import numpy as np

from alignbench.rows import unit_rows, unit_vectors


def test_rows_have_unit_length_and_keep_their_direction() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, -2.0]]))
    assert np.array_equal(rows, [[0.6, 0.8], [0.0, -1.0]])


def test_a_row_of_zeros_stays_and_one_without_a_value_harms_no_other() -> None:
    rows = unit_rows(np.array([[0.0, 0.0], [np.nan, 1.0], [5.0, 0.0]]))
    assert np.array_equal(rows[0], [0.0, 0.0])
    assert np.isnan(rows[1, 0])
    assert np.array_equal(rows[2], [1.0, 0.0])


def test_vectors_of_patches_and_layers_are_rows_too() -> None:
    values = np.random.default_rng(0).standard_normal((4, 3, 2, 5))
    assert np.allclose(np.linalg.norm(unit_rows(values), axis=-1), 1)


def test_precision_is_that_of_the_values_and_of_a_model_float64_inside() -> None:
    # The square of 1e-30 is no float32: its own precision loses the length, float64 doesn't.
    values = np.array([[1e-30, 0.0]], dtype=np.float32)
    assert unit_rows(values).dtype == unit_vectors(values).dtype == np.float32
    assert np.array_equal(unit_rows(values), values)
    assert np.array_equal(unit_vectors(values), [[1.0, 0.0]])
