"""Vision and text in one picture: an orthogonal map, fitted on half of the pairs and shown on the others."""

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
        rows: the rows that are held out [m].
        x, y: the places of image and text in the two directions that the train halves share most [m, 2].
        cosine: the cosine of each held-out image with each held-out text, in all k directions [m, m].
    """

    rows: NDArray[np.intp]
    x: Matrix
    y: Matrix
    cosine: Matrix


def overlay(
    x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42, k: int
) -> Overlay:
    """Return held-out pairs, brought to one space by an orthogonal map that was fitted on other pairs.

    Each side's k principal directions and the orthogonal Procrustes map between them are fitted on the train
    half of the groups. The two directions shown are those with the largest covariance between the train
    halves of both sides, the leading singular vectors of the map.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        groups: the group of each row [n], which the split keeps together; None makes each row a group.
        seed: the seed of the split.
        k: the width of the space, at least 2.

    Raises:
        TooFewSamplesError: there are fewer than 20 groups.
        DegenerateError: a side has no variance, or only one dimension.
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
    """Return the two directions [k, 2] that the train halves share most, with positive sums."""
    directions = np.linalg.svd(x.T @ y)[2][:2].T
    turned: Matrix = directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
    return turned


def _residual(x: ArrayLike, y: ArrayLike, **keywords: Any) -> float:
    r"""Return how far image and text of a pair lie apart in the picture, relative to its size.

    $\frac{\|X-Y\|^2}{\|X\|^2+\|Y\|^2}$ of the held-out pairs: 0 if they fall together, about 1 if they are
    unrelated.
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
    """Return the residual of x and y[p] for each permutation p; the directions of x are computed once."""
    residuals = []
    for train, held_out in shuffled_halves(x, y, permutations, **keywords):
        directions = _directions(*train)
        residuals.append(_apart(held_out[0] @ directions, held_out[1] @ directions))
    return np.asarray(residuals)


def overlay_width(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the width of the overlay's space: that of CORAL for this pair, but at least 2 if possible."""
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
"""The metric of the picture; its map is fitted again for every shuffled pairing and every deleted block."""


def overlay_space(
    pair: Pair, settings: Settings, *, experiment: str
) -> tuple[Score, Mapping[str, NDArray[Any]] | None]:
    """Return `overlay_residual` of a pair, and the arrays of its picture or None if there is no picture."""
    sample, cut = drawn_groups(pair, settings.seed)
    # The score draws the same row of every group; given all rows, it can also say why there are few groups.
    score = score_pair(RESIDUAL, sample if cut else pair, settings, experiment=experiment)
    if score.value is None:
        return score, None
    if cut:
        score = replace(score, flags=(*score.flags, "subsampled"))
    shown = overlay(
        sample.x.values, sample.y.values, groups=sample.groups, seed=settings.seed, k=int(score.params["k"])
    )
    order = shown.rows[np.argsort(np.asarray(sample.labels)[shown.rows], kind="stable")]
    place = np.searchsorted(shown.rows, order)
    return score, {
        "name_x": np.array(sample.x.model.label),
        "name_y": np.array(sample.y.model.label),
        "x": shown.x[place].astype(np.float32),
        "y": shown.y[place].astype(np.float32),
        "cross": shown.cosine[np.ix_(place, place)].astype(np.float32),
        "labels": np.asarray(sample.labels)[order],
        "ids": np.asarray(sample.x.ids)[order],
    }
