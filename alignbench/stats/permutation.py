"""Drawn permutations and the p-values that come from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-10  # draws closer than this to the score, in its own unit, count as reaching it


def draw_permutations(n: int, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `draws` permutations of 0 … n−1, [draws, n]."""
    return rng.permuted(np.tile(np.arange(n, dtype=np.intp), (draws, 1)), axis=1)


def draw_within(codes: NDArray[np.intp], draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `draws` permutations [draws, n] that exchange rows only within their class."""
    result = np.tile(np.arange(len(codes), dtype=np.intp), (draws, 1))
    for code in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == code)
        result[:, members] = rng.permuted(result[:, members], axis=1)
    return result


def p_value(
    score: float,
    drawn: NDArray[np.float64],
    *,
    higher_is_better: bool = True,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> float:
    """Return the one-sided p of `score`: (1 + the number of draws that are as good or better) / (draws + 1).

    Args:
        score: the score of the true pairs.
        drawn: the scores of re-paired data.
        higher_is_better: whether larger draws are better.
        bounds: the score's bounds, which define its unit. A score without bounds may be of any size; its unit
            is the largest absolute value of all draws.
    """
    sign = 1 if higher_is_better else -1
    sizes = [abs(bound) for bound in bounds if bound and np.isfinite(bound)]
    unit = max(sizes, default=float(np.abs(drawn).max(initial=0.0)))
    reach = sign * drawn >= sign * score - ROUNDING * max(unit, abs(score))
    return float((1 + reach.sum()) / (len(drawn) + 1))
