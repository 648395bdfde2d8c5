"""Scores of permutations in float32, which takes half the time, where that decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

SINGLE_ERROR = 1e-6  # the share by which a draw in float32 may be off; else, all are drawn in float64
NEAR = 1e-4  # of the value: closer draws are computed in float64 in any case
CHECKED = 3  # draws that are computed both ways; a single one may agree by chance, however far off others are


def mostly_in_single(
    forms: Iterable[Callable[[Indices], Vector]],
    exact: Callable[[Indices], Vector],
    permutations: Indices,
    value: float,
) -> Vector:
    """Return the scores of permutations, in float32 where that is as good as float64.

    The first draws tell what float32 is good for, since the spectra of all draws are alike. A draw that is
    equal to the value, as of equal rows, has to be found equal, so what is near it is computed in float64.

    Args:
        forms: (permutations) -> their scores in float32, the quickest first, which may lose more digits.
        exact: (permutations) -> their scores in float64.
        permutations: one or more [draws, n].
        value: the score of the true pairs, with which the draws are compared.
    """
    first, others = permutations[:CHECKED], permutations[CHECKED:]
    known = exact(first)
    single = next((form for form in forms if _agree(form(first), known)), None)
    if not len(others):
        return known
    scores = exact(others) if single is None else single(others)
    near = np.flatnonzero(np.abs(scores - value) <= NEAR * abs(value))
    if single is not None and len(near):
        again = exact(others[near])
        if _agree(scores[near], again):
            scores[near] = again
        else:
            scores = exact(others)
    return np.concatenate([known, scores])


def _agree(scores: Vector, known: Vector) -> bool:
    return bool((np.abs(scores - known) <= SINGLE_ERROR * np.abs(known)).all())
