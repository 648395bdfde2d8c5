"""How well one side alone separates the data types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics.base import METRICS
from alignbench.metrics.checks import (
    as_matrix,
    bounded,
    centered_beside,
    check_classes,
    check_groups,
    check_min_n,
    standardized,
)
from alignbench.metrics.lists import MOST_QUERIES, Directions, lists_from_outside
from alignbench.metrics.nearest import angular_distances, directions, nearest_weights
from alignbench.metrics.queries import Answers, Queried
from alignbench.metrics.sums import lengths
from alignbench.rows import unit_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.queries import Asked

    Matrix = NDArray[np.float64]

INVARIANCES = ("rotation", "isotropic_scale", "translation")
FOLDS = 5
VOTERS = 5
SAME_VOTES = 1e-9  # votes are sums of fractions of a place, which differ by far more than this


def scatter(x: Matrix, codes: NDArray[np.intp]) -> tuple[float, float]:
    """Return the traces (between, within) of the class scatter of `x` [n, d]; they add up to the total."""
    counts = np.bincount(codes)
    member = (codes[:, None] == np.arange(len(counts))).astype(np.float64)
    means = member.T @ x / counts[:, None]
    between = float(counts @ np.square(means - x.mean(axis=0)).sum(axis=1))
    return between, float(np.square(x - means[codes]).sum())


def adjusted_share(between: float, within: float, n: int, c: int) -> float:
    """Return `discriminability` from the scatter traces of n rows in c classes."""
    value = max(0.0, 1 - within / (n - c) * (n - 1) / (between + within))
    return bounded(value, (0, 1), "discriminability")


def _scatter_of(x: ArrayLike, labels: ArrayLike, min_n: int) -> tuple[float, float, int, int]:
    a = as_matrix(x)
    check_min_n(len(a), min_n)
    codes = check_classes(labels, len(a))
    between, within = scatter(standardized(a), codes)
    return between, within, len(a), int(codes.max()) + 1


@METRICS.register(
    "discriminability",
    kind="labelled",
    family="classes",
    bounds=(0, 1),
    invariant_to=INVARIANCES,
    min_n=4,
    chance=lambda n, codes, settings: 0.0,
    streamed=lambda sample: sample.classes[0],
)
def discriminability(x: ArrayLike, labels: ArrayLike) -> float:
    r"""Return the share of variance that lies between the classes, corrected for chance.

    $\max\left(0,\ 1 - \frac{W/(n-c)}{(B+W)/(n-1)}\right)$, where B and W are the traces of the scatter
    between and within the c classes. It is about 0 without structure, for any n.

    Args:
        x: [n, d].
        labels: the class of each row; at least two classes, each with at least two members.

    Returns:
        A value in [0, 1]. It never sees the other side of a pair.

    Raises:
        InputError: bad input.
        DegenerateError: there is one class, a class has one member, or the variance is zero.

    Source:
        The adjusted R² (ε², Kelley 1935) of the class means.
    """
    between, within, n, c = _scatter_of(x, labels, 4)
    return adjusted_share(between, within, n, c)


@METRICS.register(
    "discriminability_raw",
    kind="labelled",
    family="classes",
    bounds=(0, 1),
    invariant_to=INVARIANCES,
    min_n=4,
    chance=lambda n, codes, settings: 0.0 if codes is None else float(codes.max() / (len(codes) - 1)),
    streamed=lambda sample: sample.classes[1],
)
def discriminability_raw(x: ArrayLike, labels: ArrayLike) -> float:
    r"""Return the uncorrected share of variance between the classes, as published; for fidelity only.

    $f/(f+1) = B/(B+W)$ with f = B/W. Pure noise gets about (c−1)/(n−1): .25 for nine samples of three types.

    Args:
        x: [n, d].
        labels: the class of each row; at least two classes, each with at least two members.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: bad input.
        DegenerateError: there is one class, a class has one member, or the variance is zero.
    """
    between, within, _, _ = _scatter_of(x, labels, 4)
    return bounded(between / (between + within), (0, 1), "discriminability_raw")


@METRICS.register(
    "spread",
    kind="unary",
    family="classes",
    bounds=(0, np.inf),
    invariant_to=("rotation", "translation"),
    streamed=lambda sample: sample.spread,
)
def spread(x: ArrayLike) -> float:
    """Return the mean variance of the dimensions (n−1); it replaces class structure for data without labels.

    Args:
        x: [n, d].

    Returns:
        A value ≥ 0, in squared units of x.

    Raises:
        InputError: bad input.
        DegenerateError: the variance is zero.
    """
    a = as_matrix(x)
    check_min_n(len(a), 2)
    standardized(a)
    with np.errstate(over="ignore", invalid="ignore"):
        return bounded(float(a.var(axis=0, ddof=1).mean()), (0, np.inf), "spread")


@METRICS.register(
    "cosine_variance",
    kind="unary",
    family="classes",
    bounds=(0, 1),
    invariant_to=("rotation", "isotropic_scale"),
    min_n=3,
    squares=2.5,
)
def cosine_variance(x: ArrayLike) -> float:
    """Return the variance of all pairwise cosines of the uncentred rows: 0 if all have the same direction.

    Args:
        x: [n, d], without rows of zeros.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: bad input.
        DegenerateError: the variance is zero, or a row of zeros has no direction.
    """
    a = as_matrix(x)
    check_min_n(len(a), 3)
    standardized(a)
    largest = np.abs(a).max(axis=1, keepdims=True)
    if not largest.all():
        raise DegenerateError(
            f"x: row {int(np.argmin(largest))} is all zeros and has no direction; leave it out"
        )
    directions = unit_rows(a / largest)
    cosines = (directions @ directions.T)[np.triu_indices(len(a), 1)]
    return bounded(float(cosines.var()), (0, 1), "cosine_variance")


def _check_voters(k: int | None, train_rows: int) -> None:
    if k is None and train_rows < VOTERS:
        raise TooFewSamplesError(
            f"knn_accuracy: expected at least {VOTERS} train rows to vote, got {train_rows}; use more groups"
        )
    if k is not None and not 1 <= k <= train_rows:
        raise InputError(f"k: expected 1 <= k <= {train_rows}, the train rows, got {k}")


def _votes_of(asked: Asked) -> Answers:
    """Return the expected accuracy of the vote on each query, with its neighbours among all train rows.

    Raises:
        DegenerateError: see `knn_accuracy`; or all train rows of a fold are equal.
    """
    from alignbench.stats.splits import assign

    codes = check_classes(asked.labels, asked.n)
    fold = assign(asked.groups, FOLDS, asked.seed, "fold")
    correct = np.empty((len(asked.queries), 1))
    for number in range(FOLDS):
        mine = np.flatnonzero(fold[asked.queries] == number)
        train = np.flatnonzero(fold != number)
        among = Directions.of(asked.x, asked.rows[train])
        for start in range(0, len(mine), MOST_QUERIES):
            some = mine[start : start + MOST_QUERIES]
            test = asked.queries[some]
            columns, weights, *_ = lists_from_outside(among, asked.rows[test], VOTERS)
            votes = np.zeros((len(some), int(codes.max()) + 1))
            np.add.at(votes, (np.arange(len(some))[:, None], codes[train][columns]), weights)
            winners = votes >= votes.max(axis=1, keepdims=True) - SAME_VOTES
            correct[some, 0] = winners[np.arange(len(some)), codes[test]] / winners.sum(axis=1)
    return Answers(lambda partner: correct)


def _majority(n: int, codes: NDArray[np.intp] | None, settings: Any) -> float:
    return 0.0 if codes is None else float(np.bincount(codes).max() / len(codes))


@METRICS.register(
    "knn_accuracy",
    kind="labelled",
    family="classes",
    bounds=(0, 1),
    invariant_to=INVARIANCES,
    min_n=10,
    needs=("groups", "seed"),
    chance=_majority,
    squares=1,
    queried=Queried(_votes_of),
)
def knn_accuracy(
    x: ArrayLike, labels: ArrayLike, *, k: int | None = None, groups: ArrayLike | None = None, seed: int = 42
) -> float:
    """Return the accuracy of a k-nearest-neighbour vote in five folds over groups.

    Neighbours are nearest by cosine after centring on the train folds; ties between neighbours or classes
    count by their expectation.

    Args:
        x: [n, d], n ≥ 10.
        labels: the class of each row; at least two classes, each with at least two members.
        k: the number of neighbours that vote; 5 by default.
        groups: the unit of the folds; by default, each row.
        seed: the seed of the folds.

    Returns:
        A value in [0, 1]; guessing gets the share of the largest class.

    Raises:
        InputError: bad input.
        DegenerateError: there is one class, a class has one member, the variance is zero, there are fewer
            than five groups, or a fold leaves fewer train rows than there are votes.
    """
    from alignbench.stats.splits import assign

    a = as_matrix(x)
    check_min_n(len(a), 10)
    codes = check_classes(labels, len(a))
    names = check_groups(groups, len(a))
    if (count := count_of(names)) < FOLDS:
        raise TooFewSamplesError(f"knn_accuracy: expected at least {FOLDS} groups, got {count}")
    scaled, given = centered_beside(a)
    sizes = lengths(given)
    member = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    fold = assign(names, FOLDS, seed, "fold")
    correct = 0.0
    for number in range(FOLDS):
        test = fold == number
        train_rows = scaled[~test]
        _check_voters(k, len(train_rows))
        points = directions(scaled, sizes, train_rows.mean(axis=0))
        votes = (
            nearest_weights(
                *angular_distances(points.take(test), points.take(~test)), VOTERS if k is None else k
            )
            @ member[~test]
        )
        winners = votes >= votes.max(axis=1, keepdims=True) - SAME_VOTES
        correct += float((winners * member[test]).sum(axis=1) @ (1 / winners.sum(axis=1)))
    return bounded(correct / len(a), (0, 1), "knn_accuracy")


def knn_above_chance(
    x: ArrayLike, labels: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42
) -> float:
    r"""Return `knn_accuracy` on a scale from guessing (0) to 1, $\max(0, (a - m) / (1 - m))$.

    m is the share of the largest class. Neighbours also reveal classes that differ in only a few directions
    with hardly any of the variance, which `discriminability` misses.

    Args:
        x: [n, d], n ≥ 10.
        labels: the class of each row; at least two classes, each with at least two members.
        groups: the unit of the folds; by default, each row.
        seed: the seed of the folds.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: bad input.
        DegenerateError: see `knn_accuracy`.
    """
    return above_chance(knn_accuracy(x, labels, groups=groups, seed=seed), labels, len(as_matrix(x)))


def above_chance(accuracy: float, labels: ArrayLike, n: int) -> float:
    """Return an accuracy on n rows with these labels on a scale from guessing (0) to 1."""
    largest = _majority(0, check_classes(labels, n), {})
    return max(0.0, (accuracy - largest) / (1 - largest))
