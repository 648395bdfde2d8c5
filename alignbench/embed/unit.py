"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.embed.models import Vectors

_ROUNDING = 1e-6


def unit(values: Vectors, ids: Sequence[str], name: str) -> Vectors:
    """Scale the rows to length 1, in place, and return them; their squares are summed in float64.

    A row that already has this length up to rounding stays as it is, so repeated scaling changes nothing.

    Raises:
        ModelError: a row is zero.
    """
    norms = np.sqrt(np.einsum("nd,nd->n", values, values, dtype=np.float64)).astype(np.float32)
    if not norms.all():
        raise ModelError(
            f"{name}: the vector of sample {ids[int(np.argmin(norms))]!r} is zero; it has no direction"
        )
    norms[np.abs(norms - 1) <= _ROUNDING] = 1
    values /= norms[:, None]
    return values
