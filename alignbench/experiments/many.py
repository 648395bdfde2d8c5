"""Scores of many pairs: from moments, which are computed once a model, or of a sample that says its size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from alignbench.columns import codes_of, names_of
from alignbench.memory import check_room
from alignbench.metrics.cells import CELLS, PairCells, SideCells, cells_of, cross_cells, side_cells
from alignbench.stats import evaluate
from alignbench.stats.splits import one_per_group, some_groups
from alignbench.stats.streamed import evaluate_streamed, streams

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.stats import Evaluation
    from alignbench.types import Null, Pair

M = TypeVar("M", SideCells, PairCells)

SUBSAMPLED = "subsampled"
BLOCKS_ROWS = 50_000  # groups that a metric of O(n²·d) operations compares: minutes at d = 1,000 on a core
SAMPLE_ROWS = 10_000  # groups that a metric with n x n matrices compares: 0.8 GB a matrix
MOST_CLASSES = 1000  # with more, the moments of each class take more memory than everything else
NULL_ROWS = 500  # groups of a null without a formula, as of metrics whose nulls are slow
HELD = 2**30  # bytes of moments that are kept for other pairs of the same models


class Recent:
    """Moments of at most HELD bytes, the most recently used ones, of arrays that this keeps alive."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Any, tuple[object, ...]]] = OrderedDict()

    def get(self, of: tuple[object, ...], key: Hashable, compute: Callable[[], M]) -> M:
        """Return the moments of these arrays under this key, computed if they are not held."""
        whole = (*map(id, of), key)  # the arrays are kept, so no other gets the id of one
        known = self._kept.pop(whole, None)
        result: M = compute() if known is None else known[0]
        self._kept[whole] = (result, of)
        while len(self._kept) > 1 and sum(held.nbytes for held, _ in self._kept.values()) > HELD:
            self._kept.popitem(last=False)
        return result


_RECENT = Recent()


@lru_cache(maxsize=2)
def _cells_of_groups(groups: tuple[str, ...], seed: int) -> NDArray[np.intp]:
    return cells_of(names_of(groups, len(groups), "groups"), seed)


def most_groups(metric: Metric, n: int) -> int:
    """Return how many of n groups a metric looks at: all, or a sample."""
    if streams(metric, n):
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
            kinds.setdefault(f"from moments of all {n:,} pairs, in one pass", []).append(metric.name)
        elif (most := most_groups(metric, n)) < n:
            kinds.setdefault(f"of a sample of {most:,} of {n:,} groups (flag {SUBSAMPLED})", []).append(
                metric.name
            )
    return [f"{what}: {', '.join(names)}" for what, names in kinds.items()]


def evaluate_many(
    metric: Metric, pair: Pair, seed: int, params: Mapping[str, Any] | None, labelled: bool, **how: Any
) -> Evaluation:
    """Return what `evaluate` returns for a pair whose metric `streams`, from moments.

    Args:
        metric: the metric.
        pair: the embeddings; their arrays may be memory-mapped.
        seed: the seed of cells and samples.
        params: the settings that are fixed.
        labelled: whether the labels are classes.
        how: `null` and `interval`, as in `evaluate`; `n_permutations` of a null that has to be drawn.
    """
    draws = how.pop("n_permutations", None)
    if metric.two_sided and pair.n_groups < len(pair):
        pair = pair.take(one_per_group(np.asarray(pair.groups), seed))
    cell = _cells_of_groups(pair.groups, seed)
    classes = sorted(set(pair.labels))
    if not metric.needs_labels and (not labelled or len(classes) > MOST_CLASSES):
        classes = []
    codes = codes_of(np.asarray(pair.labels)) if classes else None
    # A pair that was taken from another has new arrays, so nothing is shared with others of its model.
    key = (pair.groups, pair.labels, seed, len(classes))

    widths = (pair.x.dim, pair.y.dim) if metric.two_sided else (pair.x.dim,)
    check_room(8 * CELLS * (sum(d**2 for d in widths) + (widths[0] * widths[1] if len(widths) > 1 else 0)))

    def side(values: NDArray[Any]) -> SideCells:
        return _RECENT.get((values,), key, lambda: side_cells(values, cell, codes, len(classes)))

    def both() -> PairCells:
        a, b = side(x), side(y)
        return PairCells(a, b, cross_cells(x, y, a, b, cell), classes)

    x, y = pair.x.values, pair.y.values
    if metric.two_sided:
        cells = _RECENT.get((x, y), key, both)
    else:
        cells = _RECENT.get((x,), ("alone", key), lambda: PairCells(side(x), classes=classes))

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

    return evaluate_streamed(metric, cells, params=params, codes=codes, sampled_null=drawn, **how)
