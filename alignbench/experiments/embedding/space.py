"""The embedding space of one model in two dimensions, and how far the picture can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError
from alignbench.experiments.embedding.neighborhoods import MEASURES, Neighborhood, chance, neighbors_for
from alignbench.experiments.layouts import USUAL, Layout, Reach, layout
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.stats import (
    deletion_blocks,
    draw_permutations,
    draw_within,
    jackknife_interval,
    one_per_group,
    p_value,
    rng_for,
)
from alignbench.stats.interval import MIN_GROUPS
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alignbench.experiments.scoring import Settings
    from alignbench.types import Pair

MOST_GROUPS = 1000  # what a scatter can show, and distances of all with all can hold
DRAWS = 199


def drawn_groups(pair: Pair, seed: int) -> tuple[Pair, bool]:
    """Return one sample of every group, of at most 1,000 groups, and whether groups were left out.

    Several texts of one image are one point: as several they would be each other's neighbours.
    """
    rows = one_per_group(np.asarray(pair.groups), seed)
    if len(rows) <= MOST_GROUPS:
        return pair.take(rows), False
    kept = rng_for(seed, "embedding").permutation(len(rows))[:MOST_GROUPS]
    return pair.take(rows[np.sort(kept)]), True


@dataclass(frozen=True, slots=True)
class Space:
    """One model's layout by one method: its scores, and the points where there is a layout."""

    scores: tuple[Score, ...]
    arrays: Mapping[str, NDArray[Any]] | None


def embedding_space(
    side: Pair, method: str, settings: Settings, *, experiment: str, reach: Reach = USUAL
) -> Space:
    """Return the layout of one side with `trustworthiness` and `continuity`; the variant is the method.

    Args:
        side: a model with itself, as `vision_side` gives it.
        method: "tsne", "umap" or "pca".
        settings: seed, and the number of shuffled layouts.
        experiment: what the scores are filed under.
        reach: t-SNE's perplexity and UMAP's neighbours.

    Raises:
        InputError: embeddings that are not finite.
    """
    own, cut = drawn_groups(side, settings.seed)
    common = _common(own, method, settings.seed, experiment)
    try:
        found = layout(own.x.values, method, settings.seed, reach)
    except DegenerateError as error:
        reason = why_not(error, Sharing.of_pair(side))
        missing: dict[str, Any] = {"value": None, "status": "not_applicable", "reason": reason}
        return Space(tuple(Score(metric=metric, **missing, **common) for metric in MEASURES), None)
    arrays = {
        "name": np.array(own.x.model.label),
        "method": np.array(method),
        "points": found.points.astype(np.float32),
        "labels": np.asarray(own.labels),
        "ids": np.asarray(own.x.ids),
    }
    return Space(tuple(_scores(own, found, settings, common, ("subsampled",) if cut else ())), arrays)


def _common(own: Pair, method: str, seed: int, experiment: str) -> dict[str, Any]:
    model = own.x.model
    return {
        "experiment": experiment,
        "variant": method,
        "encoder": model.label if model.side == "vision" else None,
        "llm": model.label if model.side == "text" else None,
        "dataset": own.dataset,
        "n": len(own),
        "dims": (own.x.dim,),
        "seed": seed,
        "weights": {model.label: model.weights},
        "params": {"mode": model.side, "preprocessing": {model.label: dict(model.params)}, "method": method},
    }


def _scores(
    own: Pair, found: Layout, settings: Settings, common: dict[str, Any], flags: tuple[str, ...]
) -> list[Score]:
    """Return both measures of the layout, against the same layout with its samples exchanged."""
    n, k = len(own), neighbors_for(len(own))
    space = Neighborhood.of(own.x.values.astype(np.float64))
    picture = Neighborhood.of(found.points)
    draws = DRAWS if settings.permutations is None else settings.permutations
    anywhere = draw_permutations(n, draws, rng_for(settings.seed, "layout"))
    codes = codes_of(own.labels)
    within = draw_within(codes, draws, rng_for(settings.seed, "layout within classes"))
    classes = 1 < len(set(own.labels)) < n
    shuffled = [
        [picture.permuted(p) for p in permutations] for permutations in (anywhere, within if classes else ())
    ]
    scores = []
    for metric, measure in MEASURES.items():
        each = measure(space, picture, k)
        drawn = [np.asarray([measure(space, other, k).mean() for other in many]) for many in shuffled]
        value = float(each.mean())
        deletions = _deletions(each, np.asarray(own.groups), settings.seed)
        interval = (
            jackknife_interval(value, deletions, bounds=(0, 1), method="jackknife over groups, layout kept")
            if deletions
            else None
        )
        scores.append(
            Score(
                metric=metric,
                value=value,
                null=_null(value, *drawn) if draws else None,
                interval=interval,
                deletions=deletions,
                chance=chance(n, k),
                flags=(*flags, *(() if deletions else ("n_too_small",))),
                **{**common, "params": {**common["params"], **found.params, "n_neighbors_scored": k}},
            )
        )
    return scores


def _deletions(each: NDArray[np.float64], groups: NDArray[np.str_], seed: int) -> tuple[float, ...]:
    """Return the mean without each block of groups; the layout stays, and so do the neighbours."""
    if len(each) < MIN_GROUPS:
        return ()
    return tuple(float(np.delete(each, block).mean()) for block in deletion_blocks(groups, "jackknife", seed))


def _null(value: float, drawn: NDArray[np.float64], within: NDArray[np.float64]) -> Null:
    """Return what the layout gives when its samples are exchanged; `within` is empty for one class."""
    mean, std = float(drawn.mean()), float(drawn.std(ddof=1))
    return Null(
        kind="permutation of the layout's samples",
        mean=mean,
        std=std,
        z=(value - mean) / std if std else None,
        p=p_value(value, drawn),
        draws=len(drawn),
        within_mean=float(within.mean()) if len(within) else None,
        within_p=p_value(value, within) if len(within) else None,
    )
