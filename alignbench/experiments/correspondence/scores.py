"""The C score: how many keypoints the most similar patch of another image finds."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets.synthetic import HELD_OUT_SEED
from alignbench.datasets.synthetic.recurring import recurring_objects
from alignbench.encoders import Encoder
from alignbench.errors import InputError
from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.scoring import drawn_null
from alignbench.metrics.correspondence import nearest_patches, patch_centres, point_features, within_reach
from alignbench.metrics.localisation import grid_of
from alignbench.rows import unit_rows
from alignbench.stats import jackknife_interval, rng_for
from alignbench.types import Score

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.datasets.keypoints import KeypointPair, KeypointPairs
    from alignbench.experiments.base import Bench
    from alignbench.experiments.scoring import Settings
    from alignbench.hidden import Patches
    from alignbench.weights.custom import Custom

    Array = NDArray[np.float64]
    Grid = tuple[int, int]

ALPHA = 0.10
DRAWN = 80  # pairs of drawings
OTHERS = 20  # targets of other pairs in which the keypoints of each are looked for, too
SHOWN = 3  # pairs in the figure
LEAST_UNITS = 20  # for an interval, as for other scores
FINE_ENOUGH = 0.9  # of the keypoints have a patch that would be correct


def pairs_of(bench: Bench) -> KeypointPairs:
    """Return the pairs of the run: those of the folder that the user names, or drawn ones."""
    folder, most = bench.option("keypoints"), bench.option("n_samples")
    return _pairs(folder, None if most == "all" else most, bench.settings.seed)


def drawn_pairs() -> KeypointPairs:
    """Return the drawn pairs, which are the same for every run."""
    return recurring_objects(DRAWN, HELD_OUT_SEED)


@lru_cache(maxsize=2)
def _pairs(folder: Path | None, most: int | None, seed: int) -> KeypointPairs:
    if folder is None:
        return drawn_pairs()
    from alignbench.datasets.spair import read_spair

    return read_spair(folder, most, seed)


def grid_size(encoder: Encoder | Custom, patches: Patches) -> Grid:
    """Return rows and columns of the patches of a whole image, squashed to the encoder's input.

    Raises:
        NotApplicableError: they make no grid.
    """
    pixels = encoder.varied(fit="squash").pixels if isinstance(encoder, Encoder) else None
    count, size = patches.values.shape[1], (1, 1) if pixels is None else pixels.size
    try:
        rows, columns = grid_of(count, size)
    except InputError as error:
        raise NotApplicableError(f"{patches.model.label}: {error}") from error
    if pixels is None and rows != columns:
        raise NotApplicableError(f"{patches.model.label}: {count} patches make no square grid")
    return rows, columns


def c_score(patches: Patches, grid: Grid, data: KeypointPairs, settings: Settings) -> Score:
    """Return the share of keypoints that the most similar patch finds, a mean over pairs of images.

    Its null looks for the keypoints of each pair in the target of another pair, and judges what is found by
    the places in the own target: it is what the position in the image, and places that attract every match,
    find by themselves.

    Args:
        patches: of the images of the pairs.
        grid: rows and columns of patches.
        data: the pairs.
        settings: the seed, and the draws of the null.
    """
    count = len(data.pairs)
    near = [_near(pair, data, grid) for pair in data.pairs]
    hits = hit_table(patches, grid, data, other_targets(count, settings.seed))
    of_pairs, others = hits[:, 0], hits[:, 1:]
    value = float(of_pairs.mean())
    null = None
    if others.size:
        rng = rng_for(settings.seed, "targets of other pairs")
        columns = rng.integers(others.shape[1], size=(settings.draws, count))
        drawn = others[np.arange(count), columns].mean(axis=1)
        null = drawn_null("targets of other pairs", value, drawn, float(others.mean()))
    deletions = without_each(of_pairs, data.units)
    flags, interval = [], None
    if len(deletions) >= LEAST_UNITS:
        unit = "pairs" if len(data.units[0]) == 1 else "images"
        interval = jackknife_interval(value, deletions, bounds=(0.0, 1.0), method=f"jackknife over {unit}")
    else:
        flags.append("n_too_small")
    ceiling = float(np.mean([places.any(axis=1).mean() for places in near]))
    if ceiling < FINE_ENOUGH:
        flags.append("coarse_patches")
    info = patches.model
    return Score(
        experiment="correspondence",
        metric="c_score",
        value=value,
        encoder=info.label,
        llm=None,
        dataset=data.images.label,
        n=count,
        dims=(patches.values.shape[2],),
        chance=float(np.mean([places.mean() for places in near])),
        null=null,
        interval=interval,
        deletions=deletions if interval else (),
        flags=tuple(flags),
        seed=settings.seed,
        weights={info.label: info.weights},
        params={
            "alpha": ALPHA,
            "grid": grid,
            "keypoints": sum(len(pair.points) for pair in data.pairs),
            "ceiling": ceiling,
            **_by_category(of_pairs, data),
            "preprocessing": {info.label: dict(info.params)},
        },
    )


def hit_table(patches: Patches, grid: Grid, data: KeypointPairs, others: NDArray[np.intp]) -> Array:
    """Return the share of keypoints found, of each pair in its own target and in those of others: [n, 1 + m].

    Args:
        patches: of the images.
        grid: rows and columns of patches.
        data: the pairs.
        others: for each pair, the numbers of m other pairs [n, m].
    """
    features = [_features(pair, patches, data, grid) for pair in data.pairs]
    near = [_near(pair, data, grid) for pair in data.pairs]
    looked_up: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, pair in enumerate(data.pairs):
        targets = (pair.images[1], *(data.pairs[other].images[1] for other in others[number]))
        for column, target in enumerate(targets):
            looked_up[target].append((number, column))
    table = np.empty((len(data.pairs), 1 + others.shape[1]))
    for target, wanted in looked_up.items():
        sought = np.concatenate([features[number] for number, _ in wanted])
        ends = np.cumsum([len(features[number]) for number, _ in wanted])[:-1]
        found = np.split(nearest_patches(sought, patches.values[target]), ends)
        for (number, column), weights in zip(wanted, found, strict=True):
            table[number, column] = (weights * near[number]).sum(axis=1).mean()
    return table


def other_targets(count: int, seed: int) -> NDArray[np.intp]:
    """Return for each of `count` pairs the numbers of up to 20 others, drawn without repetition: [n, m]."""
    most = min(OTHERS, count - 1)
    rng = rng_for(seed, "other targets")
    rows = [rng.choice(count - 1, most, replace=False) for _ in range(count)]
    others = np.asarray(rows, dtype=np.intp).reshape(count, most)
    return others + (others >= np.arange(count)[:, None])


def without_each(values: Array, units: tuple[tuple[int, ...], ...]) -> tuple[float, ...]:
    """Return the mean without all pairs of a unit, for each unit of which others are left."""
    pairs = defaultdict(list)
    for number, of_pair in enumerate(units):
        for unit in of_pair:
            pairs[unit].append(number)
    total, count = values.sum(), len(values)
    return tuple(
        float((total - values[numbers].sum()) / (count - len(numbers)))
        for numbers in pairs.values()
        if len(numbers) < count
    )


def match_arrays(patches: Patches, grid: Grid, data: KeypointPairs) -> dict[str, NDArray[Any]]:
    """Return what a figure shows of the first pairs: both images, each keypoint and where it is found."""
    shown, rows, pictures = _shown(data), [], []
    for place, pair in enumerate(shown):
        weights = nearest_patches(_features(pair, patches, data, grid), patches.values[pair.images[1]])
        right = (weights * _near(pair, data, grid)).sum(axis=1)
        found = weights @ patch_centres(grid)
        source, truth = (
            points / data.sizes[row]
            for row, points in zip(pair.images, (pair.points, pair.truths), strict=True)
        )
        rows += [(place, *line) for line in np.column_stack([source, truth, found, right]).tolist()]
        both = [data.images.samples[row].open_image().resize((224, 224)) for row in pair.images]
        pictures.append([np.asarray(image) for image in both])
    table = np.asarray(rows)
    return {
        "encoder": np.array(patches.model.label),
        "images": np.asarray(pictures),
        "pair": table[:, 0].astype(np.intp),
        "source": table[:, 1:3],
        "truth": table[:, 3:5],
        "found": table[:, 5:7],
        "right": table[:, 7],
    }


def _shown(data: KeypointPairs) -> list[KeypointPair]:
    """Return the first pair of each of some categories, or the first pairs if there are fewer categories."""
    firsts = {pair.category: pair for pair in reversed(data.pairs)}
    chosen = list(firsts.values()) if len(firsts) >= SHOWN else list(data.pairs)
    return chosen[:SHOWN]


def _features(pair: KeypointPair, patches: Patches, data: KeypointPairs, grid: Grid) -> Array:
    row = pair.images[0]
    points = np.clip(pair.points / data.sizes[row], 0.0, 1.0)
    return unit_rows(point_features(patches.values[row], grid, points))


def _near(pair: KeypointPair, data: KeypointPairs, grid: Grid) -> NDArray[np.bool_]:
    return within_reach(grid, data.sizes[pair.images[1]], pair.truths, ALPHA * pair.side)


def _by_category(of_pairs: Array, data: KeypointPairs) -> dict[str, Any]:
    values: dict[str, list[float]] = defaultdict(list)
    for pair, value in zip(data.pairs, of_pairs.tolist(), strict=True):
        values[pair.category].append(value)
    means = {category: float(np.mean(of)) for category, of in values.items()}
    return {"by_category": means} if len(means) > 1 else {}
