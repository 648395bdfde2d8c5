"""End to end: after a projector is trained, held-out images look for their texts, and texts for images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError
from alignbench.experiments.queried import FURTHER, QUERIED
from alignbench.experiments.trained import course, not_applicable, plan, train_all, trained_score
from alignbench.metrics.retrieval import (
    CUTS,
    RankTable,
    cosine_similarity,
    mrr_chance,
    rank_table,
    recall_chance,
)
from alignbench.metrics.sums import WHOLE
from alignbench.projectors import RIDGE
from alignbench.stats import draw_permutations, draw_within, multi_split_p, p_value, rng_for
from alignbench.stats.splits import some_groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.repeats import Repeats
    from alignbench.experiments.trained import Outcome, Rows
    from alignbench.types import Pair, Score

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.intp]

EXPERIMENT = "e2e"
DIRECTIONS = ("image_to_text", "text_to_image")
MEASURES = (*(f"recall_at_{k}" for k in CUTS), "mrr", "median_rank")
PATIENCE = 30
ASKED = FURTHER  # held-out groups of a split that are looked for among all; more take too much memory


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The held-out rows of a split, and which of them are looked for.

    Args:
        codes: the group number 0 ... of each held-out row [m], which is a candidate.
        asked: the groups that are looked for, ascending [g].
        queries: the rows of these groups, as positions among the held-out ones [q].
    """

    codes: Codes
    asked: Codes
    queries: Codes

    @classmethod
    def of(cls, pair: Pair, rows: Rows, seed: int) -> _HeldOut:
        names = np.asarray(pair.groups)[rows.test]
        # These codes hold for queries and candidates, even in a control, whose text order[i] replaces text i.
        codes = codes_of(names)
        queries = np.flatnonzero(some_groups(names, ASKED, seed, f"{QUERIED} in split {rows.number}"))
        return cls(codes, np.unique(codes[queries]), queries)

    @property
    def whole(self) -> bool:
        """Whether all held-out groups are looked for."""
        return len(self.queries) == len(self.codes)

    @property
    def places(self) -> Codes:
        """The place of each query's group among those that are looked for [q]."""
        return np.searchsorted(self.asked, self.codes[self.queries])


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
    are right. Queries are the rows of all held-out groups, or of `ASKED` of them. Cosines are centred on the
    mean of the train texts, as in the training of the projector.

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
        held_out = [_HeldOut.of(pair, rows, repeats.seed) for rows in splits]
        trained = train_all(pair, splits, training, repeats)
        for of_split, (true, shuffled) in zip(held_out, trained, strict=True):
            _rank_split(pair, of_split, true, shuffled, repeats, measured)
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
    flags: tuple[str, ...] = ()
    if not all(of_split.whole for of_split in held_out):
        params["queries"] = float(np.mean([len(of_split.queries) for of_split in held_out]))
        flags = (QUERIED,)
    return [_score(pair, key, of_key, repeats, params, flags) for key, of_key in measured.items()]


def _fields(direction: str, measure: str, loss: str) -> dict[str, Any]:
    return {"variant": f"{direction} {loss}", "higher_is_better": measure != "median_rank"}


def _score(
    pair: Pair,
    key: tuple[str, str],
    measured: _Measurements,
    repeats: Repeats,
    params: Mapping[str, Any],
    flags: Sequence[str],
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
        flags=flags,
        chance=float(np.mean(measured.chance)),
        **_fields(direction, measure, str(params["loss"])),
    )


def _rank_split(
    pair: Pair,
    held_out: _HeldOut,
    true: Sequence[Outcome],
    shuffled: Sequence[Outcome],
    repeats: Repeats,
    measured: Mapping[tuple[str, str], _Measurements],
) -> None:
    """Add the values of one split's trainings to the measurements."""
    for direction in DIRECTIONS:
        trained = [_rank(pair, held_out, outcome, direction) for outcome in true]
        controls = [_rank(pair, held_out, outcome, direction) for outcome in shuffled]
        for measure in MEASURES:
            add = measured[direction, measure]
            add.values.append([_own(measure, held_out, table) for table in trained])
            add.controls.append([_own(measure, held_out, table) for table in controls])
            add.chance.append(_chance(measure, held_out))
        if repeats.permutations:
            _permute(pair, true[0].rows, held_out, trained, repeats, direction, measured)


def _rank(pair: Pair, held_out: _HeldOut, outcome: Outcome, direction: str) -> RankTable:
    y = pair.y.values[outcome.order]
    mean = y[outcome.rows.train].mean(axis=0, dtype=np.float64)
    center, sides = np.stack([mean, mean]), (outcome.prediction, y[outcome.rows.test])
    if held_out.whole:
        cosines = cosine_similarity(*sides, center=center)
        return rank_table(cosines if direction == "image_to_text" else cosines.T, held_out.codes)
    asking, candidates = sides if direction == "image_to_text" else sides[::-1]
    at_once = max(1, WHOLE // len(candidates))
    parts = np.split(held_out.queries, range(at_once, len(held_out.queries), at_once))
    cosines_of = (cosine_similarity(asking[part], candidates, center=center) for part in parts)
    tables = [rank_table(cosines, held_out.codes, groups=held_out.asked) for cosines in cosines_of]
    return RankTable.stacked(tables)


def _cells(measure: str, table: RankTable) -> Matrix:
    """Return the measure of each query with each group taken as the right one [q, groups]."""
    if measure == "mrr":
        return table.reciprocal
    return table.ranks if measure == "median_rank" else table.hits[int(measure.rpartition("_")[2])]


def _own(measure: str, held_out: _HeldOut, table: RankTable) -> float:
    """Return the measure with every query's own group taken as the right one."""
    each = _cells(measure, table)[np.arange(len(held_out.queries)), held_out.places]
    return float(np.median(each) if measure == "median_rank" else each.mean())


def _chance(measure: str, held_out: _HeldOut) -> float:
    """Return the measure of a guesser; for the median rank, the mean expected rank (n + 1) / (m + 1)."""
    codes = held_out.codes
    n, positives = len(codes), np.bincount(codes)[codes[held_out.queries]].tolist()
    by_count = {m: _chance_of(measure, n, m) for m in set(positives)}
    return float(np.mean([by_count[m] for m in positives]))


def _chance_of(measure: str, n: int, positives: int) -> float:
    if measure == "median_rank":
        return (n + 1) / (positives + 1)
    if measure == "mrr":
        return mrr_chance(n, positives)
    return recall_chance(n, positives, int(measure.rpartition("_")[2]))


def _permute(
    pair: Pair,
    rows: Rows,
    held_out: _HeldOut,
    tables: Sequence[RankTable],
    repeats: Repeats,
    direction: str,
    measured: Mapping[tuple[str, str], _Measurements],
) -> None:
    """Add the split's p of every measure's mean over seeds, with held-out groups exchanged."""
    labels, places = np.asarray(pair.labels)[rows.test][held_out.queries], held_out.places
    first = np.unique(places, return_index=True)[1]
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
                null = _permuted_values(measure, cells, places, orders)
                p_values.append(p_value(value, null, higher_is_better=measure != "median_rank"))


def _permuted_values(measure: str, cells: Matrix, places: Codes, orders: Codes) -> Matrix:
    """Return the measure's mean over seeds for each order of the groups [draws]."""
    queries = np.arange(len(places))
    if measure != "median_rank":
        cells = cells.mean(axis=0, keepdims=True)
    total = np.zeros(len(orders))
    for table in cells:
        picked = table[queries, orders[:, places]]
        total += np.median(picked, axis=1) if measure == "median_rank" else picked.mean(axis=1)
    return total / len(cells)
