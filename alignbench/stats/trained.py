"""What accompanies trained scores: their values over repeated splits and over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.stats.interval import t_quantile
from alignbench.types import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def corrected_error(split_values: Sequence[float] | NDArray[np.float64], test_to_train: float) -> float:
    r"""Return the corrected standard error of a mean over J splits, $\sqrt{(1/J + n_{test}/n_{train})\,s^2}$.

    Repeated splits share most of their training data, so their values vary less than those of J independent
    samples would; the second term corrects for that.

    Args:
        split_values: the value of each split [J], the mean over its seeds.
        test_to_train: the ratio of held-out to training groups: 0.25 for an 80/20 split.

    Raises:
        InputError: there are fewer than two splits, a value is not finite, or the ratio is not positive.

    Source:
        Nadeau and Bengio (2003), Machine Learning 52 (the corrected resampled t-test).
    """
    values = _splits(split_values, test_to_train)
    return float(np.sqrt((1 / len(values) + test_to_train) * values.var(ddof=1)))


def corrected_interval(
    split_values: Sequence[float] | NDArray[np.float64],
    test_to_train: float,
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    level: float = 0.95,
) -> Interval:
    """Return the mean over the splits ± t₍J−1₎ · corrected error, cut to the score's bounds.

    Args:
        split_values: the value of each split [J], the mean over its seeds.
        test_to_train: the ratio of held-out to training groups.
        bounds: the score's bounds.
        level: the confidence level.

    Raises:
        InputError: see `corrected_error`.
    """
    values = _splits(split_values, test_to_train)
    center = float(values.mean())
    half = t_quantile(0.5 + level / 2, len(values) - 1) * corrected_error(values, test_to_train)
    low, high = max(center - half, bounds[0]), min(center + half, bounds[1])
    return Interval(low, high, f"corrected t over {len(values)} splits", level)


def seed_spread(values: ArrayLike) -> float:
    """Return the standard deviation over seeds within one split, pooled over the splits.

    It says how much of a score is luck of the initialisation; it is not part of the interval's correction.

    Args:
        values: the values [splits, seeds].

    Raises:
        InputError: the values are not a matrix, or one is not finite.
        DegenerateError: there is only one seed, so there is no spread.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 2 or not len(numbers) or not np.isfinite(numbers).all():
        raise InputError(f"values: expected finite numbers [splits, seeds], got shape {numbers.shape}")
    if numbers.shape[1] < 2:
        raise DegenerateError("seed spread: expected at least two seeds, got one")
    return float(np.sqrt(numbers.var(axis=1, ddof=1).mean()))


def multi_split_p(p_values: ArrayLike) -> float:
    """Return one p for the p-values of several splits of the same data: twice their median, at most 1.

    It is valid for any dependence between the splits, which share their data.

    Raises:
        InputError: there are none, or one is not from 0 to 1.

    Source:
        Rüger (1978), Metrika 25; Meinshausen, Meier and Bühlmann (2009), Journal of the American
        Statistical Association 104.
    """
    numbers = np.asarray(p_values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not ((numbers >= 0) & (numbers <= 1)).all():
        raise InputError(f"p_values: expected at least one, each from 0 to 1, got {numbers.tolist()}")
    return min(1.0, 2 * float(np.median(numbers)))


def _splits(split_values: Sequence[float] | NDArray[np.float64], test_to_train: float) -> NDArray[np.float64]:
    values = np.asarray(split_values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise InputError(f"split_values: expected at least two finite values, got shape {values.shape}")
    if not 0 < test_to_train < np.inf:
        raise InputError(f"test_to_train: expected a positive ratio such as 0.25, got {test_to_train}")
    return values
