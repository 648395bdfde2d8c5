"""How much of an outcome a linear function of scores explains, in the sample and out of sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import InputError
from alignbench.stats.correlation import EXACT, blocks_of, orders_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

_TIE = 1e-12
_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class FitQuality:
    """What a least-squares fit explains; means over columns.

    Args:
        r2: the share explained in the sample.
        q2: the share explained in each lineage by a fit to the others, relative to the others' mean: 0 for a
            fit that is no better than that mean, negative for a worse one. None if the others are too few to
            fit, or don't determine the fit, as where one lineage alone has a label.
        null_r2: the average r2 without any relation, k / (n - 1) for k scores of n units; at most 1.
        p: the share of orders of the lineages whose r2 is at least as large; None if no order was evaluated.
        exact: whether these were all orders.
        scores: the number k of scores.
    """

    r2: float
    q2: float | None
    null_r2: float
    p: float | None
    exact: bool
    scores: int


def explained(
    scores: ArrayLike,
    outcome: ArrayLike,
    lineages: Sequence[str] | None = None,
    *,
    seed: int = 42,
    permute: bool = True,
) -> FitQuality:
    """Return what scores explain of an outcome, with exact p up to 8 lineages and 9,999 drawn orders above.

    Args:
        scores: [units, k] or, with several columns, [units, k, columns].
        outcome: [units] or [units, columns].
        lineages: the lineage of each unit; they are permuted and left out as blocks. By default, each unit is
            its own.
        seed: the seed of drawn orders.
        permute: whether to compute p, which needs the orders.

    Raises:
        InputError: shapes don't match, values are not finite, or the outcome does not vary.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    x, y = (x[:, :, None] if x.ndim == 2 else x), (y[:, None] if y.ndim == 1 else y)
    if x.ndim != 3 or y.ndim != 2 or (len(x), x.shape[2]) != y.shape:
        raise InputError(
            f"explained: expected scores [units, k] of outcomes [units], got {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("explained: expected finite scores and outcomes")
    blocks = blocks_of(list(map(str, range(len(y)))) if lineages is None else list(lineages), len(y))
    x, y = x[blocks.ravel()], y[blocks.ravel()]
    if len(blocks) < 3 or not (np.ptp(y, axis=0) > 0).all():
        raise InputError("explained: expected three lineages, and an outcome that varies over them")
    columns, checkpoints = range(y.shape[1]), blocks.shape[1]
    bases = [_basis(x[:, :, c]) for c in columns]
    orders = orders_of(len(blocks), checkpoints, seed) if permute else np.arange(len(y), dtype=np.intp)[None]
    drawn = np.mean([_r2_of(bases[c], y[:, c], orders) for c in columns], axis=0)
    q2 = None
    if len(y) - checkpoints > x.shape[1] + 1:
        each = [_q2_of(bases[c], y[:, c], checkpoints) for c in columns]
        known = [value for value in each if value is not None]
        q2 = float(np.mean(known)) if len(known) == len(each) else None
    return FitQuality(
        r2=float(drawn[0]),
        q2=q2,
        null_r2=min(1.0, x.shape[1] / (len(y) - 1)),
        p=float((drawn >= drawn[0] - _TIE).mean()) if permute else None,
        exact=len(blocks) <= EXACT,
        scores=x.shape[1],
    )


def _basis(x: Matrix) -> Matrix:
    """Return an orthonormal basis [units, rank] of the span of the centred scores."""
    centered = x - x.mean(axis=0)
    scale = np.linalg.norm(centered, axis=0)
    kept = scale > _TIE * np.abs(x).max(axis=0).clip(min=1e-300)
    left, values, _ = np.linalg.svd(centered[:, kept] / scale[kept], full_matrices=False)
    basis: Matrix = left[:, values > 1e-10]
    return basis


def _r2_of(basis: Matrix, y: Matrix, orders: NDArray[np.intp]) -> Matrix:
    """Return R² of the outcome [units] in each order, by projecting it on the scores' span."""
    moved = (y - y.mean())[orders]
    part: Matrix = np.square(moved @ basis).sum(axis=1) / np.square(moved[0]).sum()
    return part


def _q2_of(basis: Matrix, y: Matrix, checkpoints: int) -> float | None:
    """Return Q², leaving out each lineage without refitting: the others miss it by (I - H_bb)⁻¹ e_b.

    It is None if I - H_bb is singular: then the fit to the others has no single value there.
    """
    own = np.full((len(y), 1), 1 / np.sqrt(len(y)))
    errors = []
    for span in (np.hstack([own, basis]), own):
        residual = (y - span @ (span.T @ y)).reshape(-1, checkpoints, 1)
        blocks = span.reshape(-1, checkpoints, span.shape[1])
        kept = np.eye(checkpoints) - blocks @ blocks.transpose(0, 2, 1)
        if np.linalg.eigvalsh(kept).min() < _SINGULAR:
            return None
        errors.append(np.square(np.linalg.solve(kept, residual)).sum())
    return 1 - float(errors[0] / errors[1])
