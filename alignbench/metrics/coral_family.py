"""All scores of the CORAL family at once: of two covariances, of shuffled pairs, and without each block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.base import NullModel
from alignbench.metrics.basis import bases_without, fitted_halves, halves, shuffled_bases
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import bounded, check_groups
from alignbench.metrics.covariances import covariance, ledoit_wolf
from alignbench.metrics.derived import derived, digest
from alignbench.metrics.procrustes import nuclear_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

SHUFFLES = 49


def unit_trace(matrix: Matrix) -> Matrix:
    """Return a covariance scaled to trace 1, which keeps its shape and drops its size."""
    scaled: Matrix = matrix / np.trace(matrix)
    return scaled


def coral_distance_of(c: Matrix, d: Matrix) -> float:
    """Return the CORAL distance of two covariances [d, d]; see `coral_distance`."""
    with np.errstate(over="ignore", invalid="ignore"):
        gap = c - d
        value = float(np.square(gap, out=gap).sum()) / (4 * len(c) ** 2)
    return bounded(value, (0, np.inf), "coral_distance")


def ncoral_of(c: Matrix, d: Matrix) -> float:
    """Return ncoral of two covariances [d, d]; see `ncoral`."""
    c, d = unit_trace(c), unit_trace(d)
    value = float(np.square(c - d).sum() / (np.square(c).sum() + np.square(d).sum()))
    return bounded(value, (0, 1), "ncoral")


def scores_of(c: Matrix, d: Matrix, distance: Matrix) -> dict[str, float]:
    """Return the scores of two sides in a basis by name.

    Args:
        c: x's covariance [d, d].
        d: y's.
        distance: x's mean minus y's [d].
    """
    coral = coral_distance_of(c, d)
    fidelity = nuclear_norm(_root_of(c) @ _root_of(d).T)
    return {
        "coral_distance": coral,
        "coral_similarity": 1 / (1 + coral),
        "ncoral": ncoral_of(c, d),
        "mean_distance": float(np.linalg.norm(distance)),
        "bures_similarity": bounded(
            fidelity / np.sqrt(float(np.trace(c)) * float(np.trace(d))), (0, 1), "bures_similarity"
        ),
    }


def _root_of(covariance: Matrix) -> Matrix:
    """Return a matrix R with RᵀR = C."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64).T
    except np.linalg.LinAlgError:  # there is a direction without variance
        values, vectors = np.linalg.eigh(covariance)
        root: Matrix = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        return root


def _shrunk_scores_of(c: Matrix, d: Matrix) -> dict[str, float]:
    """Return the scores of two Ledoit-Wolf covariances [d, d] by name."""
    return {"coral_distance_lw": coral_distance_of(c, d), "ncoral_lw": ncoral_of(c, d)}


def _scores_without(bases: Iterable[tuple[Matrix, Matrix]]) -> Iterator[dict[str, float]]:
    """Yield all scores of the family for both sides in each basis."""
    for x, y in bases:
        plain = scores_of(covariance(x, "x"), covariance(y, "y"), x.mean(axis=0) - y.mean(axis=0))
        yield plain | _shrunk_scores_of(ledoit_wolf(x), ledoit_wolf(y))


def _shuffled_scores(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], **settings: Any
) -> Iterator[dict[str, float]]:
    """Yield all scores of the family for permutations within the halves, which change only the map."""
    fitted = fitted_halves(x, y, **settings)
    sides = fitted.held_out()
    c, d = map(covariance, sides)
    shrunk_c, shrunk_d = map(ledoit_wolf, sides)
    mean_x, mean_y = (side.mean(axis=0) for side in sides)
    for rows in fitted.pairings(permutations):
        turn = fitted.joined(rows).rotation
        plain = scores_of(turn.T @ c @ turn, d, mean_x @ turn - mean_y)
        yield plain | _shrunk_scores_of(turn.T @ shrunk_c @ turn, shrunk_d)


def shuffled_null(name: str, fn: Callable[[Matrix, Matrix], float]) -> NullModel:
    """Return the value on shuffled pairs that is shown with a score in a fitted basis, without a test.

    The orthogonal map has seen the pairing; the score itself has not, so it has no null.
    """

    def draw(
        x: Matrix, y: Matrix, permutations: NDArray[np.intp], *, align: str, **settings: Any
    ) -> NDArray[np.float64]:
        half = halves(len(x), **settings)
        if len(x) > FEW and half is not None and (half[permutations] == half).all():
            what = "shuffled", digest(permutations), *_named(x, **settings)
            scores = _shared(name, x, y, what, _shuffled_scores(x, y, permutations, **settings))
            if scores is not None:
                return scores
        return np.asarray([fn(*based) for based in shuffled_bases(x, y, permutations, **settings)])

    return NullModel(
        draw=draw,
        draws=SHUFFLES,
        stream="bases",
        test=False,
        strata=halves,
        applies=lambda settings: settings["align"] == "procrustes",
    )


def deletions_of(name: str, bounds: tuple[float, float]) -> Callable[..., Matrix | None]:
    """Return what computes the scores without each block from bases that the family shares."""

    def deletions(
        x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]], *, align: str, **settings: Any
    ) -> Matrix | None:
        if len(x) <= FEW or align != "procrustes":
            return None
        bases = (based for _, based in bases_without(x, y, blocks, align=align, **settings))
        what = "without", digest(np.concatenate(blocks)), tuple(map(len, blocks)), *_named(x, **settings)
        scores = _shared(name, x, y, what, _scores_without(bases))
        return None if scores is None else np.asarray([bounded(score, bounds, name) for score in scores])

    return deletions


def _shared(
    name: str, x: Matrix, y: Matrix, what: tuple[Hashable, ...], scores: Iterable[dict[str, float]]
) -> NDArray[np.float64] | None:
    """Return one of the family's scores, and keep all of them for the next metric; None if one is missing.

    Sides in a basis take far more time and memory than all scores of them: they are made once, and not kept.
    A score that does not exist says nothing about the others, which are then computed alone.
    """
    try:
        return np.asarray([of[name] for of in derived(("family", *what), (x, y), lambda: list(scores))])
    except DegenerateError:
        return None


def _named(x: Matrix, *, k: int, groups: ArrayLike | None = None, seed: int = 42) -> tuple[Hashable, ...]:
    """Return the settings of a basis as a part of a name."""
    return k, check_groups(groups, len(x)).tobytes(), seed
