"""The embedding space of one model in two dimensions, and how far the picture can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError
from alignbench.experiments.embedding.neighborhoods import MEASURES, Neighborhood, chance, neighbors_for
from alignbench.experiments.layouts import USUAL, Layout, Reach, layout
from alignbench.experiments.scoring import drawn_null
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

MOST_GROUPS = 1000  # as many as a scatter plot can show and a matrix of all distances can hold
DRAWS = 199


def drawn_groups(pair: Pair, seed: int) -> tuple[Pair, bool]:
    """Return one sample each of at most 1,000 groups, and whether groups were left out.

    Several texts of one image become a single point, since otherwise they would be each other's neighbours.
    """
    rows = one_per_group(np.asarray(pair.groups), seed)
    if len(rows) <= MOST_GROUPS:
        return pair.take(rows), False
    kept = rng_for(seed, "embedding").permutation(len(rows))[:MOST_GROUPS]
    return pair.take(rows[np.sort(kept)]), True


@dataclass(frozen=True, slots=True)
class Space:
    """One model's layout by one method: its scores, and its arrays or None if there is no layout."""

    scores: tuple[Score, ...]
    arrays: Mapping[str, NDArray[Any]] | None


def embedding_space(
    side: Pair, method: str, settings: Settings, *, experiment: str, reach: Reach = USUAL
) -> Space:
    """Return the layout of one side with `trustworthiness` and `continuity`; the variant is the method.

    Args:
        side: a model with itself, as the fixture `vision_side` provides it.
        method: "tsne", "umap" or "pca".
        settings: the seed and the number of shuffled layouts.
        experiment: the experiment that the scores are filed under.
        reach: the perplexity of t-SNE and the neighbours of UMAP.

    Raises:
        InputError: the embeddings are not finite.
    """
    sample, cut = drawn_groups(side, settings.seed)
    common = _common(sample, method, settings.seed, experiment)
    try:
        flat = layout(sample.x.values, method, settings.seed, reach)
    except DegenerateError as error:
        reason = why_not(error, Sharing.of_pair(side))
        missing: dict[str, Any] = {"value": None, "status": "not_applicable", "reason": reason}
        return Space(tuple(Score(metric=metric, **missing, **common) for metric in MEASURES), None)
    arrays = {
        "name": np.array(sample.x.model.label),
        "method": np.array(method),
        "points": flat.points.astype(np.float32),
        "labels": np.asarray(sample.labels),
        "ids": np.asarray(sample.x.ids),
    }
    return Space(tuple(_scores(sample, flat, settings, common, ("subsampled",) if cut else ())), arrays)


def _common(sample: Pair, method: str, seed: int, experiment: str) -> dict[str, Any]:
    model = sample.x.model
    return {
        "experiment": experiment,
        "variant": method,
        "encoder": model.label if model.side == "vision" else None,
        "llm": model.label if model.side == "text" else None,
        "dataset": sample.dataset,
        "n": len(sample),
        "dims": (sample.x.dim,),
        "seed": seed,
        "weights": {model.label: model.weights},
        "params": {"mode": model.side, "preprocessing": {model.label: dict(model.params)}, "method": method},
    }


def _scores(
    sample: Pair, flat: Layout, settings: Settings, common: dict[str, Any], flags: tuple[str, ...]
) -> list[Score]:
    """Return both measures of the layout, with a null that exchanges the samples of the layout."""
    n, k = len(sample), neighbors_for(len(sample))
    space = Neighborhood.of(sample.x.values.astype(np.float64))
    picture = Neighborhood.of(flat.points)
    draws = DRAWS if settings.permutations is None else settings.permutations
    anywhere = draw_permutations(n, draws, rng_for(settings.seed, "layout"))
    shuffled: list[list[Neighborhood]] = [[picture.permuted(p) for p in anywhere], []]
    if 1 < len(set(sample.labels)) < n:
        rng = rng_for(settings.seed, "layout within classes")
        shuffled[1] = [picture.permuted(p) for p in draw_within(codes_of(sample.labels), draws, rng)]
    scores = []
    for metric, measure in MEASURES.items():
        each = measure(space, picture, k)
        drawn = [np.asarray([measure(space, other, k).mean() for other in many]) for many in shuffled]
        value = float(each.mean())
        deletions = _deletions(each, np.asarray(sample.groups), settings.seed)
        interval = None
        if deletions:
            method = "jackknife over groups, layout kept"
            interval = jackknife_interval(value, deletions, bounds=(0, 1), method=method)
        scores.append(
            Score(
                metric=metric,
                value=value,
                null=_null(value, *drawn) if draws else None,
                interval=interval,
                deletions=deletions,
                chance=chance(n, k),
                flags=flags if deletions else (*flags, "n_too_small"),
                **{**common, "params": {**common["params"], **flat.params, "n_neighbors_scored": k}},
            )
        )
    return scores


def _deletions(each: NDArray[np.float64], groups: NDArray[np.str_], seed: int) -> tuple[float, ...]:
    """Return the mean without each block of groups; the layout and the neighbours stay the same."""
    if len(each) < MIN_GROUPS:
        return ()
    return tuple(float(np.delete(each, block).mean()) for block in deletion_blocks(groups, "jackknife", seed))


def _null(value: float, drawn: NDArray[np.float64], within: NDArray[np.float64]) -> Null:
    """Return the null of a layout whose samples are exchanged; `within` is empty if there is one class."""
    return drawn_null(
        "permutation of the layout's samples",
        value,
        drawn,
        within_mean=float(within.mean()) if len(within) else None,
        within_p=p_value(value, within) if len(within) else None,
    )
