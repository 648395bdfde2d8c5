"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` with rows of unit length; a row of zeros stays as it is."""
    norms = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1.0), dtype=np.float32)
