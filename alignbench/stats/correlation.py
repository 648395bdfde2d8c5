"""Does a score predict performance? Correlations over training lineages, tested by permutation."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import names_of
from alignbench.errors import InputError
from alignbench.stats.splits import rng_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Orders = NDArray[np.intp]

ESTIMABLE = 5  # lineages
EXACT = 8  # lineages; up to this number, all orders are enumerated
DRAWS = 9999
MOST_SUBSETS = 5000
_TIE = 1e-12
_AT_ONCE = 4_000_000  # numbers in memory at once


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation of one score with one outcome over lineages; each coefficient is the mean over columns.

    Args:
        metric, outcome: what was correlated.
        lineages: the number of lineages.
        pearson, spearman, kendall: the coefficients (tau-b).
        p, spearman_p, kendall_p: two-sided, twice the smaller tail.
        p_adjusted: the p of the largest |Pearson| over all metrics and outcomes (Westfall-Young): what p is
            worth after looking at all of them.
        low, high: the range of Pearson's r when each lineage in turn is left out; None below 4 lineages.
        smallest_p: the smallest two-sided p that so few lineages can give.
        null_r2: the average R² without any relation, 1 / (n - 1), where n is the number of lineages.
        orders: the number of orders that were evaluated: all of them, or those that were drawn.
        exact: whether these were all orders.
    """

    metric: str
    outcome: str
    lineages: int
    pearson: float
    spearman: float
    kendall: float
    p: float
    spearman_p: float
    kendall_p: float
    p_adjusted: float
    low: float | None
    high: float | None
    smallest_p: float
    null_r2: float
    orders: int
    exact: bool

    @property
    def estimable(self) -> bool:
        """Whether there are enough lineages for p to be meaningful."""
        return self.lineages >= ESTIMABLE


def correlations(
    metrics: Mapping[str, ArrayLike],
    outcomes: Mapping[str, ArrayLike],
    lineages: Sequence[str] | None = None,
    *,
    seed: int = 42,
) -> list[Correlation]:
    """Return the correlation of every metric with every outcome, tested by permuting lineages.

    A lineage keeps its values over all columns: labels are permuted jointly. With up to 8 lineages, all
    orders are enumerated; with more, 9,999 are drawn. Checkpoints of a lineage are permuted as a block if all
    lineages have equally many; otherwise the first checkpoint represents its lineage. A metric or outcome
    that doesn't vary in some column has no correlation and is left out.

    Args:
        metrics: name -> values [units] or [units, columns], where a column is an LLM or a data type.
        outcomes: name -> values that are to be predicted, with the same units and columns.
        lineages: the lineage of each unit; by default, each unit is its own.
        seed: the seed of drawn orders.

    Raises:
        InputError: shapes don't match, or a value is not finite.
    """
    scores, goals = _matrices(metrics, "metrics"), _matrices(outcomes, "outcomes")
    shapes = {values.shape for values in (*scores.values(), *goals.values())}
    if len(shapes) != 1:
        raise InputError(f"metrics and outcomes: expected one shape [units, columns], got {sorted(shapes)}")
    (units, _columns) = shapes.pop()
    blocks = blocks_of(list(map(str, range(units))) if lineages is None else list(lineages), units)
    rows = blocks.ravel()
    scores = {name: v[rows] for name, v in scores.items() if _varies(v[rows])}
    goals = {name: v[rows] for name, v in goals.items() if _varies(v[rows])}
    if len(blocks) < 3 or not scores or not goals:
        return []
    orders = orders_of(len(blocks), blocks.shape[1], seed)
    pearson, spearman, kendall = (
        {goal: _permuted(list(scores.values()), values, kind, orders) for goal, values in goals.items()}
        for kind in (_unit, lambda v: _unit(_ranks(v)), _signs)
    )
    largest = np.max([np.abs(drawn).max(axis=1) for drawn in pearson.values()], axis=0)
    exact = len(blocks) <= EXACT
    drawn_count = len(orders) if exact else len(orders) - 1  # without the order as observed
    results = []
    for goal in goals:
        for i, name in enumerate(scores):
            own = [drawn[goal][:, i] for drawn in (pearson, spearman, kendall)]
            p, spearman_p, kendall_p = map(_two_sided, own)
            p_adjusted = float((largest >= abs(own[0][0]) - _TIE).mean())
            around = _leave_one_out(scores[name], goals[goal], blocks.shape[1])
            results.append(
                Correlation(
                    metric=name,
                    outcome=goal,
                    lineages=len(blocks),
                    pearson=float(own[0][0]),
                    spearman=float(own[1][0]),
                    kendall=float(own[2][0]),
                    p=p,
                    spearman_p=spearman_p,
                    kendall_p=kendall_p,
                    p_adjusted=max(p, p_adjusted),
                    low=min(around, default=None),
                    high=max(around, default=None),
                    smallest_p=smallest_p(len(blocks)),
                    null_r2=1 / (len(rows) - 1),
                    orders=drawn_count,
                    exact=exact,
                )
            )
    return results


def without_each(score: ArrayLike, goal: ArrayLike, labels: Sequence[str]) -> dict[str, float | None]:
    """Return label -> Pearson's r without the units that have this label, the mean over columns.

    It is None if fewer than three units are left, or if the remaining values do not vary in some column.

    Args:
        score: [units] or [units, columns].
        goal: of the same shape.
        labels: the label of each unit, such as its family or its lineage.
    """
    both = _matrices({"score": score, "goal": goal}, "without_each")
    coefficients: dict[str, float | None] = {}
    for label in dict.fromkeys(labels):
        rest = np.asarray([own != label for own in labels])
        a, b = (values[rest] for values in both.values())
        fits = len(a) > 2 and _varies(a) and _varies(b)
        coefficients[label] = float((_unit(a) * _unit(b)).sum() / a.shape[1]) if fits else None
    return coefficients


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's ρ of two series [units]: Pearson's r of their ranks, in which ties share their mean.

    Raises:
        InputError: shapes don't match, or a series is not finite or does not vary.
    """
    a, b = _matrices({"x": x, "y": y}, "spearman").values()
    if a.shape != b.shape or not (_varies(a) and _varies(b)):
        raise InputError("spearman: expected two series of one length that vary")
    return float((_unit(_ranks(a)) * _unit(_ranks(b))).sum())


def smallest_p(lineages: int) -> float:
    """Return the smallest two-sided p that permuting this many lineages can give: 2 / n!; for 3 it is 1/3."""
    orders = math.factorial(lineages) if lineages <= EXACT else DRAWS + 1
    return min(1.0, 2 / orders)


def subsets_of(units: Sequence[int], size: int, seed: int) -> Orders:
    """Return the subsets of that many units [subsets, size]: all, or `MOST_SUBSETS` drawn ones of more."""
    if math.comb(len(units), size) <= MOST_SUBSETS:
        return np.asarray(list(itertools.combinations(units, size)), dtype=np.intp).reshape(-1, size)
    rng = rng_for(seed, "subsets")
    return np.stack([rng.choice(units, size, replace=False) for _ in range(MOST_SUBSETS)])


def last_of_each(lineages: Sequence[str]) -> list[int]:
    """Return one unit per lineage: its last checkpoint, if there are several."""
    return list({name: place for place, name in enumerate(lineages)}.values())


def subset_r(x: Matrix, y: Matrix, chosen: Orders) -> Matrix:
    """Return Pearson's r of each subset in each column [subsets, columns]; NaN if a side does not vary.

    Args:
        x: [units, columns].
        y: the same.
        chosen: the units of each subset [subsets, size].
    """
    a, b = (values[chosen] - values[chosen].mean(axis=1, keepdims=True) for values in (x, y))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Matrix = np.where(lengths > 0, (a * b).sum(axis=1) / lengths, np.nan)
    return r.clip(-1, 1)


def by_chance(size: int, r: float) -> float:
    """Return how often |Pearson's r| of `size` independent normal pairs is at least `r`.

    For three pairs, r is the cosine of a uniform angle: 1 - 2/π·arcsin(r).
    """
    if size == 3:
        return 1 - 2 / math.pi * math.asin(r)
    from scipy.special import betainc

    return float(1 - betainc(0.5, size / 2 - 1, r * r))


def _matrices(named: Mapping[str, ArrayLike], what: str) -> dict[str, Matrix]:
    matrices = {}
    for name, values in named.items():
        matrix = np.asarray(values, dtype=np.float64)
        matrix = matrix[:, None] if matrix.ndim == 1 else matrix
        if matrix.ndim != 2 or not np.isfinite(matrix).all():
            raise InputError(f"{what}: expected finite values [units, columns] of {name}, got {matrix.shape}")
        matrices[name] = matrix
    if not matrices:
        raise InputError(f"{what}: expected at least one, got none")
    return matrices


def blocks_of(lineages: Sequence[str], units: int) -> Orders:
    """Return the units of each lineage [lineages, checkpoints]; only the first units if they are uneven."""
    if len(lineages) != units:
        raise InputError(f"lineages: expected one for each of {units} units, got {len(lineages)}")
    members: dict[str, list[int]] = {}
    for unit, lineage in enumerate(names_of(lineages, units, "lineages").tolist()):
        members.setdefault(lineage, []).append(unit)
    of_one_size = len({len(own) for own in members.values()}) == 1
    return np.asarray([own if of_one_size else own[:1] for own in members.values()], dtype=np.intp)


def _varies(values: Matrix) -> bool:
    spread: Matrix = np.ptp(values, axis=0)
    return bool((spread > _TIE * np.abs(values).max(axis=0)).all())


def orders_of(lineages: int, checkpoints: int, seed: int) -> Orders:
    """Return orders of the units [orders, units]; the first is the identity; all up to `EXACT` lineages."""
    if lineages <= EXACT:
        of_lineages = np.asarray(list(itertools.permutations(range(lineages))), dtype=np.intp)
    else:
        own = np.arange(lineages, dtype=np.intp)
        drawn = rng_for(seed, "lineages").permuted(np.tile(own, (DRAWS, 1)), axis=1)
        of_lineages = np.concatenate([own[None], drawn])
    within = np.arange(checkpoints)
    return (of_lineages[:, :, None] * checkpoints + within).reshape(len(of_lineages), -1)


def _unit(values: Matrix) -> Matrix:
    """Return the columns centred and of length 1: their products are Pearson's r."""
    centered = values - values.mean(axis=0)
    result: Matrix = centered / np.linalg.norm(centered, axis=0)
    return result


def _ranks(values: Matrix) -> Matrix:
    """Return the ranks in each column; ties share their mean."""
    above = (values[:, None, :] > values[None, :, :]).sum(axis=1)
    tied = (values[:, None, :] == values[None, :, :]).sum(axis=1)
    ranks: Matrix = above + (tied + 1) / 2
    return ranks


def _signs(values: Matrix) -> Matrix:
    """Return who is above whom [units, units, columns], of length 1: their products are Kendall's tau-b."""
    signs = np.sign(values[:, None, :] - values[None, :, :])
    result: Matrix = signs / np.linalg.norm(signs, axis=(0, 1))
    return result


def _permuted(scores: Sequence[Matrix], goal: Matrix, kind: object, orders: Orders) -> Matrix:
    """Return the coefficient of each score with the goal in each order [orders, scores]."""
    assert callable(kind)
    features, other = np.stack([kind(values).ravel() for values in scores], axis=1), kind(goal)
    at_once = max(1, _AT_ONCE // other.size)
    parts = []
    for start in range(0, len(orders), at_once):
        some = orders[start : start + at_once]
        moved = other[some[:, :, None], some[:, None, :]] if other.ndim == 3 else other[some]
        parts.append(moved.reshape(len(some), -1) @ features / goal.shape[1])
    result: Matrix = np.concatenate(parts)
    return result


def _two_sided(drawn: Matrix) -> float:
    """Return twice the smaller tail of the first value, which is the observed one."""
    tail = min((drawn >= drawn[0] - _TIE).mean(), (drawn <= drawn[0] + _TIE).mean())
    return min(1.0, 2 * float(tail))


def _leave_one_out(score: Matrix, goal: Matrix, checkpoints: int) -> list[float]:
    lineages = len(score) // checkpoints
    if lineages < 4:  # for two points, r is always 1 or -1
        return []
    coefficients = []
    for left_out in range(lineages):
        rest = np.delete(np.arange(len(score)), np.s_[left_out * checkpoints : (left_out + 1) * checkpoints])
        if _varies(score[rest]) and _varies(goal[rest]):
            coefficients.append(float((_unit(score[rest]) * _unit(goal[rest])).sum() / score.shape[1]))
    return coefficients
