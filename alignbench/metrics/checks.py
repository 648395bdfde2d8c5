"""The input checks of every metric: a finite float64 matrix goes in, a number within bounds comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of, names_of
from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.given import plain_array
from alignbench.metrics.blocks import row_blocks, unbuffered
from alignbench.metrics.small_means import SmallMean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

ROUNDING = 1e-12
LEAST_LEFT = 1e-3  # of a sum of squares: with less left after a subtraction, it has lost digits
LARGEST = 1e150  # the sum of 1e7 squares of this is still a float64
SAFE_SPREAD = (
    1e100  # sides whose largest deviation is below this and above its inverse are in range as they are
)
SAFE = 1e-12  # a spread above this share of the largest mean is no rounding
MOST_EXPONENT = 1000  # up to this, the power of two and its inverse are normal float64 numbers


def as_matrix(value: ArrayLike | Any, name: str = "x") -> Matrix:
    """Return `value` as a finite float64 matrix [n, d]; integers and half precision are converted.

    Raises:
        InputError: not two-dimensional, empty, not real numbers, not finite, or masked.
    """
    matrix = as_unchecked_matrix(value, name)
    with np.errstate(over="ignore", invalid="ignore"):
        total = matrix.sum()
    if not np.isfinite(total):  # of finite numbers, too, if they are large
        check_finite(matrix, name)
    return matrix


def as_unchecked_matrix(value: ArrayLike | Any, name: str = "x") -> Matrix:
    """Return `value` as a float64 matrix, as `as_matrix` does, without looking at its numbers.

    Raises:
        InputError: not two-dimensional, empty, not real numbers, or masked.
    """
    array = plain_array(value, name)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: expected real numbers, got dtype {array.dtype}; convert it first")
    if array.ndim != 2:
        hint = "; a vector of n values is [n, 1]: use x[:, None]" if array.ndim == 1 else ""
        raise InputError(f"{name}: expected a matrix [n, d], got shape {array.shape}{hint}")
    if 0 in array.shape:
        raise InputError(f"{name}: expected at least one row and one column, got shape {array.shape}")
    matrix: Matrix = array.astype(np.float64, copy=False)
    return matrix


def check_finite(matrix: Matrix, name: str) -> None:
    """Refuse a matrix with values that are not finite.

    Raises:
        InputError: a value is NaN or infinite.
    """
    finite = np.isfinite(matrix)
    if not finite.all():
        bad = np.argwhere(~finite)
        raise InputError(
            f"{name}: {len(bad)} of {matrix.size} values are NaN or infinite in shape {matrix.shape}, "
            f"the first in row {bad[0, 0]}; leave such rows out"
        )


def check_range(matrix: Matrix, name: str) -> None:
    """Refuse a row whose squares leave the range of float64: its length would be zero or infinite.

    A row of zeros has no direction, but it is not out of range: whoever needs a direction has to refuse it.

    Raises:
        InputError: the largest absolute value of a row is above 1e150, or below 1e-150 and not zero.
    """
    largest = np.maximum(matrix.max(axis=1), -matrix.min(axis=1))
    outside = (largest > LARGEST) | ((largest < 1 / LARGEST) & (largest > 0))
    if outside.any():
        row = int(np.argmax(outside))
        what = "large" if largest[row] > LARGEST else "small"
        raise InputError(
            f"{name}: row {row}: values as {what} as {largest[row]:.3g} have squares beyond float64; "
            f"multiply the whole array by one factor: rows may lie between {1 / LARGEST:g} and {LARGEST:g}"
        )


def check_min_n(n: int, min_n: int, name: str = "x") -> None:
    """Raise TooFewSamplesError if `n` rows are fewer than the `min_n` that a definition needs."""
    if n < min_n:
        raise TooFewSamplesError(f"{name}: expected at least {min_n} rows, got {n}; use more samples")


def check_pair(x: ArrayLike, y: ArrayLike, min_n: int = 2) -> tuple[Matrix, Matrix]:
    """Return both sides as float64 matrices with the same number of rows, at least `min_n`.

    Raises:
        InputError: see `as_matrix`; or the numbers of rows differ.
        TooFewSamplesError: there are fewer than `min_n` rows.
    """
    return _paired(as_matrix(x, "x"), as_matrix(y, "y"), min_n)


def pair_to_center(x: ArrayLike, y: ArrayLike, min_n: int = 2) -> tuple[Matrix, Matrix]:
    """Return both sides as `check_pair` does, for callers that centre them, which looks at their numbers.

    Raises:
        InputError: see `as_unchecked_matrix`; or the numbers of rows differ.
        TooFewSamplesError: there are fewer than `min_n` rows.
    """
    return _paired(as_unchecked_matrix(x, "x"), as_unchecked_matrix(y, "y"), min_n)


def _paired(a: Matrix, b: Matrix, min_n: int) -> tuple[Matrix, Matrix]:
    if len(a) != len(b):
        raise InputError(
            f"x and y: row i of both is one pair, but x has shape {a.shape} and y {b.shape}; "
            "they need the same number of rows"
        )
    check_min_n(len(a), min_n, "x and y")
    return a, b


def check_labels(labels: ArrayLike, n: int, name: str = "labels") -> NDArray[np.intp]:
    """Return `labels` [n] as class numbers 0 … c−1 (in sorted order of the labels).

    Raises:
        InputError: there is not one label per row.
    """
    return codes_of(names_of(labels, n, name))


def check_classes(labels: ArrayLike, n: int) -> NDArray[np.intp]:
    """Return class numbers of at least two classes, each with at least two members.

    Raises:
        InputError: see `check_labels`.
        DegenerateError: there is only one class, or a class has one member.
    """
    codes = check_labels(labels, n)
    counts = np.bincount(codes)
    if len(counts) < 2:
        raise DegenerateError(f"labels: expected at least two classes, got one class of {n}")
    if counts.min() < 2:
        raise DegenerateError(
            f"labels: expected at least two of each class, got classes of {counts.tolist()}"
        )
    return codes


def check_groups(groups: ArrayLike | None, n: int) -> NDArray[np.str_]:
    """Return the group of each row as strings; without groups, each row is its own group.

    Raises:
        InputError: there is not one group per row.
    """
    return names_of(np.arange(n) if groups is None else groups, n, "groups")


def centered(x: Matrix) -> Matrix:
    """Return `x` minus its column means, in two passes (the second removes the first one's rounding)."""
    mean = x.mean(axis=0)
    rest, _ = _rest(x, mean)
    result = np.empty_like(x)
    with unbuffered():
        for rows in _blocks(x):
            block = np.subtract(x[rows], mean, out=result[rows])
            block -= rest
    return result


@dataclass(frozen=True, slots=True)
class Centering:
    """A side that is to be centred: its rows are `source` − `mean` − `rest`.

    Args:
        source: [n, d], in the range of float64, and so are squares of its deviations.
        mean: the mean of its rows [d].
        rest: the mean of its rows minus `mean` [d], which is rounding.
        spread: the largest absolute value of its rows minus `mean`.
    """

    source: Matrix
    mean: Matrix
    rest: Matrix
    spread: float

    @classmethod
    def of(cls, x: Matrix, name: str = "x") -> Centering:
        """Return how `x` [n, d] is centred.

        Raises:
            InputError: a value is not finite.
            DegenerateError: all rows are equal (up to rounding).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean = x.mean(axis=0)
            rest, spread = _rest(x, mean)
            common = SAFE * (spread + _largest(mean))
        if common < spread < SAFE_SPREAD and spread > 1 / SAFE_SPREAD:
            return cls(x, mean, rest, spread)
        # A value may not be finite, the variance may be zero, or a sum may be beyond float64.
        check_finite(x, name)
        source = in_range(x)
        mean = source.mean(axis=0)
        rest, spread = _rest(source, mean)
        if float(np.abs(source - mean - rest).max()) <= 8 * np.finfo(np.float64).eps:
            raise DegenerateError(f"{name}: zero variance, all {len(x)} rows of shape {x.shape} are equal")
        return cls(source, mean, rest, spread)

    def scaled(self) -> tuple[Matrix, float]:
        """Return the centred rows, scaled so that the largest is between 1/2 and 1, and the power of two."""
        exponent = int(np.frexp(self.spread)[1])
        factor = 2.0**-exponent
        result, spread = np.empty_like(self.source), 0.0
        for rows in _blocks(self.source):
            with unbuffered():
                block = np.subtract(self.source[rows], self.mean, out=result[rows])
                block -= self.rest
            block *= factor
            spread = max(spread, _largest(block))
        more = int(np.frexp(spread)[1])  # not 0 if `rest` moved the spread across a power of two
        return divided(result, more), 2.0 ** -(exponent + more)


def check_varies(x: Matrix, name: str = "x") -> None:
    """Refuse a side that `standardized` refuses, in fewer passes.

    Raises:
        InputError: a value is not finite.
        DegenerateError: all rows are equal (up to rounding).
    """
    if SmallMean.of(x) is not None:
        return
    top, low = x.max(axis=0), x.min(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        width = float((top - low).max())
        least = SAFE * float(np.maximum(top, -low).max())
    if not least < width < np.inf:
        Centering.of(x, name)


def standardized(x: Matrix, name: str = "x") -> Matrix:
    """Return `x` centred and divided by a power of two, so that no product overflows or underflows.

    Division by a power of two is exact: a score that is invariant to scale keeps every bit.

    Raises:
        InputError: a value is not finite.
        DegenerateError: all rows are equal (up to rounding).
    """
    return Centering.of(x, name).scaled()[0]


def centered_beside(x: Matrix, name: str = "x") -> tuple[Matrix, Matrix]:
    """Return `standardized(x)`, and `x` divided by the same power of two but not centred.

    Raises:
        InputError: a value is not finite.
        DegenerateError: all rows are equal (up to rounding).
    """
    side = Centering.of(x, name)
    result, scale = side.scaled()
    return result, side.source * scale


def in_range(x: Matrix) -> Matrix:
    """Return `x` divided by a power of two, so that its largest absolute value is between 1/2 and 1."""
    largest = _largest(x)
    return x if largest == 0 else divided(x, int(np.frexp(largest)[1]))


def divided(x: Matrix, exponent: int) -> Matrix:
    """Return `x` divided by 2 to the power of `exponent`; `x` itself if that is 1."""
    if exponent == 0:
        return x
    return x * 2.0**-exponent if abs(exponent) < MOST_EXPONENT else np.ldexp(x, -exponent)


def _rest(x: Matrix, mean: Matrix) -> tuple[Matrix, float]:
    """Return the column means of x − mean, which are rounding, and the largest absolute value of x − mean."""
    total, spread = None, 0.0
    for rows in _blocks(x):
        with unbuffered():
            block = x[rows] - mean
        spread = max(spread, _largest(block))
        # Rows are added to the sum one by one, so it has the same bits whatever the blocks.
        total = (block if total is None else np.concatenate([total[None], block])).sum(axis=0)
    assert total is not None
    return total / len(x), spread


def _blocks(x: Matrix) -> list[slice]:
    """Return the blocks of rows by which `x` is worked on: all at once unless its rows are contiguous."""
    by_rows = x.flags.c_contiguous and x.shape[1] > 1
    return list(row_blocks(*x.shape)) if by_rows else [slice(len(x))]


def _largest(x: Matrix) -> float:
    """Return the largest absolute value; NaN if there is one."""
    return float(np.maximum(x.max(), -x.min()))


def bounded(value: float, bounds: tuple[float, float], name: str) -> float:
    """Return `value` clipped to `bounds`; it may exceed them by rounding only.

    Raises:
        DegenerateError: not finite (an overflow).
        ArithmeticError: it is out of bounds, so the metric or its declaration is wrong.
    """
    number = float(value)
    if not np.isfinite(number):
        raise DegenerateError(f"{name}: the value is {number}: the input's range is beyond float64")
    low, high = bounds
    if not low - ROUNDING <= number <= high + ROUNDING:
        raise ArithmeticError(f"{name}: {number!r} is outside its bounds [{low}, {high}]")
    return min(max(number, low), high)
