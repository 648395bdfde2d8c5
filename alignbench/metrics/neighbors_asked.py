"""Mutual k-NN and CKNNA from some of very many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.lists import Directions, Products
from alignbench.metrics.queries import Answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.metrics.lists import Entries, Known, Lists
    from alignbench.metrics.queries import Asked

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

BESIDE = 500  # lists that are compared at once, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class _Common:
    """The neighbours that the same rows have in common on both sides [m].

    Args:
        at: the place of the row in its lists.
        in_x: the place of the neighbour in the row's list of x.
        in_y: that in its list of y.
    """

    at: Indices
    in_x: Indices
    in_y: Indices

    @classmethod
    def of(cls, of_x: Lists, of_y: Lists) -> _Common:
        found = []
        for start in range(0, len(of_x.columns), BESIDE):
            rows = slice(start, start + BESIDE)
            same = of_x.columns[rows, :, None] == of_y.columns[rows, None, :]
            same &= (of_x.weights[rows, :, None] > 0) & (of_y.weights[rows, None, :] > 0)
            at, i, j = np.nonzero(same)
            found.append((at + start, i, j))
        if not found:
            return cls(*(np.zeros(0, dtype=np.intp) for _ in range(3)))
        return cls(*map(np.concatenate, zip(*found, strict=True)))

    def values(self, of_x: Lists, of_y: Lists) -> tuple[Vector, Vector]:
        """Return both sides' products of row and neighbour, times both weights [m] each."""
        x, y = (self.at, self.in_x), (self.at, self.in_y)
        weights = of_x.weights[x] * of_y.weights[y]
        return weights * of_x.products[x], weights * of_y.products[y]


def shared_neighbors(of_x: Lists, of_y: Lists) -> Vector:
    """Return which share of its nearest neighbours each row has in common on both sides [q]."""
    common = _Common.of(of_x, of_y)
    degrees = of_x.weights[common.at, common.in_x] * of_y.weights[common.at, common.in_y]
    return np.bincount(common.at, degrees, len(of_x.of)) / of_x.k


def ask_mutual(asked: Asked) -> Answers:
    """Return which share of its neighbours each query has in common on both sides."""
    of_x, of_y = (asked.known(side, Directions, asked.settings["k"]).of(asked.queries) for side in ("x", "y"))
    return Answers(lambda partner: shared_neighbors(of_x, of_y.repaired(partner))[:, None])


@dataclass(frozen=True, slots=True)
class _Kernel:
    """One side's kernel at the neighbours of the queries, and of these neighbours.

    Args:
        near: the lists of the queries.
        far: those of their neighbours.
        weights: to what degree a row is a neighbour of another one, for all these lists.
        values: these weights times the kernel's entries.
    """

    near: Lists
    far: Lists
    weights: Entries
    values: Entries

    @classmethod
    def of(cls, known: Known, queries: Indices, n: int) -> _Kernel:
        near = known.of(queries)
        others = near.neighbours
        both = known.of(np.union1d(queries, others))
        weights, values = (both.entries(n, of) for of in (both.weights, both.weights * both.products))
        return cls(near, known.of(others), weights, values)

    def terms(self) -> Matrix:
        """Return each query's terms of tr(AA), of 1ᵀA1 and of 1ᵀAA1 for A = M∘K of this side [q, 3]."""
        rows, columns = self.near.of[:, None], self.near.columns
        values = self.near.weights * self.near.products
        place = np.minimum(np.searchsorted(self.far.of, columns), len(self.far.of) - 1)
        sums = (self.far.weights * self.far.products).sum(axis=1)[place]
        terms = values * self.values.at(columns, rows), values, values * sums
        return np.stack([of_pairs.sum(axis=1) for of_pairs in terms], axis=1)


def _terms_of_both(x: _Kernel, y: _Kernel, partner: Indices) -> Matrix:
    """Return each query's terms of tr(AB), of 1ᵀA1, of 1ᵀB1 and of 1ᵀAB1 [q, 4], for A = M∘K and B = M∘L."""
    near = y.near.repaired(partner)
    common = _Common.of(x.near, near)
    left, right = common.values(x.near, near)
    rows, columns = x.near.of[common.at], x.near.columns[common.at, common.in_x]
    back = x.weights.at(columns, rows) * y.values.at(partner[columns], partner[rows])
    others = np.unique(columns)  # their lists are known on both sides
    of_x = x.far.take(np.searchsorted(x.far.of, others))
    of_y = y.far.repaired(partner, others)
    further = _Common.of(of_x, of_y)
    sums = np.bincount(further.at, further.values(of_x, of_y)[1], len(others))
    terms = left * back, left, right, left * sums[np.searchsorted(others, columns)]
    return np.stack([np.bincount(common.at, of_pairs, len(near.of)) for of_pairs in terms], axis=1)


def estimated_hsic(n: int, product: Vector, left: Vector, right: Vector, follow: Vector) -> float:
    r"""Return $\mathrm{HSIC}_1(A, B)$ times (n − 3), without bias, from some of n rows.

    The product of the means of two samples differs from that of the means of all rows by the covariance
    times 1/q − 1/n on average.

    Args:
        n: the number of rows.
        product: the sum of $a_{ij} b_{ji}$ over j, for each of these rows i [q].
        left: that of $a_{ij}$ [q].
        right: that of $b_{ij}$ [q].
        follow: that of $a_{ij} b_{jl}$ over j and l [q].
    """
    q = len(product)
    covariance = float(np.cov(left, right)[0, 1]) if q > 1 else 0.0
    both = left.mean() * right.mean() - (1 / q - 1 / n) * covariance
    return float(product.mean() + n * both / ((n - 1) * (n - 2)) - 2 / (n - 2) * follow.mean())


def ask_cknna(asked: Asked) -> Answers:
    """Return what each query contributes to the sums of CKNNA's numerator, and of both norms.

    Raises:
        DegenerateError: the HSIC of a side with itself is not above 0, in the score.
    """
    n = asked.n
    x, y = (
        _Kernel.of(asked.known(side, Products, asked.settings["k"]), asked.queries, n) for side in ("x", "y")
    )
    of_x, of_y = x.terms(), y.terms()

    def terms(partner: Indices) -> Matrix:
        moved = of_y[np.searchsorted(y.near.of, partner[y.near.of])]
        return np.concatenate([_terms_of_both(x, y, partner), of_x, moved], axis=1)

    def score(of: Matrix) -> float:
        scale = 1.0
        for name, (product, total, follow) in (("x", of[:, 4:7].T), ("y", of[:, 7:].T)):
            hsic = estimated_hsic(n, product, total, total, follow)
            if hsic <= n * np.finfo(np.float64).eps * abs(float(product.mean())):
                raise DegenerateError(
                    f"cknna: the unbiased HSIC of {name}'s neighbourhoods with themselves is not above 0, "
                    "so there is nothing to divide by; use a larger k or more samples"
                )
            scale *= hsic
        return estimated_hsic(n, *of[:, :4].T) / float(np.sqrt(scale))

    return Answers(terms, score)
