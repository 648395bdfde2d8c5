"""Scores of ordered lists of nearest neighbours: longest common subsequence and edit distance."""

from __future__ import annotations

from functools import cache
from math import comb, factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, pair_to_center
from alignbench.metrics.lists import Directions
from alignbench.metrics.nearest import TIED, check_k, ordered_neighbors
from alignbench.metrics.queries import Answers, Queried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.queries import Asked

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Lengths = Callable[[NDArray[np.bool_]], NDArray[np.int16]]

BATCH = 4_000_000  # numbers in memory at once while lists are compared
MOST_PARTITIONED = 30  # neighbours; the number of partitions of k grows too fast for an exact mean beyond


def common_lengths(same: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the length of the longest common subsequence of two lists of k entries each.

    Args:
        same: whether entry a of the one list is entry b of the other, at [a, b, …].
    """
    k = len(same)
    row = np.zeros((k + 1, *same.shape[2:]), dtype=np.int16)
    for a in range(k):
        diagonal = row[0].copy()
        for b in range(k):
            longer = np.maximum(np.maximum(row[b + 1], row[b]), diagonal + same[a, b])
            diagonal = row[b + 1].copy()
            row[b + 1] = longer
    lengths: NDArray[np.int16] = row[k]
    return lengths


def edit_distances(same: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return how many insertions, deletions and replacements make one of two lists of k entries the other.

    Args:
        same: whether entry a of the one list is entry b of the other, at [a, b, …].
    """
    k = len(same)
    row = np.zeros((k + 1, *same.shape[2:]), dtype=np.int16)
    row += np.arange(k + 1, dtype=np.int16).reshape(-1, *(1 for _ in same.shape[2:]))
    for a in range(k):
        diagonal = row[0].copy()
        row[0] += 1
        for b in range(k):
            fewest = np.minimum(np.minimum(row[b + 1], row[b]) + 1, diagonal + ~same[a, b])
            diagonal = row[b + 1].copy()
            row[b + 1] = fewest
    distances: NDArray[np.int16] = row[k]
    return distances


@cache
def mean_increasing(length: int) -> float:
    r"""Return the mean length of the longest increasing subsequence of a random permutation of 1 … h.

    $\frac{1}{h!}\sum_{\lambda \vdash h} \lambda_1 f_\lambda^2$, where $f_\lambda$ is the number of standard
    Young tableaux, by the hook length formula.

    Source:
        Schensted (1961), Canadian Journal of Mathematics 13; Frame, Robinson, Thrall (1954), the same, 6.
    """
    total = sum(shape[0] * _tableaux(shape) ** 2 for shape in _partitions(length, length))
    return total / factorial(length)


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Yield all descending tuples of positive numbers up to `largest` with this sum."""
    if total == 0:
        yield (0,)
        return
    for first in range(min(total, largest), 0, -1):
        for rest in _partitions(total - first, first):
            yield (first, *(part for part in rest if part))


def _tableaux(shape: tuple[int, ...]) -> int:
    """Return the number of standard Young tableaux of a shape."""
    columns = [sum(part > column for part in shape) for column in range(shape[0])]
    hooks = 1
    for row, part in enumerate(shape):
        for column in range(part):
            hooks *= part - column + columns[column] - row - 1
    return factorial(sum(shape)) // hooks


@cache
def mean_common(first: int, second: int, others: int) -> float:
    r"""Return the mean longest common subsequence of a list and of a random one, both without repetitions.

    $\sum_h P(h)\,\ell_h$, where $P$ is the hypergeometric distribution of the number of common entries and
    $\ell_h$ is `mean_increasing`.

    Args:
        first: the length of the list.
        second: the length of the random list.
        others: the number of entries that both are taken from.
    """
    ways = comb(others, second)
    return sum(
        comb(first, h) * comb(others - first, second - h) / ways * mean_increasing(h)
        for h in range(1, min(first, second) + 1)
    )


def _lists(x: ArrayLike, y: ArrayLike, k: int | None) -> tuple[Indices, Indices, int]:
    a, b = pair_to_center(x, y, 4)
    chosen = check_k(k, len(a))
    return ordered_neighbors(a, chosen, "x"), ordered_neighbors(b, chosen, "y"), chosen


def _compared(of_x: Indices, of_y: Indices, permutations: Indices, lengths: Lengths) -> Vector:
    """Return the mean over the rows of a length of both lists, for each permutation of y's rows."""
    n, k = of_x.shape
    untied = of_y != TIED
    step = max(1, BATCH // (n * k * k))
    result = np.empty(len(permutations))
    for start in range(0, len(permutations), step):
        p = permutations[start : start + step]
        inverse = np.argsort(p, axis=1)
        renamed = np.take_along_axis(inverse, of_y[p].reshape(len(p), -1), axis=1).reshape(len(p), n, k)
        there = np.where(untied[p], renamed, TIED - 1).transpose(2, 0, 1)
        same = of_x.T[:, None, None, :] == there[None]
        result[start : start + step] = lengths(same).mean(axis=-1)
    return result


def _asked(asked: Asked, lengths: Lengths, score: Callable[[Vector], Vector]) -> Answers:
    """Return the score of each query's two lists, given that of a length as a share of k."""
    of_x, of_y = (asked.known(side, Directions, asked.settings["k"]).of(asked.queries) for side in ("x", "y"))

    apart = lengths(np.zeros((of_x.k, of_x.k, 1), dtype=bool))[0]

    def terms(partner: Indices) -> Matrix:
        there = of_y.repaired(partner).ordered
        there = np.where(there == TIED, TIED - 1, there)
        found, step = np.full(len(there), float(apart)), max(1, BATCH // of_x.k**2)
        for start in range(0, len(there), step):
            rows = slice(start, start + step)
            same = of_x.ordered[rows].T[:, None] == there[rows].T[None]
            some = np.flatnonzero(same.any(axis=(0, 1)))  # few of them, after re-pairing
            found[start + some] = lengths(same[:, :, some])
        return score(found / of_x.k)[:, None]

    tied = float(np.mean([of_x.ordered == TIED, of_y.ordered == TIED]))
    return Answers(terms, parts={"tied": tied})


def _lcs_asked(asked: Asked) -> Answers:
    return _asked(asked, common_lengths, lambda shares: shares)


def _edit_asked(asked: Asked) -> Answers:
    return _asked(asked, edit_distances, lambda shares: 1 - shares)


def _lcs_draw(x: Matrix, y: Matrix, permutations: Indices, k: int | None = None) -> Vector:
    of_x, of_y, chosen = _lists(x, y, k)
    return _compared(of_x, of_y, permutations, common_lengths) / chosen


def _edit_draw(x: Matrix, y: Matrix, permutations: Indices, k: int | None = None) -> Vector:
    of_x, of_y, chosen = _lists(x, y, k)
    return 1 - _compared(of_x, of_y, permutations, edit_distances) / chosen


def _lcs_null(x: ArrayLike, y: ArrayLike, k: int | None = None) -> tuple[float, float]:
    """Return the mean over all re-pairings: y's lists become random ones of as many untied neighbours."""
    of_x, of_y, chosen = _lists(x, y, k)
    if chosen > MOST_PARTITIONED:
        return float("nan"), float("nan")
    counts = [np.bincount((side != TIED).sum(axis=1), minlength=chosen + 1) for side in (of_x, of_y)]
    total = sum(
        float(counts[0][a] * counts[1][b]) * mean_common(a, b, len(of_x) - 1)
        for a in np.flatnonzero(counts[0]).tolist()
        for b in np.flatnonzero(counts[1]).tolist()
    )
    return total / (len(of_x) ** 2 * chosen), float("nan")


def _settings(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the number of neighbours, fixed at its value for the full n."""
    return {"k": check_k(k, n)}


def _parts(x: Matrix, y: Matrix, k: int | None = None) -> dict[str, float]:
    """Return the share of places whose neighbour is not certain, over both sides."""
    of_x, of_y, _ = _lists(x, y, k)
    return {"tied": float(np.mean([of_x == TIED, of_y == TIED]))}


def _flags(value: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    return ("tied_neighbors",) if parts["tied"] > 0 else ()


_SHARED: dict[str, Any] = {
    "family": "neighbors",
    "pairing": True,
    "bounds": (0, 1),
    "symmetric": True,
    "invariant_to": ("rotation", "isotropic_scale", "translation"),
    "min_n": 4,
    "settings": _settings,
    "parts": _parts,
    "flags": _flags,
    "grows": "blocks",
    "default": False,
}


@METRICS.register(
    "lcs_knn",
    null=NullModel(draw=_lcs_draw, exact=_lcs_null),
    queried=Queried(_lcs_asked),
    **_SHARED,
)
def lcs_knn(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return the longest common subsequence of the lists of nearest neighbours, as a share of their length.

    $\frac{1}{nk}\sum_i \mathrm{LCS}(L_k(x_i), L_k(y_i))$, where $L_k$ lists the k nearest neighbours, nearest
    first, by cosine after centring, without the row itself. A neighbour whose place is not certain, because
    another one is as near up to rounding, matches none: no way of breaking the ties gives a lower score.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].
        k: the number of neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [0, 1]; 1 for equal sides without ties. The mean over all re-pairings is exact up to
        k = 30, see `mean_common`; beyond, it is drawn.

    Raises:
        InputError: not finite matrices of equal length; or k is not within 1 … n−2.
        DegenerateError: a side has no variance, or there are fewer than 4 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987, and its code, platonic-rep, which neither centres nor divides by
        k.
    """
    of_x, of_y, chosen = _lists(x, y, k)
    length = _compared(of_x, of_y, np.arange(len(of_x))[None], common_lengths)[0]
    return bounded(float(length) / chosen, (0, 1), "lcs_knn")


@METRICS.register("edit_knn", null=NullModel(draw=_edit_draw), queried=Queried(_edit_asked), **_SHARED)
def edit_knn(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return how alike the lists of nearest neighbours are by their edit distance.

    $1 - \frac{1}{nk}\sum_i \mathrm{edit}(L_k(x_i), L_k(y_i))$: the distance is the least number of
    insertions, deletions and replacements. Lists and ties as in `lcs_knn`.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].
        k: the number of neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [0, 1]; 1 for equal sides without ties. A neighbour counts only near its own place in the
        other list, so the values are lower than those of `lcs_knn`.

    Raises:
        InputError: not finite matrices of equal length; or k is not within 1 … n−2.
        DegenerateError: a side has no variance, or there are fewer than 4 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987, and its code, platonic-rep (`edit_distance_knn`), which does not
        centre.
    """
    of_x, of_y, chosen = _lists(x, y, k)
    distance = _compared(of_x, of_y, np.arange(len(of_x))[None], edit_distances)[0]
    return bounded(1 - float(distance) / chosen, (0, 1), "edit_knn")
