"""Drawn permutations and the p-values that come from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.metrics.permuted import ProductMoments

ENOUGH = 10  # so many drawn scores that are as good as the score end sequential drawing
MOST_SPREAD = 0.2  # above this `spread`, three moments do not describe the tail; see docs/calibration.md
SMALLEST = 1e-6  # the smallest p of a closed form: further out, nothing says how good it is
_FIRST = 25  # how many permutations are drawn before sequential drawing looks for the first time
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
    reach = _reached(score, drawn, higher_is_better, bounds)
    return float((1 + reach.sum()) / (len(drawn) + 1))


def _reached(
    score: float, drawn: NDArray[np.float64], higher_is_better: bool, bounds: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return which draws are as good as the score, or better."""
    sign = 1 if higher_is_better else -1
    sizes = [abs(bound) for bound in bounds if bound and np.isfinite(bound)]
    unit = max(sizes, default=float(np.abs(drawn).max(initial=0.0)))
    return np.asarray(sign * drawn >= sign * score - ROUNDING * max(unit, abs(score)))


def sequential_p(
    score: float,
    draw: Callable[[int], NDArray[np.float64]],
    most: int,
    *,
    higher_is_better: bool = True,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> tuple[float, int, NDArray[np.float64]]:
    """Return the one-sided p of `score`, how many draws it comes from, and all drawn scores.

    Drawing stops at the h-th draw that is as good or better, h = 10. If that is draw number l, p is h / l;
    if there are only g of them in all draws, it is (g + 1) / (most + 1), as in `p_value`.

    Args:
        score: the score of the true pairs.
        draw: (number) -> the scores of so many further permutations.
        most: the largest number of draws.
        higher_is_better: see `p_value`.
        bounds: see `p_value`.

    Source:
        Besag and Clifford (1991), Biometrika 78, 301-304.
    """
    drawn = np.empty(0)
    while len(drawn) < most:
        more = min(max(_FIRST, len(drawn)), most - len(drawn))
        drawn = np.concatenate([drawn, draw(more)])
        reached = np.flatnonzero(_reached(score, drawn, higher_is_better, bounds))
        if len(reached) >= ENOUGH:
            last = int(reached[ENOUGH - 1]) + 1
            return ENOUGH / last, last, drawn
    return p_value(score, drawn, higher_is_better=higher_is_better, bounds=bounds), len(drawn), drawn


def closed_p(score: float, moments: ProductMoments, *, higher_is_better: bool = True) -> float | None:
    """Return the one-sided p of `score` from the moments of all permutations; None if these do not suffice.

    The tail is that of a Pearson type III distribution with this mean, standard deviation and skewness, or of
    a normal one if the better tail is the shorter one, which makes p too large rather than too small. A score
    with steps is moved by half a step. The moments do not suffice without variance, and if the `spread` is
    above MOST_SPREAD. The smallest p is SMALLEST.

    Source:
        Josse, Pagès, Husson (2008), CSDA 53, 82-91.
    """
    from scipy.stats import pearson3

    varies = moments.variance > (ROUNDING * max(1.0, abs(score))) ** 2
    if not (varies and moments.spread <= MOST_SPREAD):
        return None
    sign = 1 if higher_is_better else -1
    distance = (sign * (score - moments.mean) - moments.step / 2) / np.sqrt(moments.variance)
    p = float(pearson3.sf(distance, max(0.0, sign * moments.skewness)))
    return max(p, SMALLEST)
