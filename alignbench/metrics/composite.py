"""Weighted sums of other scores: EAS as published, and a form without its known faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import names_of
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.basis import (
    bases_without,
    basis_settings,
    halves,
    shuffled_bases,
    shuffled_covariances,
    to_shared_basis,
)
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import bounded
from alignbench.metrics.cka import calibrated_cka, calibrated_cka_draw, linear_cka, linear_cka_draw
from alignbench.metrics.classes import discriminability_raw, knn_above_chance, spread
from alignbench.metrics.coral import (
    SATURATION,
    coral_distance_of,
    coral_similarity,
    ncoral,
    ncoral_of,
)
from alignbench.metrics.derived import derived, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

WEIGHTS = (0.3, 0.3, 0.4)
NEEDS = ("groups", "seed")
DRAWS = 199
IN_BASIS: tuple[Callable[[Matrix, Matrix], float], ...] = (coral_similarity, lambda x, y: 1 - ncoral(x, y))
OF_COVARIANCES: tuple[Callable[[Matrix, Matrix], float], ...] = (
    lambda c, d: 1 / (1 + coral_distance_of(c, d)),
    lambda c, d: 1 - ncoral_of(c, d),
)


def eas_parts(
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seed: int = 42,
    align: str = "procrustes",
    k: int | None = None,
) -> dict[str, float]:
    """Return the parts of `eas`: `linear_cka`, `coral_similarity`, and `discriminability_raw`.

    Without labels, `spread`, at most 1, replaces the last part.
    """
    based = to_shared_basis(x, y, align=align, k=k, groups=groups, seed=seed)
    return _eas_parts(x, y, based, labels=labels)


def _eas_parts(
    x: ArrayLike, y: ArrayLike, based: tuple[Matrix, Matrix], *, labels: ArrayLike | None, **_: Any
) -> dict[str, float]:
    alone = {"spread": min(1.0, spread(x))}
    if labels is not None:
        alone = {"discriminability_raw": discriminability_raw(x, labels)}
    return {"linear_cka": linear_cka(x, y), "coral_similarity": coral_similarity(*based), **alone}


def eas_adjusted_parts(
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 42,
    align: str = "procrustes",
    k: int | None = None,
) -> dict[str, float]:
    """Return the parts of `eas_adjusted`: `calibrated_cka` (at least 0), `1 - ncoral`, `knn above chance`."""
    based = to_shared_basis(x, y, align=align, k=k, groups=groups, seed=seed)
    return _adjusted_parts(x, y, based, labels=labels, groups=groups, seed=seed)


def _adjusted_parts(
    x: ArrayLike,
    y: ArrayLike,
    based: tuple[Matrix, Matrix],
    *,
    labels: ArrayLike,
    groups: ArrayLike | None,
    seed: int,
) -> dict[str, float]:
    return {
        "calibrated_cka": max(0.0, calibrated_cka(x, y)),
        "1 - ncoral": 1 - ncoral(*based),
        "knn above chance": knn_above_chance(x, labels, groups=groups, seed=seed),
    }


def _weighted(parts: Mapping[str, float]) -> float:
    return sum(weight * part for weight, part in zip(WEIGHTS, parts.values(), strict=True))


def _deletions(parts: Callable[..., Mapping[str, float]], name: str) -> Callable[..., Matrix | None]:
    """Return what computes a composite without each block from bases that all composites share."""

    def deletions(
        x: Matrix,
        y: Matrix,
        blocks: Sequence[NDArray[np.intp]],
        *,
        labels: NDArray[np.str_] | None = None,
        groups: NDArray[np.str_],
        seed: int,
        align: str,
        k: int | None,
    ) -> Matrix | None:
        if len(x) <= FEW or align != "procrustes":
            return None
        scores = []
        for stay, based in bases_without(x, y, blocks, align=align, k=k, groups=groups, seed=seed):
            classes = None if labels is None else labels[stay]
            of = parts(x[stay], y[stay], based, labels=classes, groups=groups[stay], seed=seed)
            scores.append(bounded(_weighted(of), (0, 1), name))
        return np.asarray(scores)

    return deletions


def _both_in_basis(x: Matrix, y: Matrix, permutations: NDArray[np.intp], **how: Any) -> Matrix:
    """Return both scores of `IN_BASIS` for each permutation [2, draws]."""
    half = halves(len(x), groups=how["groups"], seed=how["seed"])
    if half is not None and (half[permutations] == half).all():
        of, scores = shuffled_covariances(x, y, permutations, **how), OF_COVARIANCES
    else:
        of, scores = shuffled_bases(x, y, permutations, **how), IN_BASIS
    return np.asarray([[score(*sides) for score in scores] for sides in of]).T


def _null(
    cka: Callable[..., Matrix],
    part: int,
    parts: Callable[..., Mapping[str, float]],
) -> NullModel:
    """Return the null of a composite of a CKA, a score in the shared basis, and a score of x alone.

    Args:
        cka: draws the first part.
        part: which of `IN_BASIS` is the second part.
        parts: the composite's parts.
    """

    def draw(
        x: Matrix,
        y: Matrix,
        permutations: NDArray[np.intp],
        *,
        labels: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        seed: int = 42,
        align: str = "procrustes",
        k: int | None = None,
    ) -> Matrix:
        columns = (labels, "labels"), (groups, "groups")
        given = [None if names is None else names_of(names, len(x), of).tobytes() for names, of in columns]
        fixed = derived(
            (parts.__name__, *given, seed, align, k),
            (x, y),
            lambda: list(parts(x, y, labels=labels, groups=groups, seed=seed, align=align, k=k).values()),
        )
        in_basis: Matrix | float = fixed[1]  # only the fitted map sees the pairing
        if align == "procrustes":
            width = basis_settings(len(x), (x.shape[1], y.shape[1]), align=align, k=k)["k"]
            how = {"k": width, "groups": groups, "seed": seed}
            if len(x) <= FEW:
                bases = shuffled_bases(x, y, permutations, **how)
                in_basis = np.asarray([IN_BASIS[part](*based) for based in bases])
            else:  # the other composite asks for the same permutations
                what = "composites", digest(permutations), given[1], seed, width
                in_basis = derived(what, (x, y), lambda: _both_in_basis(x, y, permutations, **how))[part]
        drawn = np.maximum(0.0, cka(x, y, permutations))
        return np.asarray(WEIGHTS[0] * drawn + WEIGHTS[1] * in_basis + WEIGHTS[2] * fixed[2])

    return NullModel(draw=draw, draws=DRAWS, stream="composites", strata=halves)


def _flags(value: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    saturated = parts["coral_similarity"] > 1 / (1 + SATURATION)
    return (*(["saturated"] if saturated else []), *(["no_labels"] if "spread" in parts else []))


@METRICS.register(
    "eas",
    kind="composite",
    family="composite",
    pairing=True,
    bounds=(0, 1),
    invariant_to=("joint_rotation", "translation"),
    min_n=4,
    same_width=True,
    needs=NEEDS,
    optional=("labels",),
    settings=basis_settings,
    null=_null(linear_cka_draw, 0, eas_parts),
    deletions=_deletions(_eas_parts, "eas"),
    parts=eas_parts,
    flags=_flags,
    squares=4,
)
def eas(
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seed: int = 42,
    align: str = "procrustes",
    k: int | None = None,
) -> float:
    r"""Return the encoder alignment score as published.

    $.3\,\mathrm{linear\_cka} + .3\,\mathrm{coral\_similarity} + .4\,\mathrm{discriminability\_raw}$.

    If CORAL saturates, it ranks like .3 + .3·CKA + .4·disc, and disc never sees the LLM. Without labels, its
    third part is `spread`, at most 1, as published. That is a different quantity: such a score is flagged
    "no_labels" and can't be compared with scores that had labels.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        labels: the class of each row; None if there are no labels.
        groups: the unit of the split that the shared basis needs.
        seed: the seed of that split.
        align: see `to_shared_basis`.
        k: the width of the shared basis.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: bad input.
        DegenerateError: a part does not exist.
    """
    parts = eas_parts(x, y, labels=labels, groups=groups, seed=seed, align=align, k=k)
    return bounded(_weighted(parts), (0, 1), "eas")


@METRICS.register(
    "eas_adjusted",
    kind="composite",
    family="composite",
    pairing=True,
    bounds=(0, 1),
    invariant_to=("joint_rotation", "isotropic_scale", "translation"),
    min_n=10,
    same_width=True,
    needs=("labels", *NEEDS),
    settings=basis_settings,
    null=_null(calibrated_cka_draw, 1, eas_adjusted_parts),
    deletions=_deletions(_adjusted_parts, "eas_adjusted"),
    parts=eas_adjusted_parts,
    squares=4,
)
def eas_adjusted(
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 42,
    align: str = "procrustes",
    k: int | None = None,
) -> float:
    r"""Return EAS with parts that don't saturate and with classes that are separated in many dimensions.

    $.3\max(0, \mathrm{calibrated\ CKA}) + .3(1 - \mathrm{ncoral}) + .4\,\mathrm{kNN\ above\ chance}$. Two of
    its three parts don't see the pairing, so compare it with its value on shuffled pairs.

    Args:
        x: vision side [n, dx], n ≥ 10.
        y: text side [n, dy].
        labels: the class of each row.
        groups: the unit of the split that the shared basis needs.
        seed: the seed of that split.
        align: see `to_shared_basis`.
        k: the width of the shared basis.

    Returns:
        A value in [0, 1].

    Raises:
        InputError: bad input.
        DegenerateError: a part does not exist.
    """
    parts = eas_adjusted_parts(x, y, labels=labels, groups=groups, seed=seed, align=align, k=k)
    return bounded(_weighted(parts), (0, 1), "eas_adjusted")
