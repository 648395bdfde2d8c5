"""Weighted sums of other scores: EAS as published, and a form without its known faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import names_of
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.basis import basis_settings, halves, to_shared_basis
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import as_matrix, bounded, check_groups, check_pair
from alignbench.metrics.cka import calibrated, calibrated_cka, linear_cka
from alignbench.metrics.classes import discriminability_raw, knn_above_chance, spread
from alignbench.metrics.classes_left import discriminability_raw_left, knn_above_chance_left
from alignbench.metrics.coral import SATURATION, coral_similarity, ncoral
from alignbench.metrics.derived import derived
from alignbench.metrics.sums import LinearSums
from alignbench.metrics.weighted import Composite, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

NEEDS = ("groups", "seed")
DRAWS = 199


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

    def compute() -> dict[str, float]:
        based = to_shared_basis(x, y, align=align, k=k, groups=groups, seed=seed)
        third = "spread" if labels is None else "discriminability_raw"
        return {
            "linear_cka": linear_cka(x, y),
            "coral_similarity": coral_similarity(*based),
            third: _separated(x, labels=labels),
        }

    return _once("eas", x, y, labels, groups, (seed, align, k), compute)


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

    def compute() -> dict[str, float]:
        based = to_shared_basis(x, y, align=align, k=k, groups=groups, seed=seed)
        return {
            "calibrated_cka": max(0.0, calibrated_cka(x, y)),
            "1 - ncoral": 1 - ncoral(*based),
            "knn above chance": _knn(x, labels, groups, seed),
        }

    return _once("eas_adjusted", x, y, labels, groups, (seed, align, k), compute)


def _once(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    labels: ArrayLike | None,
    groups: ArrayLike | None,
    settings: tuple[Any, ...],
    compute: Callable[[], dict[str, float]],
) -> dict[str, float]:
    """Return the parts, which value, null and report ask for, computed once."""
    a, b = check_pair(x, y, 2)
    columns = (labels, "labels"), (groups, "groups")
    given = [None if names is None else names_of(names, len(a), of).tobytes() for names, of in columns]
    return dict(derived(("parts", name, *given, *settings), (a, b), compute))


def _separated(x: ArrayLike, *, labels: ArrayLike | None) -> float:
    return min(1.0, spread(x)) if labels is None else discriminability_raw(x, labels)


def _separated_left(
    x: Matrix, blocks: Sequence[Indices], *, labels: NDArray[np.str_] | None, **_: Any
) -> Iterator[float]:
    if labels is not None:
        yield from discriminability_raw_left(x, blocks, labels)
        return
    for block in blocks:
        yield _separated(np.delete(x, block, axis=0), labels=None)


def _knn(x: ArrayLike, labels: ArrayLike, groups: ArrayLike | None, seed: int) -> float:
    a = as_matrix(x)
    if len(a) <= FEW:
        return knn_above_chance(a, labels, groups=groups, seed=seed)
    whole = [np.empty(0, dtype=np.intp)]
    classes, names = names_of(labels, len(a), "labels"), check_groups(groups, len(a))
    return next(knn_above_chance_left(a, whole, labels=classes, groups=names, seed=seed))


_EAS = Composite("eas", eas_parts, LinearSums.linear_cka, lambda x, y, drawn: drawn, 0, _separated_left)
_ADJUSTED = Composite(
    "eas_adjusted",
    eas_adjusted_parts,
    lambda sums: max(0.0, sums.calibrated_cka()),
    calibrated,
    1,
    knn_above_chance_left,
)


def _null(composite: Composite) -> NullModel:
    return NullModel(draw=composite.draw, draws=DRAWS, stream="composites", strata=halves)


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
    null=_null(_EAS),
    deletions=_EAS.deletions,
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
    return bounded(weighted(parts.values()), (0, 1), "eas")


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
    null=_null(_ADJUSTED),
    deletions=_ADJUSTED.deletions,
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
    return bounded(weighted(parts.values()), (0, 1), "eas_adjusted")
