"""Scores of cycles of nearest neighbours: whether a sample is a neighbour of its neighbours' partners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.lists import Directions
from alignbench.metrics.nearest import MANY, check_k, cosine_neighbors
from alignbench.metrics.queries import Answers, Queried

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.nearest import Neighbors
    from alignbench.metrics.queries import Asked

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Mask = NDArray[np.bool_]

BATCH = 2_000_000  # numbers in memory at once while neighbours are looked up


def avoided(misses: Matrix, some: Vector, total: Vector) -> Vector:
    r"""Return the mean over all choices of m of t factors of their product, for each row.

    The factors that are not given are 1. Factor after factor is chosen with the probability
    $(m - q)/(t - u)$, where q of the u before it were chosen.

    Args:
        misses: the factors that are not 1; the rest of a row is padded by 1 [..., w].
        some: m, the number of factors that are chosen [...].
        total: t, the number of factors that there are [...].
    """
    states = int(some.max(initial=0)) + 1
    chosen = np.arange(states)
    mean = np.zeros((*np.shape(some), states))
    mean[..., 0] = 1.0
    for before in range(misses.shape[-1]):
        left = np.maximum(total - before, 1)[..., None]
        probability = np.clip((some[..., None] - chosen) / left, 0.0, 1.0)
        taken = mean * probability
        mean -= taken
        mean[..., 1:] += (taken * misses[..., before, None])[..., :-1]
    result: Vector = mean.sum(axis=-1)
    return result


@dataclass(frozen=True, slots=True)
class _Lists:
    """The neighbours of each row in lists that are padded by 0.

    Args:
        sure: the neighbours that a row has however ties are broken [n, v].
        is_sure: which of them are no padding [n, v].
        tied: the rows that share its remaining places [n, w].
        is_tied: which of them are no padding [n, w].
        places: the number of remaining places [n].
    """

    sure: Indices
    is_sure: Mask
    tied: Indices
    is_tied: Mask
    places: Vector

    @classmethod
    def of(cls, found: Neighbors, k: int) -> _Lists:
        whole = found.weights == 1.0
        sure, is_sure = _padded(found.rows[whole], found.columns[whole], found.n)
        tied, is_tied = _padded(found.rows[~whole], found.columns[~whole], found.n)
        return cls(sure, is_sure, tied, is_tied, k - is_sure.sum(axis=1, dtype=np.float64))

    def returning(self, back: Neighbors, permutations: Indices) -> Vector:
        """Return the mean probability that a row comes back, for each permutation p of the rows [draws].

        Args:
            back: the neighbours on the other side.
            permutations: [draws, n].
        """
        n = back.n
        dense = back.dense().ravel() if len(permutations) >= MANY else None
        step = max(1, BATCH // (n * (self.sure.shape[1] + self.tied.shape[1])))
        result = np.empty(len(permutations))
        for start in range(0, len(permutations), step):
            p = permutations[start : start + step]
            inverse = np.argsort(p, axis=1)

            def misses(columns: Indices, real: Mask, p: Indices = p, inverse: Indices = inverse) -> Matrix:
                """Return the probability that a row is no neighbour of each of its neighbours."""
                lists = columns[p]
                middle = np.take_along_axis(inverse, lists.reshape(len(p), -1), axis=1).reshape(lists.shape)
                places = middle * n + np.arange(n)[:, None]
                weights = back.at(places) if dense is None else dense[places]
                return np.where(real[p], 1.0 - weights, 1.0)

            missed = misses(self.sure, self.is_sure).prod(axis=-1)
            if self.tied.shape[1]:
                tied = misses(self.tied, self.is_tied)
                missed *= avoided(tied, self.places[p], self.is_tied.sum(axis=1, dtype=np.float64)[p])
            result[start : start + step] = 1.0 - missed.mean(axis=-1)
        return result


def _padded(rows: Indices, values: NDArray[Any], n: int) -> tuple[NDArray[Any], Mask]:
    """Return the values of each of n rows in a list [n, w] that is padded by 0, and which are no padding.

    Args:
        rows: the row of each value, ascending [m].
        values: [m].
        n: the number of rows.
    """
    counts = np.bincount(rows, minlength=n)
    lists = np.zeros((n, int(counts.max(initial=0))), dtype=values.dtype)
    real = np.arange(lists.shape[1]) < counts[:, None]
    lists[real] = values
    return lists, real


def _draw(x: Matrix, y: Matrix, permutations: Indices, k: int | None = None) -> Vector:
    a, b = pair_to_center(x, y, 4)
    chosen = check_k(k, len(a))
    of_x, of_y = cosine_neighbors(a, chosen, "x"), cosine_neighbors(b, chosen, "y")
    return _Lists.of(of_y, chosen).returning(of_x, permutations)


def _draw_reverse(x: Matrix, y: Matrix, permutations: Indices, k: int | None = None) -> Vector:
    return _draw(y, x, np.argsort(permutations, axis=1), k)


def _null(x: ArrayLike, y: ArrayLike, k: int | None = None) -> tuple[float, float]:
    """Return the mean over all re-pairings: a row's neighbours in y become any k of the other rows."""
    a, _ = pair_to_center(x, y, 4)
    n, chosen = len(a), check_k(k, len(a))
    found = cosine_neighbors(a, chosen, "x")
    order = np.argsort(found.columns, kind="stable")
    seen_by, real = _padded(found.columns[order], found.weights[order], n)
    misses = np.where(real, 1.0 - seen_by, 1.0)
    missed = avoided(misses, np.full(n, float(chosen)), np.full(n, n - 1.0))
    return float(1.0 - missed.mean()), float("nan")


def _null_reverse(x: ArrayLike, y: ArrayLike, k: int | None = None) -> tuple[float, float]:
    return _null(y, x, k)


def _asked(asked: Asked, first: Literal["x", "y"], then: Literal["x", "y"]) -> Answers:
    """Return the probability that each query comes back, from its neighbours in `first` by way of `then`.

    Rows whose neighbours in `then` are known, and others, are re-paired among themselves.
    """
    there = asked.known(first, Directions, asked.settings["k"]).of(asked.queries)
    middle = there.neighbours
    back = asked.known(then, Directions, asked.settings["k"]).of(middle)
    weights = back.entries(asked.n, back.weights)

    def terms(partner: Indices) -> Matrix:
        if first == "x":  # then the middle rows of y take the places of others
            partner = np.argsort(partner)
        lists = there.repaired(partner)
        misses = 1.0 - weights.at(lists.columns, lists.of[:, None])
        sure, tied = lists.weights == 1.0, (lists.weights > 0.0) & (lists.weights < 1.0)
        missed: Matrix = np.where(sure, misses, 1.0).prod(axis=1, keepdims=True)
        if tied.any():
            places, count = lists.k - sure.sum(axis=1, dtype=np.float64), tied.sum(axis=1)
            first_tied = np.argsort(~tied, axis=1, kind="stable")[:, : int(count.max())]
            factors = np.take_along_axis(np.where(tied, misses, 1.0), first_tied, axis=1)
            missed[:, 0] *= avoided(factors, places, count.astype(np.float64))
        return 1.0 - missed

    return Answers(terms, strata=np.isin(np.arange(asked.n), middle).astype(np.intp))


def _settings(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the number of neighbours, fixed at its value for the full n."""
    return {"k": check_k(k, n)}


_SHARED: dict[str, Any] = {
    "family": "neighbors",
    "pairing": True,
    "bounds": (0, 1),
    "invariant_to": ("rotation", "isotropic_scale", "translation"),
    "min_n": 4,
    "settings": _settings,
    "squares": 1.5,
    "default": False,
}


@METRICS.register(
    "cycle_knn",
    null=NullModel(draw=_draw, exact=_null),
    queried=Queried(lambda asked: _asked(asked, "y", "x"), further=True),
    **_SHARED,
)
def cycle_knn(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return the share of samples that are among x's neighbours of one of their own neighbours in y.

    $\frac 1n \sum_i \big[\, i \in \bigcup_{j \in N_k(y_i)} N_k(x_j) \,\big]$: from a sample to its neighbours
    by text, from these to their neighbours by image, and back to where it began. Neighbours are by cosine
    after centring, and a row is not its own neighbour. If neighbours are tied at the border, it is the
    expectation over all ways of breaking the ties, independently for each row and side.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].
        k: the number of neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [0, 1]. The mean over all re-pairings is exact:
        $1 - \frac 1n \sum_i \binom{n-1-d_i}{k} / \binom{n-1}{k}$ without ties, where $d_i$ rows of x have i
        as a neighbour. With few samples it is far above 0, and higher the more equal the $d_i$ are.

    Raises:
        InputError: not finite matrices of equal length; or k is not within 1 … n−2.
        DegenerateError: a side has no variance, or there are fewer than 4 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987, and its code, platonic-rep, which does not centre.
    """
    a, b = pair_to_center(x, y, 4)
    return bounded(float(_draw(a, b, np.arange(len(a))[None], k)[0]), (0, 1), "cycle_knn")


@METRICS.register(
    "cycle_knn_reverse",
    null=NullModel(draw=_draw_reverse, exact=_null_reverse),
    queried=Queried(lambda asked: _asked(asked, "x", "y"), further=True),
    **_SHARED,
)
def cycle_knn_reverse(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    """Return `cycle_knn` in the other direction: first to neighbours in x, then to their neighbours in y.

    Args, Returns, Raises, Source: as `cycle_knn`.
    """
    return cycle_knn(y, x, k=k)
