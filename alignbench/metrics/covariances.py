"""Covariances of the rows of a side, plain and shrunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import centered, check_min_n, check_varies
from alignbench.metrics.small_means import SmallMean
from alignbench.metrics.triangles import lower_product, mirrored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def covariance(x: Matrix, varies: str | None = None) -> Matrix:
    """Return the covariance [d, d] of `x` [n, d], normalised by n−1.

    Args:
        x: [n, d].
        varies: the name of a side that is refused if it has no variance or is not finite; None not to check.

    Raises:
        TooFewSamplesError: fewer than 2 rows.
        InputError, DegenerateError: see `check_varies`.
    """
    check_min_n(len(x), 2)
    if len(x) > FEW:
        return mirrored(lower_covariance(x, varies))
    deviations = _deviations(x, varies)
    with np.errstate(over="ignore", invalid="ignore"):
        result: Matrix = deviations.T @ deviations / (len(x) - 1)
    return result


def lower_covariance(x: Matrix, varies: str | None) -> Matrix:
    """Return the lower triangle of `covariance` [d, d] of more than FEW rows, with zeros above it.

    Args, Raises: as `covariance`.
    """
    for small_mean in (SmallMean.of, SmallMean.of_shifted):
        mean = small_mean(x)
        lower = None if mean is None else mean.lower_covariance()
        if lower is not None:
            return lower
    return lower_product(_deviations(x, varies), 1 / (len(x) - 1))


def _deviations(x: Matrix, varies: str | None) -> Matrix:
    if varies is not None:
        check_varies(x, varies)
    return centered(x)


def ledoit_wolf(x: Matrix) -> Matrix:
    r"""Return the covariance [d, d] shrunk towards $\mu I$ with the weight of least expected squared error.

    Source:
        Ledoit and Wolf (2004), Journal of Multivariate Analysis 88, 365-411; normalised by n−1 here.
    """
    n, d = x.shape
    sample = covariance(x)
    biased = sample * (n - 1) / n
    mean = float(np.trace(biased)) / d
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.square(biased).sum())
        lengths = np.square(centered(x)).sum(axis=1)
        error = (float(lengths @ lengths) / n - size) / (n * d)
        dispersion = size / d - float(np.float_power(mean, 2))  # ** would refuse an overflow
    weight = 1.0 if dispersion <= 0 else min(error / dispersion, 1.0)
    shrunk: Matrix = (1 - weight) * sample + weight * float(np.trace(sample)) / d * np.eye(d)
    return shrunk
