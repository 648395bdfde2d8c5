"""Scores of many pairs: from moments, which are computed once a model, or of a sample that says its size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import ref

import numpy as np

from alignbench.columns import codes_of, names_of
from alignbench.errors import DegenerateError
from alignbench.experiments.queried import QUERIED, asks, evaluate_queried, queries_of
from alignbench.memory import available_memory, check_room
from alignbench.metrics.cell_passes import cross_cells, side_cells
from alignbench.metrics.cells import CELLS, OUT, SideCells, cells_of
from alignbench.metrics.lists import Known
from alignbench.metrics.samples import PairCells
from alignbench.stats import evaluate, evaluate_within, nulls
from alignbench.stats.splits import one_per_group, some_groups
from alignbench.stats.streamed import MANY_ROWS, ROWS_A_COLUMN, evaluate_streamed, streams

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.queried import Keep
    from alignbench.metrics import Metric
    from alignbench.metrics.lists import Rows
    from alignbench.stats import Evaluation
    from alignbench.types import Embeddings, Null, Pair

M = TypeVar("M", SideCells, PairCells, Known)

SUBSAMPLED = "subsampled"
BLOCKS_ROWS = 50_000  # groups that a metric of O(n²·d) operations compares: minutes at d = 1,000 on a core
SAMPLE_ROWS = MANY_ROWS  # groups that a metric with n x n matrices compares: 0.2 GB a matrix
MOST_CLASSES = 1000  # with more, the moments of each class take more memory than everything else
WITHIN_ROWS = 2_000  # groups of a null within classes, whose formula takes n³ operations
NULL_ROWS = 500  # groups of a null without a formula, as of metrics whose nulls are slow
WIDE = 20_000  # columns, which no model has
HELD = 2**30  # bytes of moments that are kept for other pairs of the same models, at least
FREE_SHARE = 4  # a quarter of the free memory may be kept, if that is more


def _held() -> int:
    return max(HELD, (available_memory() or 0) // FREE_SHARE)


class Recent:
    """Moments of at most `_held()` bytes, the most recently used ones; larger ones are kept alone.

    They belong to `Embeddings`, not to arrays: whoever changes an array makes new embeddings of it. Several
    threads may ask at once; what two of them compute at the same time is kept once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, list[ref[Embeddings]]]] = OrderedDict()

    def get(self, of: Sequence[Embeddings], key: Hashable, compute: Callable[[], M]) -> M:
        """Return the moments of these embeddings under this key, computed if they are not held."""
        whole = (*map(id, of), key)
        with self._lock:
            result, owners = self._kept.get(whole, (None, []))
        # Embeddings that are gone may have left their id to others.
        if not owners or any(owner() is not one for owner, one in zip(owners, of, strict=True)):
            result, owners = compute(), [ref(one) for one in of]
        with self._lock:
            self._kept[whole] = (result, owners)
            self._kept.move_to_end(whole)
            while len(self._kept) > 1 and self._bytes() > _held():
                self._kept.popitem(last=False)
        moments: M = result
        return moments

    def _bytes(self) -> int:
        """Return the memory of all that is kept; a side that several pairs share counts once."""
        parts = {id(part): part.nbytes for held, _ in self._kept.values() for part in held.parts}
        return sum(parts.values())


_RECENT = Recent()


@lru_cache(maxsize=2)
def _cells_of_groups(groups: tuple[str, ...], seed: int) -> NDArray[np.intp]:
    return cells_of(names_of(groups, len(groups), "groups"), seed)


def in_blocks(metric: Metric, n: int, widest: int) -> bool:
    """Return whether a metric of n groups reads them a few at a time, and holds nothing of their number.

    `widest` is the largest number of columns of a model of the run.
    """
    return streams(metric, n, widest) or asks(metric, n)


def most_groups(metric: Metric, n: int) -> int:
    """Return how many of n groups a metric looks at: all, or a sample."""
    if metric.streamed is not None or asks(metric, n):
        return n
    return min(n, {"linear": n, "blocks": BLOCKS_ROWS, "sample": SAMPLE_ROWS}[metric.grows or "linear"])


def subsample(pair: Pair, groups: int, seed: int) -> Pair:
    """Return the pairs of this many groups, drawn by the seed; all metrics and models get the same."""
    names = np.asarray(pair.groups)
    return pair.take(np.flatnonzero(some_groups(names, groups, seed, SUBSAMPLED)))


def plan_of(metrics: Iterable[Metric], n: int) -> list[str]:
    """Return what metrics will do with n groups, in lines; none if all look at all pairs as usual.

    Args:
        metrics: the metrics of the run.
        n: the number of groups.
    """
    kinds: dict[str, list[str]] = {}
    for metric in metrics:
        if streams(metric, n):
            widest = n // ROWS_A_COLUMN
            bound = f", if no model has over {widest:,} columns" if widest <= WIDE else ""
            what = f"from moments of all {n:,} pairs, in one pass{bound}"
            kinds.setdefault(what, []).append(metric.name)
        elif asks(metric, n):
            what = f"of {queries_of(metric):,} groups among all {n:,} (flag {QUERIED})"
            kinds.setdefault(what, []).append(metric.name)
        elif (most := most_groups(metric, n)) < n:
            kinds.setdefault(f"of a sample of {most:,} of {n:,} groups (flag {SUBSAMPLED})", []).append(
                metric.name
            )
    return [f"{what}: {', '.join(names)}" for what, names in kinds.items()]


def _kept_lists(pair: Pair, seed: int) -> Keep:
    """Return what keeps the lists of neighbours of a pair's sides, for other metrics and pairs."""

    def keep(side: Literal["x", "y"], compared: type[Rows], k: int, compute: Callable[[], Known]) -> Known:
        key = ("lists", compared.__name__, k, pair.groups, seed)
        return _RECENT.get([pair.x if side == "x" else pair.y], key, compute)

    return keep


def evaluate_many(
    metric: Metric, pair: Pair, seed: int, params: Mapping[str, Any] | None, labelled: bool, **how: Any
) -> Evaluation:
    """Return what `evaluate` returns for a pair whose metric `streams`, from moments, or `asks`.

    Args:
        metric: the metric.
        pair: the embeddings; their arrays may be memory-mapped.
        seed: the seed of cells and samples.
        params: the settings that are fixed.
        labelled: whether the labels are classes.
        how: `null` and `interval`, as in `evaluate`; `n_permutations` of a null that has to be drawn.
    """
    if asks(metric, pair.n_groups):
        return evaluate_queried(metric, pair, seed, _kept_lists(pair, seed), labelled=labelled, **how)
    draws = how.pop("n_permutations", None)
    cell, one_of_each = _cells_of_groups(pair.groups, seed), False
    rows: NDArray[np.intp] | slice = slice(None)
    if metric.two_sided and pair.n_groups < len(pair):
        one_of_each, rows = True, one_per_group(np.asarray(pair.groups), seed)
        chosen = np.full(len(cell), OUT)
        chosen[rows] = cell[rows]
        cell = chosen
    classes = sorted(set(pair.labels))
    if not metric.needs_labels and (not labelled or len(classes) > MOST_CLASSES):
        classes = []
    codes = codes_of(np.asarray(pair.labels)) if classes else None
    # A pair that was taken from another has new embeddings, so it shares nothing with others of its model.
    key = (pair.groups, pair.labels, seed, len(classes), one_of_each)

    def side(of: Embeddings, name: str) -> SideCells:
        def compute() -> SideCells:
            check_room(8 * CELLS * of.dim * (of.dim + len(classes)))
            return side_cells(of.values, cell, codes, len(classes), name=name)

        return _RECENT.get([of], key, compute)

    def both() -> PairCells:
        a, b = side(pair.x, "x"), side(pair.y, "y")
        check_room(8 * CELLS * pair.x.dim * pair.y.dim)
        return PairCells(a, b, cross_cells(pair.x.values, pair.y.values, a, b, cell), classes)

    if metric.two_sided:
        cells = _RECENT.get([pair.x, pair.y], key, both)
    else:
        cells = _RECENT.get([pair.x], ("alone", key), lambda: PairCells(side(pair.x, "x"), classes=classes))

    def drawn() -> Null | None:
        if not metric.pairing:
            return None
        few = subsample(pair, NULL_ROWS, seed)
        null = evaluate(
            metric,
            few.x.values,
            few.y.values,
            labels=few.labels if classes else None,
            groups=few.groups,
            seed=seed,
            n_permutations=draws,
            params=params,
            interval=False,
        ).null
        kind = f"permutation of {few.n_groups} of {cells.n} groups"
        return None if null is None else replace(null, kind=kind)

    def within() -> Null | None:
        if metric.null is None or metric.null.moments is None or len(classes) < 2:
            return None
        # Among more classes, permutations are drawn, each of which takes as long as the score.
        few = subsample(pair, WITHIN_ROWS if len(classes) <= nulls.MOST_CLASSES else NULL_ROWS, seed)
        sides = few.x.values, few.y.values
        try:
            null = evaluate_within(
                metric, *sides, labels=few.labels, groups=few.groups, seed=seed, params=params
            )
        except DegenerateError:  # a score that the sample lacks may exist for all groups
            return None
        return None if null is None else replace(null, kind=f"{few.n_groups} of {cells.n} groups")

    seen = None if codes is None else codes[rows]
    return evaluate_streamed(
        metric, cells, params=params, codes=seen, sampled_null=drawn, sampled_within=within, **how
    )
