"""What re-paired data, and data without each block, get of a weighted sum of a CKA and two other scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.basis import (
    Halves,
    bases_without,
    basis_settings,
    fitted_halves,
    shuffled_bases,
    shuffled_covariances,
)
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import LEAST_LEFT, bounded, check_groups
from alignbench.metrics.cka import linear_cka_draw
from alignbench.metrics.coral import coral_similarity, ncoral
from alignbench.metrics.coral_family import coral_distance_of, ncoral_of
from alignbench.metrics.covariances import covariance
from alignbench.metrics.deletions import KERNELS_UP_TO, deletion_sums
from alignbench.metrics.derived import derived, digest
from alignbench.metrics.kernels import linear_sums
from alignbench.metrics.repaired import Repaired
from alignbench.metrics.single import mostly_in_single
from alignbench.metrics.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.sums import LinearSums

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

WEIGHTS = (0.3, 0.3, 0.4)
IN_BASIS: tuple[Callable[[Matrix, Matrix], float], ...] = (coral_similarity, lambda x, y: 1 - ncoral(x, y))
OF_COVARIANCES: tuple[Callable[[Matrix, Matrix], float], ...] = (
    lambda c, d: 1 / (1 + coral_distance_of(c, d)),
    lambda c, d: 1 - ncoral_of(c, d),
)
OF_TURNS: tuple[Callable[[Turns, Matrix], Matrix], ...] = (
    lambda turns, products: 1 / (1 + turns.coral_distances(products)),
    lambda turns, products: 1 - turns.ncorals(products),
)


def weighted(parts: Iterable[float]) -> float:
    """Return the weighted sum of three parts."""
    return sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))


@dataclass(frozen=True, slots=True)
class Composite:
    """A weighted sum of a CKA, a score in the shared basis, and a score of x alone.

    Args:
        name: the metric's name.
        parts: (x, y, **keywords) -> its three parts.
        cka: (sums) -> its first part.
        redrawn: (x, y, linear CKAs of re-paired sides) -> its first parts, which may be negative.
        place: which of `IN_BASIS` is its second part.
        alone: (x, blocks, labels, groups, seed) -> its third parts without each block.
    """

    name: str
    parts: Callable[..., Mapping[str, float]]
    cka: Callable[[LinearSums], float]
    redrawn: Callable[[Matrix, Matrix, Matrix], Matrix]
    place: int
    alone: Callable[..., Iterable[float]]

    def draw(
        self,
        x: Matrix,
        y: Matrix,
        permutations: Indices,
        *,
        labels: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        seed: int = 42,
        align: str = "procrustes",
        k: int | None = None,
    ) -> Matrix:
        """Return the scores of x and y[p] for each permutation p."""
        fixed = list(self.parts(x, y, labels=labels, groups=groups, seed=seed, align=align, k=k).values())
        width = basis_settings(len(x), (x.shape[1], y.shape[1]), align=align, k=k)["k"]
        how = {"k": width, "groups": groups, "seed": seed}

        def total(cka: Matrix, in_basis: Matrix | float) -> Matrix:
            first = np.maximum(0.0, self.redrawn(x, y, cka))
            return np.asarray(WEIGHTS[0] * first + WEIGHTS[1] * in_basis + WEIGHTS[2] * fixed[2])

        def exact(some: Indices) -> Matrix:
            # Only the fitted map sees the pairing.
            in_basis = _in_basis(x, y, some, self.place, **how) if align == "procrustes" else fixed[1]
            return total(linear_cka_draw(x, y, some), in_basis)

        def single(some: Indices) -> Matrix:
            drawn = derived(("drawn", *what, digest(some)), (x, y), lambda: sides.drawn(some))
            return total(drawn[0], OF_TURNS[self.place](sides.turns, drawn[1]))

        if len(x) <= FEW or align != "procrustes" or not fitted_halves(x, y, **how).within(permutations):
            return exact(permutations)
        what = "in single", width, check_groups(groups, len(x)).tobytes(), seed
        sides = derived(what, (x, y), lambda: _InSingle.of(x, y, **how))
        return mostly_in_single([single], exact, permutations, weighted(fixed))

    def deletions(
        self,
        x: Matrix,
        y: Matrix,
        blocks: Sequence[Indices],
        *,
        labels: NDArray[np.str_] | None = None,
        groups: NDArray[np.str_],
        seed: int,
        align: str,
        k: int | None,
    ) -> Matrix | None:
        """Return the scores without each block, whose parts other metrics share; None for few rows."""
        if len(x) <= FEW or align != "procrustes":
            return None
        firsts = map(self.cka, _sums_without(x, y, blocks))
        how = {"align": align, "k": k, "groups": groups, "seed": seed}
        seconds = _in_basis_without(x, y, blocks, **how)[self.place]
        thirds = self.alone(x, blocks, labels=labels, groups=groups, seed=seed)
        all_parts = zip(firsts, seconds, thirds, strict=True)
        return np.asarray([bounded(weighted(parts), (0, 1), self.name) for parts in all_parts])


def _in_basis_without(x: Matrix, y: Matrix, blocks: Sequence[Indices], **how: Any) -> Matrix:
    """Return both scores of `IN_BASIS` without each block [2, blocks]."""

    def compute() -> Matrix:
        bases = bases_without(x, y, blocks, **how)
        of = ((covariance(a, "x"), covariance(b, "y")) for _, (a, b) in bases)
        return np.asarray([[score(*sides) for score in OF_COVARIANCES] for sides in of]).T

    names = how["groups"].tobytes()
    what = "composites without", *(block.tobytes() for block in blocks), how["align"], how["k"], names
    return derived((*what, how["seed"]), (x, y), compute)


def _sums_without(x: Matrix, y: Matrix, blocks: Sequence[Indices]) -> Iterator[LinearSums]:
    known = deletion_sums(x, y, blocks) if len(x) <= KERNELS_UP_TO else [None] * len(blocks)
    traces = np.asarray([(0.0, 0.0) if sums is None else (sums.trace_x, sums.trace_y) for sums in known])
    kept = (traces > LEAST_LEFT * traces.max(axis=0)).all(axis=1)
    for block, sums, keep in zip(blocks, known, kept, strict=True):
        if sums is not None and keep:
            yield sums
        else:  # without a block that was nearly all that varies, sums of all rows have lost digits
            yield linear_sums(np.delete(x, block, axis=0), np.delete(y, block, axis=0))


def _in_basis(x: Matrix, y: Matrix, permutations: Indices, place: int, **how: Any) -> Matrix:
    """Return a score of `IN_BASIS` for each permutation, and keep all of them for the next composite."""
    if len(x) <= FEW:
        bases = shuffled_bases(x, y, permutations, **how)
        return np.asarray([IN_BASIS[place](*based) for based in bases])

    def compute() -> Matrix:
        if fitted_halves(x, y, **how).within(permutations):
            of, scores = shuffled_covariances(x, y, permutations, **how), OF_COVARIANCES
        else:
            of, scores = shuffled_bases(x, y, permutations, **how), IN_BASIS
        return np.asarray([[score(*sides) for score in scores] for sides in of]).T

    names = check_groups(how["groups"], len(x)).tobytes()
    what = "composites", digest(permutations), how["k"], names, how["seed"]
    both: Matrix = derived(what, (x, y), compute)
    scores: Matrix = both[place]
    return scores


@dataclass(frozen=True, slots=True)
class _InSingle:
    """What draws of both composites need in float32."""

    cka: Repaired
    turns: Turns
    halves: Halves

    @classmethod
    def of(cls, x: Matrix, y: Matrix, **how: Any) -> _InSingle:
        fitted = fitted_halves(x, y, **how)
        return cls(Repaired.in_single(x, y), Turns.of(fitted), fitted)

    def drawn(self, permutations: Indices) -> tuple[Matrix, Matrix]:
        """Return linear CKA and `Turns.products` for each permutation."""
        return self.cka.linear_cka(permutations), self.turns.products(self.halves.pairings(permutations))
