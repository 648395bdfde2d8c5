"""How well one side separates the classes without each block of rows, from sums over all rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import count_of
from alignbench.metrics.blocks import row_blocks
from alignbench.metrics.checks import LEAST_LEFT, Centering, bounded, centered_beside, check_classes
from alignbench.metrics.classes import (
    FOLDS,
    SAME_VOTES,
    VOTERS,
    above_chance,
    discriminability_raw,
    knn_accuracy,
)
from alignbench.metrics.distances import unit_rounding
from alignbench.metrics.kernels import centered_gram, centered_side
from alignbench.metrics.nearest import angular_distances, directions, nearest_by_products, noise_of, reach_of
from alignbench.metrics.neighbors_left import FARTHEST
from alignbench.metrics.sums import lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.distances import Points

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]


def discriminability_raw_left(
    x: Matrix, blocks: Sequence[Indices], labels: NDArray[np.str_]
) -> Iterator[float]:
    r"""Yield `discriminability_raw` of the rows that are not in a block, for each block.

    It is $B/(B+W)$ with $B = \sum_c \|s_c\|^2/n_c - \|s\|^2/n$ and $B + W = q - \|s\|^2/n$, where $s_c$
    is the sum of the rows of a class, s that of all rows, and q the sum of their squared lengths.

    Args:
        x: [n, d].
        blocks: the rows of each block.
        labels: the class of each row.

    Raises:
        DegenerateError: see `discriminability_raw`.
    """
    centered = centered_side(x, "x")
    whole = centered, np.asarray(check_classes(labels, len(x)))
    squares = lengths(centered)
    sums, total = _class_sums(*whole), float(squares.sum())
    for block in blocks:
        classes = np.delete(labels, block)
        check_classes(classes, len(classes))
        left = sums - _class_sums(centered[block], whole[1][block], len(sums))
        counts = np.bincount(np.delete(whole[1], block), minlength=len(sums))
        middle = np.square(left.sum(axis=0)).sum() / len(classes)
        both = total - squares[block].sum() - middle
        if both < LEAST_LEFT * total:  # the block was nearly all that varies, so digits were lost
            yield discriminability_raw(np.delete(x, block, axis=0), classes)
            continue
        real = counts > 0
        between = (np.square(left[real]).sum(axis=1) / counts[real]).sum() - middle
        yield bounded(between / both, (0, 1), "discriminability_raw")


def _class_sums(rows: Matrix, codes: Indices, classes: int | None = None) -> Matrix:
    count = int(codes.max()) + 1 if classes is None else classes
    sums: Matrix = (codes == np.arange(count)[:, None]).astype(np.float64) @ rows
    return sums


def knn_above_chance_left(
    x: Matrix,
    blocks: Sequence[Indices],
    *,
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    seed: int,
) -> Iterator[float]:
    """Yield `knn_above_chance` of the rows that are not in a block, for each block.

    Args:
        x: [n, d].
        blocks: the rows of each block.
        labels: the class of each row.
        groups: the unit of the folds.
        seed: the seed of the folds.

    Raises:
        DegenerateError: see `knn_accuracy`.
    """
    products = _Products.of(x)
    for block in blocks:
        left = np.delete(np.arange(len(x)), block)
        accuracy = _accuracy(products, left, labels[left], groups[left], seed)
        if accuracy is None:
            accuracy = knn_accuracy(x[left], labels[left], groups=groups[left], seed=seed)
        yield above_chance(accuracy, labels[left], len(left))


@dataclass(frozen=True, slots=True)
class _Products:
    """All rows with their products.

    Args:
        source: the rows as they are [n, d].
        products: the products of the rows minus their mean, up to a power of two [n, n].
        size: a bound on the length of each row that was multiplied, which may have a small mean [n].
        given: the length of each row before it was centred [n].
    """

    source: Matrix
    products: Matrix
    size: Matrix
    given: Matrix

    @classmethod
    def of(cls, x: Matrix) -> _Products:
        """Return the products of x [n, d]."""
        products, side = centered_gram(x, "x"), Centering.of(x)
        centered, scale = side.scaled()
        unit = np.sqrt(np.trace(products) / np.vdot(centered, centered))
        size = np.sqrt(np.maximum(np.diagonal(products), 0.0)) + np.sqrt(np.trace(products) / len(x))
        return cls(x, products, size, unit * scale * np.sqrt(lengths(side.source)))


@dataclass(frozen=True, slots=True)
class _Fold:
    r"""Rows around the mean of a fold's train rows.

    With products $g_{ij}$ and their means over the train rows, $g_i$ for row i and g over all of these, the
    products around the mean of the train rows are $g_{ij} - g_i - g_j + g$.

    Args:
        test: which of the rows are asked about.
        shift: what is subtracted from the products with each row [m].
        along: what is subtracted from the products of each row [m].
        inverse: 1 / the distance of each row from the mean [m].
        reach: see `nearest_by_products` [m].
    """

    test: slice
    shift: Matrix
    along: Matrix
    inverse: Matrix
    reach: Matrix

    @classmethod
    def of(cls, whole: _Products, rows: Indices, test: slice) -> _Fold | None:
        """Return the fold of these rows of all; None if the products have lost digits, or none are left."""
        train = np.delete(rows, test)
        if len(train) <= VOTERS:
            return None
        member = np.zeros(len(whole.size))
        member[train] = 1 / len(train)
        products = member @ whole.products
        along, square = products[rows], max(float(products @ member), 0.0)
        squares = np.diagonal(whole.products)[rows] - 2 * along + square
        size, distance = whole.size[rows] + np.sqrt(square), np.sqrt(np.maximum(squares, 0.0))
        if not (size < FARTHEST * distance).all():
            return None
        lost, rounding = (size / distance) ** 2, unit_rounding(whole.source.shape[1])
        given = whole.given[rows]
        reach = reach_of(noise_of(given, distance, rounding)) + 16 * rounding * (lost + lost.max())
        return cls(test, along - square, along, 1 / distance, reach[test])


def _accuracy(
    whole: _Products, left: Indices, labels: NDArray[np.str_], groups: NDArray[np.str_], seed: int
) -> float | None:
    """Return `knn_accuracy` of the rows that are left; None if their products do not tell."""
    from alignbench.stats.splits import assign

    codes, part = check_classes(labels, len(left)), assign(groups, FOLDS, seed, "fold")
    order = np.argsort(part, kind="stable")
    rows, codes = left[order], codes[order]
    ends = np.cumsum(np.bincount(part, minlength=FOLDS)).tolist()
    tests = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    folds = [_Fold.of(whole, rows, test) for test in tests]
    known = [fold for fold in folds if fold is not None]
    if count_of(groups) < FOLDS or len(known) < FOLDS:
        return None

    def cosines() -> Iterator[tuple[slice, Matrix]]:
        for fold in known:
            start = fold.test.start
            for some in row_blocks(fold.test.stop - start, len(rows)):
                asked = slice(start + some.start, start + some.stop)
                result = whole.products[rows[asked]].take(rows, axis=1)
                result -= fold.shift
                result -= fold.along[asked, None]
                result *= fold.inverse
                result *= fold.inverse[asked, None]
                result[:, fold.test] = -np.inf
                yield asked, result

    @cache
    def sides() -> tuple[Matrix, Matrix]:
        scaled, given = centered_beside(whole.source[rows])
        return scaled, lengths(given)

    @cache
    def points(number: int) -> Points:
        scaled, sizes = sides()
        return directions(scaled, sizes, np.delete(scaled, tests[number], axis=0).mean(axis=0))

    def exact(_: Matrix, asked: Indices) -> tuple[Matrix, Matrix]:
        number = int(np.searchsorted(ends, asked[0], side="right"))
        distances, errors = angular_distances(points(number).take(asked), points(number))
        distances[:, tests[number]] = np.inf
        return distances, errors

    reach = np.concatenate([fold.reach for fold in known])
    found = nearest_by_products(cosines(), reach, exact, VOTERS)
    classes = int(codes.max()) + 1
    votes = np.bincount(found.rows * classes + codes[found.columns], found.weights, len(rows) * classes)
    votes = votes.reshape(len(rows), classes)
    winners = votes >= votes.max(axis=1, keepdims=True) - SAME_VOTES
    right = winners[np.arange(len(rows)), codes] / winners.sum(axis=1)
    return float(right.mean())
