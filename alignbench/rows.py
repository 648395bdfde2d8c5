"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

F = TypeVar("F", bound=np.floating[Any])


def unit_rows(values: NDArray[F]) -> NDArray[F]:
    """Return `values` [..., d] with rows of unit length, computed in their own precision.

    A row of zeros has no direction, and stays as it is.
    """
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return cast("NDArray[F]", values / np.where(lengths > 0, lengths, 1))


def unit_vectors(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors [..., d] of a model with unit length: lengths in float64, the result in float32."""
    return unit_rows(values.astype(np.float64)).astype(np.float32)
