"""Retrieval: the rank of the right partner, in exact expectation over ties, with the chance level."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.blocks import unbuffered
from alignbench.metrics.checks import LARGEST, as_matrix, as_unchecked_matrix, check_finite
from alignbench.metrics.largest import median_of
from alignbench.rows import unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

CUTS = (1, 5, 10)
TIE = 1e-13  # rounding of a sum of some thousand products, as a share of the largest possible sum
WORD = 8  # truth values that are counted at once, each in a byte of its own
FULL = 255  # words of them that can be added before a byte is full
BLOCK = 200_000  # scores that are compared at once, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well queries find one of their positives, with the chance level beside every value.

    Args:
        recall: for each cut k, the share of queries with a positive among the first k.
        recall_chance: the recall of random scores.
        mrr: the mean of 1 / rank of the first positive.
        mrr_chance: the mean reciprocal rank of random scores.
        median_rank: the median over queries of the rank of the first positive.
        hits: for each cut k, each query's expected hit [q], for intervals.
        reciprocal_ranks: each query's expected 1 / rank [q].
    """

    recall: dict[int, float]
    recall_chance: dict[int, float]
    mrr: float
    mrr_chance: float
    median_rank: float
    hits: dict[int, Matrix]
    reciprocal_ranks: Matrix


def first_hit(candidates: int, positives: int) -> Matrix:
    r"""Return the chances [T] that the first of m positives among T in random order is at rank 1 … T.

    $P(r) = \binom{T-r}{m-1} / \binom{T}{m}$.
    """
    if positives == 1:
        return np.full(candidates, 1 / candidates)
    total = comb(candidates, positives)
    return np.asarray([comb(candidates - r, positives - 1) / total for r in range(1, candidates + 1)])


def recall_chance(n: int, positives: int, k: int) -> float:
    r"""Return the chance that random scores put one of m positives among the first k of n.

    $1 - \binom{n-m}{k} / \binom{n}{k}$.
    """
    _check_counts(n, positives)
    return 1 - comb(n - positives, k) / comb(n, k) if k < n else 1.0


def mrr_chance(n: int, positives: int) -> float:
    r"""Return the mean reciprocal rank of random scores: $\sum_r \binom{n-r}{m-1} / (r \binom{n}{m})$."""
    _check_counts(n, positives)
    return float(first_hit(n, positives) @ (1 / np.arange(1, n + 1)))


def _check_counts(n: int, positives: int) -> None:
    if not 1 <= positives <= n:
        raise InputError(f"positives: expected 1 <= positives <= n = {n}, got {positives}")


def _ties(scores: Matrix) -> Matrix:
    """Return the largest difference of tied scores for each query [q]: a share of its largest score."""
    ties: Matrix = TIE * np.abs(scores).max(axis=1)
    return ties


def _query(scores: Matrix, positive: NDArray[np.bool_], tie: float) -> tuple[int, Matrix]:
    """Return the number of candidates above the best positive, and the probabilities of its next ranks."""
    best = scores[positive].max()
    above = int((scores > best + tie).sum())
    tied = np.abs(scores - best) <= tie
    return above, first_hit(int(tied.sum()), int((tied & positive).sum()))


def _ranks_without_ties(scores: Matrix, right: NDArray[np.bool_] | None) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return the rank of each query's best positive [q], and whether no other candidate is near its score.

    Args:
        scores: [q, n].
        right: the mask of right candidates [q, n]; None for the diagonal.

    Raises:
        InputError: scores are not finite.
    """
    q, n = scores.shape
    step = min(q, max(1, BLOCK // n))
    counter = _Counter(q, n, step)
    with unbuffered():
        for start in range(0, q, step):
            rows = slice(start, start + step)
            block = np.ascontiguousarray(scores[rows])
            largest = float(np.sqrt(np.vdot(block, block)))  # a bound, in a single pass
            if not 1 / LARGEST < largest < LARGEST:  # squares leave the range, or are not finite
                check_finite(scores, "similarity")
                largest = float(np.abs(block).max())
            if right is None:
                best = np.diagonal(block, offset=start)
            else:
                best = np.where(right[rows], block, -np.inf).max(axis=1)
            margin = 2 * TIE * largest  # wider than the reach of a tie in any of the rows
            counter.add(rows, block, np.stack([best + margin, best - margin], axis=1))
    above, near = counter.counts().T
    return (above + 1).astype(np.float64), near == above + 1


class _Counter:
    """Counts the scores above two limits in each of q rows of n scores, at most `step` rows at a time."""

    def __init__(self, q: int, n: int, step: int) -> None:
        parts = -(-n // (WORD * FULL))
        words = -(-n // (WORD * parts))
        self._mask = np.zeros((step, 2, parts * words * WORD), dtype=bool)
        self._inside = self._mask[:, :, :n]  # the other columns remain False
        self._words = self._mask.view(np.uint64).reshape(step, 2, parts, words)
        self._sums = np.empty((q, 2, parts), dtype=np.uint64)

    def add(self, rows: slice, scores: Matrix, limits: Matrix) -> None:
        """Count the scores [m, n] of these rows, given the limits of each [m, 2]."""
        m = len(scores)
        np.greater(scores[:, None], limits[:, :, None], out=self._inside[:m])
        self._words[:m].sum(axis=3, out=self._sums[rows])

    def counts(self) -> NDArray[np.intp]:
        """Return how many scores of each row are above its limits [q, 2]."""
        counts: NDArray[np.intp] = self._sums.view(np.uint8).sum(axis=2, dtype=np.intp)
        return counts


def retrieval(
    similarity: ArrayLike, positives: ArrayLike | None = None, *, cuts: Sequence[int] = CUTS
) -> Retrieval:
    r"""Return recall@k, mean reciprocal rank and median rank of queries against candidates.

    With g candidates strictly above the best positive and t others tied with it,
    $R@k = \mathrm{clip}((k - g)/(t + 1), 0, 1)$ and $RR = \frac{1}{t+1}\sum_{j=1}^{t+1} \frac{1}{g + j}$;
    if several positives are tied, the expectation over all orders of the tie. A constant scorer gets chance.

    Args:
        similarity: scores [q, n] of queries against candidates; larger is better.
        positives: the mask of right candidates [q, n], at least one per query; by default, the diagonal.
        cuts: the values of k in recall@k.

    Raises:
        InputError: scores are not finite, positives have another shape, or a cut is below 1.
        DegenerateError: a query has no positive.

    Source:
        McSherry and Najork (2008), ECIR, for ranks in expectation over ties.
    """
    scores = as_unchecked_matrix(similarity, "similarity")
    q, n = scores.shape
    if positives is None and q != n:
        raise InputError(f"positives: [q, n] = [{q}, {n}] is not square, so say which candidates are right")
    right = None if positives is None else np.asarray(positives, dtype=bool)
    if right is not None and right.shape != scores.shape:
        raise InputError(f"positives: expected shape {scores.shape}, as similarity, got {right.shape}")
    if min(cuts, default=0) < 1:
        raise InputError(f"cuts: expected numbers from 1 on, got {tuple(cuts)}")
    counts = np.ones(q, dtype=np.intp) if right is None else right.sum(axis=1)
    if not counts.all():
        raise DegenerateError(f"positives: query {int(np.argmin(counts))} has none; leave it out")
    ranks, alone = _ranks_without_ties(scores, right)
    hits = {k: (ranks <= k).astype(np.float64) for k in cuts}
    reciprocal: Matrix = 1 / ranks
    for row in np.flatnonzero(~alone):
        positive = np.arange(n) == row if right is None else right[row]
        above, places = _query(scores[row], positive, TIE * float(np.abs(scores[row]).max()))
        at = above + np.arange(1, len(places) + 1)
        reciprocal[row], ranks[row] = places @ (1 / at), places @ at
        for k in cuts:
            hits[k][row] = places[at <= k].sum()
    times = np.bincount(counts)
    sizes = np.flatnonzero(times)
    return Retrieval(
        recall={k: float(hit.mean()) for k, hit in hits.items()},
        recall_chance={
            k: float(sum(times[m] * recall_chance(n, int(m), k) for m in sizes) / q) for k in cuts
        },
        mrr=float(reciprocal.mean()),
        mrr_chance=float(sum(times[m] * mrr_chance(n, int(m)) for m in sizes) / q),
        median_rank=median_of(ranks),
        hits=hits,
        reciprocal_ranks=reciprocal,
    )


@dataclass(frozen=True, slots=True)
class RankTable:
    """The result of each query if the rows of each group were its positives, in exact expectation.

    Args:
        reciprocal: 1 / rank of the first positive [q, groups].
        ranks: the rank of the first positive [q, groups].
        hits: for each cut k, whether that rank is among the first k [q, groups].
    """

    reciprocal: Matrix
    ranks: Matrix
    hits: dict[int, Matrix]

    @classmethod
    def stacked(cls, tables: Sequence[RankTable]) -> RankTable:
        """Return the table of the queries of all of these tables, in order."""
        return cls(
            np.concatenate([table.reciprocal for table in tables]),
            np.concatenate([table.ranks for table in tables]),
            {k: np.concatenate([table.hits[k] for table in tables]) for k in tables[0].hits},
        )


def rank_table(
    similarity: ArrayLike,
    codes: NDArray[np.intp],
    *,
    groups: NDArray[np.intp] | None = None,
    cuts: Sequence[int] = CUTS,
) -> RankTable:
    """Return the ranks of every group for every query, so that re-pairing groups only looks them up.

    In the column of each query's own group, it equals `retrieval`.

    Args:
        similarity: scores [q, n] of queries against candidates; larger is better.
        codes: the group number 0 ... of each candidate [n]; each group has at least one.
        groups: the groups whose ranks are wanted, ascending; the table has a column for each. By default all.
        cuts: the values of k in recall@k.

    Raises:
        InputError: scores are not finite, or codes have another length or gaps.
    """
    scores = as_matrix(similarity, "similarity")
    n = scores.shape[1]
    sizes = np.bincount(codes) if codes.shape == (n,) else np.zeros(1, dtype=np.intp)
    if not sizes.all():
        raise InputError(f"codes: expected the group of each of {n} candidates, numbered without gaps")
    order = np.argsort(codes, kind="stable")
    if groups is not None:
        order = order[np.isin(codes[order], groups)]
        sizes = sizes[groups]
    member = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    best = np.maximum.reduceat(scores[:, order], starts, axis=1)
    ties = _ties(scores)
    close = (best[:, member] - scores[:, order] <= ties[:, None]).astype(np.intp)
    positives = np.add.reduceat(close, starts, axis=1)
    above, tied = np.empty(best.shape, dtype=np.intp), np.empty(best.shape, dtype=np.intp)
    for row, ascending in enumerate(np.sort(scores, axis=1)):
        end = np.searchsorted(ascending, best[row] + ties[row], side="right")
        above[row] = n - end
        tied[row] = end - np.searchsorted(ascending, best[row] - ties[row], side="left")
    ranks: Matrix = (above + 1).astype(np.float64)
    reciprocal = np.divide(1.0, ranks, dtype=np.float64)
    hits = {k: (ranks <= k).astype(np.float64) for k in cuts}
    for row, group in np.argwhere(tied > positives):  # the first of these is no longer certain
        places = first_hit(int(tied[row, group]), int(positives[row, group]))
        at = above[row, group] + np.arange(1, len(places) + 1)
        reciprocal[row, group], ranks[row, group] = places @ (1 / at), places @ at
        for k in cuts:
            hits[k][row, group] = places[at <= k].sum()
    return RankTable(reciprocal, ranks, hits)


def cosine_similarity(x: ArrayLike, y: ArrayLike, *, center: ArrayLike | None = None) -> Matrix:
    """Return the cosines [q, n] of the rows of x and y, centred by `center` [2, d] (means over train rows).

    Raises:
        InputError: the widths differ.
        DegenerateError: a row of zeros, which has no direction.
    """
    a, b = as_matrix(x, "x"), as_matrix(y, "y")
    if a.shape[1] != b.shape[1]:
        raise InputError(f"x and y: expected the same width, got {a.shape[1]} and {b.shape[1]}")
    if center is not None:
        means = as_matrix(center, "center")
        a, b = a - means[0], b - means[1]
    for name, side in (("x", a), ("y", b)):
        if not np.abs(side).max(axis=1).all():
            raise DegenerateError(f"{name}: a row is all zeros and has no direction; leave it out")
    cosines: Matrix = unit_rows(a) @ unit_rows(b).T
    return cosines
