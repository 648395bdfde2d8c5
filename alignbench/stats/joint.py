"""How the scores of several models vary together, over shared deletions or over shared splits and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats.interval import jackknife_error
from alignbench.stats.trained import corrected_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Joint:
    """The scores of several models on the same parts of the data.

    Args:
        parts: name -> the score without each block, or in each split (the mean over its seeds).
        error: computes the standard error of a difference of two scores from its values on the parts.
        deviations: name -> a vector; the inner product of two of them is the covariance of the two scores.
    """

    parts: Mapping[str, Sequence[float]]
    error: Callable[[Sequence[float]], float]
    deviations: Mapping[str, Vector]

    @property
    def freedom(self) -> int:
        """The degrees of freedom of every error."""
        return len(next(iter(self.parts.values()))) - 1

    def error_between(self, first: str, second: str) -> float:
        """Return the standard error of the difference of two scores."""
        return self.error((np.asarray(self.parts[first]) - np.asarray(self.parts[second])).tolist())


def joint_of_deletions(deletions: Mapping[str, Sequence[float]]) -> Joint:
    r"""Return how scores vary together over shared blocks, $\frac{G-1}{G}\sum_g d_g d_g^\top$.

    Args:
        deletions: name -> the score without each shared block, as `evaluate` gives them.

    Raises:
        InputError: there are fewer than two blocks, or their number differs between names.
    """
    values = _columns(deletions, "deletions", 1)
    count = len(next(iter(values.values())))
    scale = np.sqrt((count - 1) / count)
    return Joint(
        parts={name: column.tolist() for name, column in values.items()},
        error=jackknife_error,
        deviations={name: scale * (column - column.mean()) for name, column in values.items()},
    )


def joint_of_repeats(repeats: Mapping[str, Sequence[Sequence[float]]], test_to_train: float) -> Joint:
    r"""Return how trained scores vary together over shared splits and seeds.

    The covariance is the corrected one of the splits, $(1/J + n_{test}/n_{train})\,S_{splits}$, plus that of
    the seeds, $S_{seeds}/K$, which covers what a seed does to every split alike; S are sample covariances of
    the means. The `error` is that of the splits alone, as in `corrected_interval`.

    Args:
        repeats: name -> the score in each split with each seed [J, K].
        test_to_train: the ratio of held-out to training groups.

    Raises:
        InputError: there are fewer than two splits, or splits or seeds differ between names.
    """
    values = _columns(repeats, "repeats", 2)
    parts = {name: table.mean(axis=1) for name, table in values.items()}
    splits, seeds = next(iter(values.values())).shape
    error = partial(corrected_error, test_to_train=test_to_train)
    by_split = np.sqrt((1 / splits + test_to_train) / (splits - 1))
    by_seed = 0.0 if seeds < 2 else np.sqrt(1 / seeds / (seeds - 1))
    deviations = {
        name: np.concatenate(
            [
                by_split * (parts[name] - parts[name].mean()),
                by_seed * (table.mean(axis=0) - table.mean()),
            ]
        )
        for name, table in values.items()
    }
    return Joint({name: column.tolist() for name, column in parts.items()}, error, deviations)


def _columns(given: Mapping[str, Sequence[object]], name: str, ndim: int) -> dict[str, Vector]:
    columns = {key: np.asarray(values, dtype=np.float64) for key, values in given.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != ndim or shape[0] < 2 or 0 in shape:
        raise InputError(
            f"{name}: expected the same two or more for all names, got shapes {sorted(shapes, key=str)}"
        )
    if not all(np.isfinite(column).all() for column in columns.values()):
        raise InputError(f"{name}: expected finite values")
    return columns
