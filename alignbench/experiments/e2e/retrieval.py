"""End to end: after a projector is trained, held-out images look for their texts, and texts for images."""

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

    from alignbench.experiments.repeats import Repeats
    from alignbench.experiments.trained import Outcome, Rows
    from alignbench.metrics.retrieval import RankTable
    from alignbench.types import Pair, Score

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.intp]

EXPERIMENT = "e2e"
DIRECTIONS = ("image_to_text", "text_to_image")
MEASURES = (*(f"recall_at_{k}" for k in CUTS), "mrr", "median_rank")
PATIENCE = 30


@dataclass(frozen=True, slots=True)
class _Measurements:
    """The values of one measure in one direction.

    Args:
        values: [splits, seeds].
        controls: the values after training on shuffled pairs [splits, controls].
        chance: the value of a guesser in each split.
        p: p from permuted held-out pairs in each split.
        within_p: the same, permuted within data types; empty if there is only one type.
    """

    values: list[list[float]]
    controls: list[list[float]]
    chance: list[float]
    p: list[float]
    within_p: list[float]


def e2e_scores(pair: Pair, loss: str, repeats: Repeats) -> list[Score]:
    """Return recall@1, @5, @10, MRR and median rank in both directions, over splits and seeds.

    A linear projector is solved for the train groups ("ridge"), or trained on four fifths of them and stopped
    by the loss on the rest. Candidates are all rows of the held-out groups; those of the query's own group
    are right. Cosines are centred on the mean of the train texts, as in the training of the projector.

    Args:
        pair: the embeddings.
        loss: "ridge", "contrastive", "cosine" or "mse".
        repeats: number of splits, seeds and epochs.
    """
    from alignbench.projectors.fit import Training

    training = Training("linear", loss, epochs=repeats.epochs, patience=PATIENCE)
    repeats = repeats.for_loss(loss)
    variants = [(direction, measure) for direction in DIRECTIONS for measure in MEASURES]
    measured = {key: _Measurements([], [], [], [], []) for key in variants}
    epochs = []
    try:
        splits = plan(pair.groups, repeats, early_stopping=loss != RIDGE)
        for true, shuffled in train_all(pair, splits, training, repeats):
            _rank_split(pair, true, shuffled, repeats, measured)
            epochs += [outcome.epoch for outcome in true]
    except DegenerateError as error:
        return [
            not_applicable(pair, m, error, repeats, experiment=EXPERIMENT, **_fields(d, m, loss))
            for d, m in variants
        ]
    params = {
        **course(training, epochs),
        "candidates": float(np.mean([rows.test.sum() for rows in splits])),
        "centred": "on the train rows' mean of y",
    }
    return [_score(pair, key, of_key, repeats, params) for key, of_key in measured.items()]


def _fields(direction: str, measure: str, loss: str) -> dict[str, Any]:
    return {"variant": f"{direction} {loss}", "higher_is_better": measure != "median_rank"}


def _score(
    pair: Pair, key: tuple[str, str], measured: _Measurements, repeats: Repeats, params: Mapping[str, Any]
) -> Score:
    direction, measure = key
    rank = measure == "median_rank"
    return trained_score(
        pair,
        measure,
        np.asarray(measured.values),
        np.asarray(measured.controls),
        repeats,
        experiment=EXPERIMENT,
        bounds=(1.0, np.inf) if rank else (0.0, 1.0),
        p={
            "kind": "mean and std: re-trained on shuffled pairs; p: held-out groups permuted in each split",
            "p": multi_split_p(measured.p) if measured.p else None,
            "within_p": multi_split_p(measured.within_p) if measured.within_p else None,
            "draws": repeats.permutations,
        },
        params={"direction": direction, **params},
        chance=float(np.mean(measured.chance)),
        **_fields(direction, measure, str(params["loss"])),
    )


def _rank_split(
    pair: Pair,
    true: Sequence[Outcome],
    shuffled: Sequence[Outcome],
    repeats: Repeats,
    measured: Mapping[tuple[str, str], _Measurements],
) -> None:
    """Add the values of one split's trainings to the measurements."""
    rows = true[0].rows
    # These codes hold for queries and candidates, even in a control, whose text order[i] replaces text i.
    codes = codes_of(np.asarray(pair.groups)[rows.test])
    for direction in DIRECTIONS:
        trained = [_rank(pair, codes, outcome, direction) for outcome in true]
        controls = [_rank(pair, codes, outcome, direction) for outcome in shuffled]
        for measure in MEASURES:
            add = measured[direction, measure]
            add.values.append([_own(measure, codes, table) for table in trained])
            add.controls.append([_own(measure, codes, table) for table in controls])
            add.chance.append(_chance(measure, codes))
        if repeats.permutations:
            _permute(pair, rows, codes, trained, repeats, direction, measured)


def _rank(pair: Pair, codes: Codes, outcome: Outcome, direction: str) -> RankTable:
    y = pair.y.values[outcome.order]
    mean = y[outcome.rows.train].mean(axis=0, dtype=np.float64)
    cosines = cosine_similarity(outcome.prediction, y[outcome.rows.test], center=np.stack([mean, mean]))
    return rank_table(cosines if direction == "image_to_text" else cosines.T, codes)


def _cells(measure: str, table: RankTable) -> Matrix:
    """Return the measure of each query with each group taken as the right one [q, groups]."""
    if measure == "mrr":
        return table.reciprocal
    return table.ranks if measure == "median_rank" else table.hits[int(measure.rpartition("_")[2])]


def _own(measure: str, codes: Codes, table: RankTable) -> float:
    """Return the measure with every query's own group taken as the right one."""
    each = _cells(measure, table)[np.arange(len(codes)), codes]
    return float(np.median(each) if measure == "median_rank" else each.mean())


def _chance(measure: str, codes: Codes) -> float:
    """Return the measure of a guesser; for the median rank, the mean expected rank (n + 1) / (m + 1)."""
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
    measured: Mapping[tuple[str, str], _Measurements],
) -> None:
    """Add the split's p of every measure's mean over seeds, with held-out groups exchanged."""
    labels = np.asarray(pair.labels)[rows.test]
    first = np.unique(codes, return_index=True)[1]
    types = codes_of(labels[first])
    rng = rng_for(repeats.seed, f"held-out pairs of split {rows.number}")
    drawn = draw_permutations(len(first), repeats.permutations, rng)
    inside = None
    if 1 < len(set(types.tolist())) < len(first):
        inside = draw_within(types, repeats.permutations, rng)
    for measure in MEASURES:
        cells = np.stack([_cells(measure, table) for table in tables])
        add = measured[direction, measure]
        value = float(np.mean(add.values[-1]))
        for orders, p_values in ((drawn, add.p), (inside, add.within_p)):
            if orders is not None:
                null = _permuted_values(measure, cells, codes, orders)
                p_values.append(p_value(value, null, higher_is_better=measure != "median_rank"))


def _permuted_values(measure: str, cells: Matrix, codes: Codes, orders: Codes) -> Matrix:
    """Return the measure's mean over seeds for each order of the groups [draws]."""
    queries = np.arange(len(codes))
    if measure != "median_rank":
        cells = cells.mean(axis=0, keepdims=True)
    total = np.zeros(len(orders))
    for table in cells:
        picked = table[queries, orders[:, codes]]
        total += np.median(picked, axis=1) if measure == "median_rank" else picked.mean(axis=1)
    return total / len(cells)
