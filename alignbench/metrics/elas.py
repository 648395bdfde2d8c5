"""ELAS: how similar two spaces are, and how well a projector between them generalises to new pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.checks import as_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

ELAS_WEIGHTS = {"linear_cka": 0.3, "1 - mse": 0.3, "1 - gap": 0.2, "cosine": 0.2}


def elas_parts(
    cka: float, prediction: ArrayLike, y: ArrayLike, train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> dict[str, float]:
    r"""Return the four parts of one trained projector, each from 0 to 1.

    - `linear_cka`, as passed in: of all pairs, before any projector.
    - `1 - mse`: $1 - \min(1, \mathrm{MSE}/\mathrm{Var}\,Y)$ on test rows, with the variance around the
    *train* mean; 0 for a projector that always predicts the train mean.
    - `1 - gap`: $1 - \min(1, |e_{test} - e_{train}| / \max(e_{train}, e_{test}))$ for the two MSE; 0/0 counts
    as no gap.
    - `cosine`: the mean cosine of projected test rows with their targets, both centred on the mean of y over
    the train rows, at least 0.

    Args:
        cka: the linear CKA of the pair.
        prediction: the projected images of all rows [n, dy].
        y: the texts of all rows [n, dy].
        train: the mask of the training rows [n].
        test: the mask of the held-out rows [n].

    Raises:
        InputError: shapes don't match, or there are no train or test rows.
        DegenerateError: the test texts have no variance, or a row has no direction.
    """
    f, t = as_matrix(prediction, "prediction"), as_matrix(y, "y")
    if f.shape != t.shape:
        raise InputError(f"prediction and y: expected one shape, got {f.shape} and {t.shape}")
    for name, mask in (("train", train), ("test", test)):
        if mask.shape != (len(t),) or not mask.any():
            raise InputError(f"{name}: expected a mask of {len(t)} rows with some of them in it")
    center = t[train].mean(axis=0)
    variance = float(np.square(t[test] - center).mean())
    if variance == 0:
        raise DegenerateError(
            "y: the held-out texts all equal the train mean, so there is nothing to explain"
        )
    error, fitted = (float(np.square(f[rows] - t[rows]).mean()) for rows in (test, train))
    worse = max(error, fitted)
    gap = abs(error - fitted) / worse if worse else 0.0
    a, b = f[test] - center, t[test] - center
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not norms.all():
        raise DegenerateError("a held-out row lies on the train mean and has no direction")
    return {
        "linear_cka": float(cka),
        "1 - mse": 1 - min(1.0, error / variance),
        "1 - gap": 1 - min(1.0, gap),
        "cosine": max(0.0, float(((a * b).sum(axis=1) / norms).mean())),
    }


def elas(parts: Mapping[str, float]) -> float:
    """Return 0.3 linear CKA + 0.3 (1 - mse) + 0.2 (1 - gap) + 0.2 cosine, of `elas_parts`."""
    return sum(weight * parts[name] for name, weight in ELAS_WEIGHTS.items())
