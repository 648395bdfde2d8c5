"""Correlations of several blocks as one: each block is correlated alone, and only coefficients are pooled.

A block is a source or a recipe. Its values can't be compared with those of another block, but its r can. The
pooling is a random-effects meta-analysis of Fisher's z (DerSimonian and Laird 1986; I² of Higgins and
Thompson 2002). Blocks often share encoders, so that their errors are not independent: the interval takes the
errors of a shared encoder as one, and p comes from permuting encoders in all blocks at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats.correlation import DRAWS, EXACT, orders_of
from alignbench.stats.splits import rng_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Orders = NDArray[np.intp]

FEWEST = 4  # the variance of Fisher's z is 1 / (n - 3)
_TIE = 1e-12
_LARGEST = 1 - 1e-12  # Fisher's z of ±1 is infinite
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class PooledR:
    """Pearson's r of several blocks as one.

    Args:
        r: the pooled coefficient.
        low, high: its 95% interval.
        i2: I², the share of the variance between blocks that is more than chance, from 0 to 1. Blocks that
            share encoders differ less by chance than it assumes, so it is then too small.
        blocks: the number of blocks.
    """

    r: float
    low: float
    high: float
    i2: float
    blocks: int


@dataclass(frozen=True, slots=True)
class PooledCorrelation:
    """A score with an outcome over several blocks.

    Args:
        metric, outcome: what was correlated.
        pooled: the pooled coefficient.
        by_block: the place of a block -> (Pearson's r, the number of encoders).
        p: the share of orders with a pooled |z| at least as large; two-sided.
        p_adjusted: the same for the largest pooled |z| of all scores and outcomes.
        orders: the number of orders that were evaluated, without the observed one if they were drawn.
    """

    metric: str
    outcome: str
    pooled: PooledR
    by_block: Mapping[int, tuple[float, int]]
    p: float
    p_adjusted: float
    orders: int


def pool(r: Sequence[float], counts: Sequence[int], shared: ArrayLike | None = None) -> PooledR:
    """Return r of several blocks as one: tanh of the mean of atanh r, weighted by 1 / (1 / (n - 3) + τ²).

    Args:
        r: Pearson's r of each block.
        counts: n, the number of encoders of each block.
        shared: the number of encoders that two blocks share [blocks, blocks]; none by default. The errors of
            two blocks are taken to correlate by shared / √(n·n'), as if an encoder erred alike in both.

    Raises:
        InputError: shapes don't match, a block has fewer than four encoders, or r is not from -1 to 1.
    """
    values, n = np.asarray(r, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    common = np.diag(n) if shared is None else np.asarray(shared, dtype=np.float64)
    blocks = len(values)
    if not blocks or n.shape != (blocks,) or common.shape != (blocks, blocks):
        raise InputError(f"pool: expected r and n of the same blocks, got {values.shape} and {n.shape}")
    if not (np.abs(values) <= 1 + _TIE).all():
        raise InputError(f"pool: expected r from -1 to 1, got {values.tolist()}")
    if n.min() < FEWEST:
        raise InputError(f"pool: a block needs {FEWEST} encoders, got {int(n.min())}")
    z = np.arctanh(values.clip(-_LARGEST, _LARGEST))
    variance = 1 / (n - 3)
    weights = 1 / variance
    mean = (weights * z).sum() / weights.sum()
    spread = float((weights * np.square(z - mean)).sum())
    excess = max(0.0, spread - (blocks - 1))
    between = 0.0
    if excess:
        between = excess / float(weights.sum() - np.square(weights).sum() / weights.sum())
    weights = 1 / (variance + between)
    weights /= weights.sum()
    z_pooled = float(weights @ z)
    correlated = common / np.sqrt(np.outer(n, n))
    np.fill_diagonal(correlated, 1.0)
    errors = correlated * np.sqrt(np.outer(variance, variance)) + between * np.eye(blocks)
    margin = _Z95 * float(np.sqrt(weights @ errors @ weights))
    r_pooled, low, high = np.tanh([z_pooled, z_pooled - margin, z_pooled + margin]).tolist()
    return PooledR(r_pooled, low, high, excess / spread if excess else 0.0, blocks)


def pooled_correlations(
    metrics: Mapping[str, ArrayLike], outcomes: Mapping[str, ArrayLike], *, seed: int = 42
) -> list[PooledCorrelation]:
    """Return the pooled correlation of every metric with every outcome, tested by permuting encoders.

    An encoder keeps its scores over all blocks when labels are permuted. If every score has one value for an
    encoder, whatever the block, all encoders are permuted; otherwise only those that are in the same blocks,
    since an encoder has no value in a block that it is not in. An order in which a score does not vary within
    a block counts as r = 0 there. A pair of metric and outcome that fewer than two blocks have is left out.

    Args:
        metrics: name -> values [encoders, blocks]; NaN where a block lacks the encoder or the metric.
        outcomes: name -> values that are to be predicted, with the same encoders and blocks.
        seed: the seed of drawn orders.

    Raises:
        InputError: shapes don't match.
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in metrics.items()}
    goals = {name: np.asarray(values, dtype=np.float64) for name, values in outcomes.items()}
    shapes = {values.shape for values in (*scores.values(), *goals.values())}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(f"pooled_correlations: expected one shape [encoders, blocks], got {sorted(shapes)}")
    drawn: dict[tuple[str, str], Matrix] = {}
    observed: dict[tuple[str, str], dict[int, tuple[float, int]]] = {}
    pooled: dict[tuple[str, str], PooledR] = {}
    filled = {metric: _same_in_all(x) for metric, x in scores.items()}
    anywhere = all(values is not None for values in filled.values())
    units = len(next(iter(scores.values())))
    present = np.hstack([np.isfinite(x) for x in scores.values()])
    orders = orders_of(units, 1, seed) if anywhere else _within_patterns(present, seed)
    for metric, x in scores.items():
        same = filled[metric]
        moved = same if anywhere and same is not None else x
        for outcome, y in goals.items():
            rows = {b: np.flatnonzero(np.isfinite(x[:, b]) & np.isfinite(y[:, b])) for b in range(x.shape[1])}
            rows = {b: own for b, own in rows.items() if _usable(x[own, b], y[own, b])}
            if len(rows) < 2:
                continue
            key = metric, outcome
            r = {b: _r(moved[orders[:, own], b], y[own, b]) for b, own in rows.items()}
            observed[key] = {b: (float(values[0]), len(rows[b])) for b, values in r.items()}
            weights = np.asarray([len(own) - 3 for own in rows.values()], dtype=np.float64)
            z = np.arctanh(np.stack(list(r.values())).clip(-_LARGEST, _LARGEST))
            drawn[key] = np.abs(weights @ z / weights.sum())
            shared = [[len(np.intersect1d(a, b)) for b in rows.values()] for a in rows.values()]
            own_r, counts = zip(*observed[key].values(), strict=True)
            pooled[key] = pool(own_r, counts, shared)
    if not drawn:
        return []
    largest = np.max(list(drawn.values()), axis=0)
    exact = anywhere and units <= EXACT
    return [
        PooledCorrelation(
            metric,
            outcome,
            pooled[metric, outcome],
            observed[metric, outcome],
            p=float((values >= values[0] - _TIE).mean()),
            p_adjusted=float((largest >= values[0] - _TIE).mean()),
            orders=len(values) if exact else len(values) - 1,
        )
        for (metric, outcome), values in drawn.items()
    ]


def _usable(x: Matrix, y: Matrix) -> bool:
    return len(x) >= FEWEST and bool(np.ptp(x) > 0 and np.ptp(y) > 0)


def _same_in_all(score: Matrix) -> Matrix | None:
    """Return a score's values with every block filled, if each encoder has one value in all of them."""
    present = np.isfinite(score)
    first = score[np.arange(len(score)), present.argmax(axis=1)][:, None]
    alike = ~present | (np.abs(score - first) <= _TIE * np.abs(first))
    return np.repeat(first, score.shape[1], axis=1) if alike.all() and present.any(axis=1).all() else None


def _within_patterns(present: NDArray[np.bool_], seed: int) -> Orders:
    """Return drawn orders that exchange only encoders of the same blocks; the first is the identity."""
    _, patterns = np.unique(present, axis=0, return_inverse=True)
    rng = rng_for(seed, "patterns")
    orders = np.tile(np.arange(len(present), dtype=np.intp), (DRAWS + 1, 1))
    for pattern in np.unique(patterns):
        own = np.flatnonzero(patterns == pattern)
        orders[1:, own] = rng.permuted(np.tile(own, (DRAWS, 1)), axis=1)
    return orders


def _r(x: Matrix, y: Matrix) -> Matrix:
    """Return Pearson's r of each row of x [orders, n] with y [n]; 0 where a row does not vary."""
    centered, goal = x - x.mean(axis=1, keepdims=True), y - y.mean()
    varies = np.ptp(x, axis=1) > _TIE * np.abs(x).max(axis=1)
    lengths = np.linalg.norm(centered, axis=1) * np.linalg.norm(goal)
    r: Matrix = np.where(varies, centered @ goal / np.where(varies, lengths, 1.0), 0.0)
    return r.clip(-1, 1)
