"""Vision and text in one picture: an orthogonal map fitted on half of the pairs, shown on the other half."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import DegenerateError
from alignbench.experiments.embedding.space import DRAWS, drawn_groups
from alignbench.experiments.scoring import score_pair
from alignbench.metrics.base import Metric, NullModel
from alignbench.metrics.basis import MIN_TRAIN, SharedBasis, shared_k, shuffled_halves
from alignbench.metrics.checks import check_groups, check_min_n, check_pair
from alignbench.rows import unit_rows
from alignbench.stats import train_half

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.experiments.scoring import Settings
    from alignbench.types import Pair, Score

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The held-out pairs in the shared space.

    Args:
        rows: which rows they are [m].
        x, y: where image and text lie in the two directions that they shared most on the train half [m, 2].
        cosine: of each held-out image with each held-out text, in all k directions [m, m].
    """

    rows: NDArray[np.intp]
    x: Matrix
    y: Matrix
    cosine: Matrix


def overlay(
    x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42, k: int
) -> Overlay:
    """Return held-out pairs, both sides brought to one space by an orthogonal map that never saw them.

    Each side's k principal directions and the orthogonal Procrustes map between them are fitted on the train
    half of the groups. The two directions shown are those of the largest covariance between the sides there:
    the leading singular vectors that the map itself is made of.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        groups: the unit of the split [n]; each row by default.
        seed: of the split.
        k: the width of the space, at least 2.

    Raises:
        TooFewSamplesError: fewer than 20 groups.
        DegenerateError: a side without variance, or of one dimension.
    """
    a, b = check_pair(x, y)
    names = check_groups(groups, len(a))
    check_min_n(count_of(names), 2 * MIN_TRAIN, "groups")
    if k < 2:
        raise DegenerateError(
            f"overlay: expected at least 2 dimensions, got widths {a.shape[1]}, {b.shape[1]}"
        )
    train = train_half(names, seed)
    basis = SharedBasis.fit(a[train], b[train], k)
    directions = _directions(*basis.transform(a[train], b[train]))
    held_x, held_y = basis.transform(a[~train], b[~train])
    return Overlay(
        np.flatnonzero(~train),
        held_x @ directions,
        held_y @ directions,
        unit_rows(held_x) @ unit_rows(held_y).T,
    )


def _directions(x: Matrix, y: Matrix) -> Matrix:
    """Return the two directions [k, 2] that the train half's sides share most, pointing to larger numbers."""
    directions = np.linalg.svd(x.T @ y)[2][:2].T
    turned: Matrix = directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
    return turned


def _residual(x: ArrayLike, y: ArrayLike, **keywords: Any) -> float:
    r"""Return how far image and text of a pair lie apart in the picture, against how far anything lies out.

    $\frac{\|X-Y\|^2}{\|X\|^2+\|Y\|^2}$ of the held-out pairs: 0 where they fall together, about 1 where they
    have nothing to do with each other.
    """
    shown = overlay(x, y, **keywords)
    return _apart(shown.x, shown.y)


def _apart(x: Matrix, y: Matrix) -> float:
    size = np.square(x).sum() + np.square(y).sum()
    if size == 0:
        raise DegenerateError("overlay: zero variance of the held-out half")
    return float(np.square(x - y).sum() / size)


def _shuffled_residuals(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], **keywords: Any
) -> NDArray[np.float64]:
    """Return the residual of x and y[p] for each permutation p; x's own directions are found once."""
    residuals = []
    for train, held_out in shuffled_halves(x, y, permutations, **keywords):
        directions = _directions(*train)
        residuals.append(_apart(held_out[0] @ directions, held_out[1] @ directions))
    return np.asarray(residuals)


def overlay_width(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the width of the overlay's space: as CORAL's for this pair alone, but never below 2 of 2."""
    return {"k": int(k or min(max(2, shared_k(dims, n // 2)), *dims))}


RESIDUAL = Metric(
    "overlay_residual",
    _residual,
    family="shape",
    pairing=True,
    bounds=(0, 2),
    higher_is_better=False,
    needs=("groups", "seed"),
    settings=overlay_width,
    min_n=2 * MIN_TRAIN,
    null=NullModel(draw=_shuffled_residuals, draws=DRAWS, max_groups=300),
    chance=lambda n, codes, settings: 1.0,
)
"""Of the picture itself: fitted anew to every shuffled pairing and without every block of groups."""


def overlay_space(
    pair: Pair, settings: Settings, *, experiment: str
) -> tuple[Score, Mapping[str, NDArray[Any]] | None]:
    """Return `overlay_residual` of a pair and what its picture needs; None where there is no picture."""
    own, cut = drawn_groups(pair, settings.seed)
    # The score draws the same row of every group; from all of them it can say why groups are few.
    score = score_pair(RESIDUAL, own if cut else pair, settings, experiment=experiment)
    if score.value is None:
        return score, None
    if cut:
        score = replace(score, flags=(*score.flags, "subsampled"))
    shown = overlay(
        own.x.values, own.y.values, groups=own.groups, seed=settings.seed, k=int(score.params["k"])
    )
    order = shown.rows[np.argsort(np.asarray(own.labels)[shown.rows], kind="stable")]
    place = np.searchsorted(shown.rows, order)
    return score, {
        "name_x": np.array(own.x.model.label),
        "name_y": np.array(own.y.model.label),
        "x": shown.x[place].astype(np.float32),
        "y": shown.y[place].astype(np.float32),
        "cross": shown.cosine[np.ix_(place, place)].astype(np.float32),
        "labels": np.asarray(own.labels)[order],
        "ids": np.asarray(own.x.ids)[order],
    }
