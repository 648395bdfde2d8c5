"""End to end: after a projector is trained, images that it never saw look for their texts, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError
from alignbench.experiments.trained import course, not_applicable, plan, train_all, trained_score
from alignbench.metrics.retrieval import CUTS, cosine_similarity, mrr_chance, rank_table, recall_chance
from alignbench.projectors import RIDGE
from alignbench.stats import draw_permutations, draw_within, multi_split_p, p_value, rng_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.trained import Outcome, Repeats, Rows
    from alignbench.metrics.retrieval import RankTable
    from alignbench.types import Pair, Score

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.intp]

EXPERIMENT = "e2e"
DIRECTIONS = ("image_to_text", "text_to_image")
MEASURES = (*(f"recall_at_{k}" for k in CUTS), "mrr", "median_rank")
PATIENCE = 30


@dataclass(frozen=True, slots=True)
class _Found:
    """One measure in one direction.

    Args:
        values: [splits, seeds].
        controls: the same of shuffled pairs, re-trained [splits, controls].
        chance: of a guesser, in each split.
        p: of permuted held-out pairs, in each split.
        within_p: the same, permuted within data types; none where there is one type only.
    """

    values: list[list[float]]
    controls: list[list[float]]
    chance: list[float]
    p: list[float]
    within_p: list[float]


def e2e_scores(pair: Pair, loss: str, repeats: Repeats) -> list[Score]:
    """Return recall@1, @5, @10, MRR and median rank in both directions, over splits and seeds.

    A linear projector is solved for the train groups ("ridge"), or trained on them, and stopped by the loss
    of a fifth of them that is watched only. Candidates are all rows of the held-out groups; those of the
    query's own group are right. Cosines are centred on the mean of the train texts, where the projector's own
    training centres them.

    Args:
        pair: the embeddings.
        loss: "ridge", "contrastive", "cosine" or "mse".
        repeats: number of splits, seeds and epochs.
    """
    from alignbench.projectors.fit import Training

    training = Training("linear", loss, epochs=repeats.epochs, patience=PATIENCE)
    repeats = repeats.for_loss(loss)
    variants = [(direction, measure) for direction in DIRECTIONS for measure in MEASURES]
    found = {key: _Found([], [], [], [], []) for key in variants}
    epochs, candidates = [], []
    try:
        for own, shuffled in train_all(
            pair, splits := plan(pair.groups, repeats, early_stopping=loss != RIDGE), training, repeats
        ):
            _rank_split(pair, own, shuffled, repeats, found)
            epochs += [one.epoch for one in own]
        candidates = [int(rows.test.sum()) for rows in splits]
    except DegenerateError as error:
        return [
            not_applicable(pair, m, error, repeats, experiment=EXPERIMENT, **_fields(d, m, loss))
            for d, m in variants
        ]
    params = {
        **course(training, epochs),
        "candidates": float(np.mean(candidates)),
        "centred": "on the train rows' mean of y",
    }
    return [_score(pair, key, one, repeats, params) for key, one in found.items()]


def _fields(direction: str, measure: str, loss: str) -> dict[str, Any]:
    return {"variant": f"{direction} {loss}", "higher_is_better": measure != "median_rank"}


def _score(
    pair: Pair, key: tuple[str, str], found: _Found, repeats: Repeats, params: Mapping[str, Any]
) -> Score:
    direction, measure = key
    rank = measure == "median_rank"
    return trained_score(
        pair,
        measure,
        np.asarray(found.values),
        np.asarray(found.controls),
        repeats,
        experiment=EXPERIMENT,
        bounds=(1.0, np.inf) if rank else (0.0, 1.0),
        p={
            "kind": "mean and std: re-trained on shuffled pairs; p: held-out groups permuted in each split",
            "p": multi_split_p(found.p) if found.p else None,
            "within_p": multi_split_p(found.within_p) if found.within_p else None,
            "draws": repeats.permutations,
        },
        params={"direction": direction, **params},
        chance=float(np.mean(found.chance)),
        **_fields(direction, measure, str(params["loss"])),
    )


def _rank_split(
    pair: Pair,
    own: Sequence[Outcome],
    shuffled: Sequence[Outcome],
    repeats: Repeats,
    found: Mapping[tuple[str, str], _Found],
) -> None:
    """Add what one split's trainings gave."""
    rows = own[0].rows
    groups = np.asarray(pair.groups)[rows.test]
    # Of queries and of candidates alike: in a control, too, text order[i] stands where row i's was.
    codes = codes_of(groups)
    for direction in DIRECTIONS:
        trained, controls = (
            [_ranked(pair, codes, one, direction) for one in some] for some in (own, shuffled)
        )
        for measure in MEASURES:
            add = found[direction, measure]
            add.values.append([_own(measure, codes, table) for table in trained])
            add.controls.append([_own(measure, codes, table) for table in controls])
            add.chance.append(_chance(measure, codes))
        if repeats.permutations:
            _permute(pair, rows, codes, trained, repeats, direction, found)


def _ranked(pair: Pair, codes: Codes, one: Outcome, direction: str) -> RankTable:
    y = pair.y.values[one.order]
    mean = y[one.rows.train].mean(axis=0, dtype=np.float64)
    cosines = cosine_similarity(one.prediction, y[one.rows.test], center=np.stack([mean, mean]))
    return rank_table(cosines if direction == "image_to_text" else cosines.T, codes)


def _cells(measure: str, table: RankTable) -> Matrix:
    """Return what each query gets of the measure with each group as the right one [q, groups]."""
    if measure == "mrr":
        return table.reciprocal
    return table.ranks if measure == "median_rank" else table.hits[int(measure.rpartition("_")[2])]


def _own(measure: str, codes: Codes, table: RankTable) -> float:
    """Return the measure with every query's own group as the right one."""
    each = _cells(measure, table)[np.arange(len(codes)), codes]
    return float(np.median(each) if measure == "median_rank" else each.mean())


def _chance(measure: str, codes: Codes) -> float:
    """Return what a guesser gets; of the median rank the mean of the expected ranks, (n + 1) / (m + 1)."""
    n, positives = len(codes), np.bincount(codes)[codes].tolist()
    if measure == "median_rank":
        return float(np.mean([(n + 1) / (m + 1) for m in positives]))
    if measure == "mrr":
        return float(np.mean([mrr_chance(n, m) for m in positives]))
    return float(np.mean([recall_chance(n, m, int(measure.rpartition("_")[2])) for m in positives]))


def _permute(
    pair: Pair,
    rows: Rows,
    codes: Codes,
    tables: Sequence[RankTable],
    repeats: Repeats,
    direction: str,
    found: Mapping[tuple[str, str], _Found],
) -> None:
    """Add the split's p of every measure: of the mean over seeds, with held-out groups exchanged."""
    labels = np.asarray(pair.labels)[rows.test]
    first = np.unique(codes, return_index=True)[1]
    types = codes_of(labels[first])
    rng = rng_for(repeats.seed, f"held-out pairs of split {rows.number}")
    drawn = draw_permutations(len(first), repeats.permutations, rng)
    inside = (
        draw_within(types, repeats.permutations, rng) if 1 < len(set(types.tolist())) < len(first) else None
    )
    for measure in MEASURES:
        cells = np.stack([_cells(measure, table) for table in tables])
        one = found[direction, measure]
        value = float(np.mean(one.values[-1]))
        for orders, p_values in ((drawn, one.p), (inside, one.within_p)):
            if orders is not None:
                null = _looked_up(measure, cells, codes, orders)
                p_values.append(p_value(value, null, higher_is_better=measure != "median_rank"))


def _looked_up(measure: str, cells: Matrix, codes: Codes, orders: Codes) -> Matrix:
    """Return the measure, the mean over seeds, for each order of the groups [draws]."""
    queries = np.arange(len(codes))
    if measure != "median_rank":
        cells = cells.mean(axis=0, keepdims=True)
    total = np.zeros(len(orders))
    for table in cells:
        picked = table[queries, orders[:, codes]]
        total += np.median(picked, axis=1) if measure == "median_rank" else picked.mean(axis=1)
    return total / len(cells)
