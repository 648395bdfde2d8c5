"""Scores of permutations in float32, which takes half the time, where that decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

SINGLE_ERROR = 1e-6  # the share by which a draw in float32 may be off; else, all are drawn in float64
NEAR = 1e-4  # of the value: closer draws are computed in float64 in any case


def mostly_in_single(
    single: Callable[[Indices], Vector],
    exact: Callable[[Indices], Vector],
    permutations: Indices,
    value: float,
) -> Vector:
    """Return the scores of permutations, in float32 where that is as good as float64.

    The first draw tells what float32 is good for, since the spectra of all draws are alike. A draw that is
    equal to the value, as of equal rows, has to be found equal, so what is near it is computed in float64.

    Args:
        single: (permutations) -> their scores in float32.
        exact: (permutations) -> their scores in float64.
        permutations: one or more [draws, n].
        value: the score of the true pairs, with which the draws are compared.
    """
    scores, known = single(permutations), exact(permutations[:1])
    if not _agree(scores[:1], known):
        return exact(permutations)
    scores[0] = known[0]
    near = 1 + np.flatnonzero(np.abs(scores[1:] - value) <= NEAR * abs(value))
    if not len(near):
        return scores
    known = exact(permutations[near])
    if not _agree(scores[near], known):
        return exact(permutations)
    scores[near] = known
    return scores


def _agree(scores: Vector, known: Vector) -> bool:
    return bool((np.abs(scores - known) <= SINGLE_ERROR * np.abs(known)).all())
