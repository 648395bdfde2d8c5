"""Scores that take a training: its splits and seeds, its control, and what goes with its score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import TooFewSamplesError
from alignbench.experiments.scoring import identity, preprocessing
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.projectors import RIDGE
from alignbench.stats import assign, corrected_interval, repeated_split, rng_for, seed_for, seed_spread
from alignbench.stats.interval import MIN_GROUPS
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.errors import DegenerateError
    from alignbench.projectors.fit import Training
    from alignbench.types import Pair

    Mask = NDArray[np.bool_]
    Order = NDArray[np.intp]

PARTS = 5  # one group in five is held out, and one in five of the others watched for early stopping
FEWEST = 10  # groups: two are held out then
CONTROLS = 1  # re-trained on shuffled pairs, in every split
PREDICTION_BYTES = 200_000_000  # bytes of predictions held at once


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often what is trained.

    Args:
        seed: of splits, initial weights and controls.
        splits: how many times groups are split anew.
        seeds: initialisations in every split.
        epochs: full-batch steps, at most.
        permutations: of held-out pairs, where p comes from them.
        device: "cpu", "cuda", ...
        solved_splits: the splits where projectors are solved: that costs little, and more splits make
            intervals narrower.
    """

    seed: int = 42
    splits: int = 5
    seeds: int = 5
    epochs: int = 300
    permutations: int = 999
    device: str = "cpu"
    solved_splits: int = 40

    def of(self, loss: str) -> Repeats:
        """Return how often with this loss: what is solved has no initial weights that could differ."""
        return replace(self, splits=self.solved_splits, seeds=1) if loss == RIDGE else self


def course(training: Training, epochs: Sequence[int]) -> dict[str, Any]:
    """Return what a score says of how its projectors came about.

    Args:
        training: how.
        epochs: that each training kept.
    """
    from alignbench.projectors.ridge import PENALTY

    shared = {"projector": training.projector, "loss": training.loss}
    if training.loss == RIDGE:
        return {**shared, "penalty": PENALTY}
    stopped = {} if training.patience is None else {"patience": training.patience}
    return {**shared, "epochs": training.epochs, **stopped, "kept_epoch": float(np.median(epochs))}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one split [n] each: trained on, watched for early stopping, and held out for the score.

    Without early stopping nothing is watched, and `watched` is `test`: its loss decides nothing.
    """

    number: int
    train: Mask
    watched: Mask
    test: Mask


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training gave: its prediction, of texts `order` (row i of x has text order[i])."""

    rows: Rows
    order: Order
    prediction: NDArray[np.float32]
    epoch: int


def plan(groups: Sequence[str], repeats: Repeats, *, early_stopping: bool) -> list[Rows]:
    """Return the rows of every split: a group is wholly trained on, wholly watched, or wholly held out.

    Raises:
        TooFewSamplesError: fewer than 10 groups.
    """
    names = np.asarray(groups).astype(str)
    count = count_of(names)
    if count < FEWEST:
        raise TooFewSamplesError(
            f"groups: expected at least {FEWEST} to train on some and hold out others, got {count}; "
            "use more samples"
        )
    found = []
    for number in range(repeats.splits):
        train, test = repeated_split(names, repeats.seed, number, PARTS)
        watched = test
        if early_stopping:
            rest = np.flatnonzero(train)
            part = assign(names[rest], PARTS, repeats.seed, f"validation of split {number}") == 0
            watched = np.zeros_like(test)
            watched[rest[part]] = True
            train = train & ~watched
        found.append(Rows(number, train, watched, test))
    return found


def shuffled_order(groups: Sequence[str], rng: np.random.Generator) -> Order:
    """Return an order [n] that gives every group's rows the texts of another one, drawn at random.

    Groups are exchanged whole: where theirs has fewer texts than rows need, texts are used again.
    """
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    order = np.empty(len(codes), dtype=np.intp)
    for own, other in zip(members, rng.permutation(len(members)), strict=True):
        order[own] = np.resize(members[other], len(own))
    return order


def train_all(
    pair: Pair,
    splits: Sequence[Rows],
    training: Training,
    repeats: Repeats,
    *,
    x: NDArray[np.float32] | None = None,
    everything: bool = False,
) -> Iterator[tuple[list[Outcome], list[Outcome]]]:
    """Yield, split by split, what the trainings gave and what the same gave on shuffled pairs.

    Args:
        pair: the embeddings.
        splits: of `plan`.
        training: the projector, its loss, early stopping.
        repeats: seeds and device.
        x: what is projected instead of the pair's vision vectors: patches [n, p, dx].
        everything: predict all rows instead of the held-out ones.
    """
    from alignbench.projectors.fit import Split, fit

    inputs = pair.x.values if x is None else x
    own, at_each = np.arange(len(pair)), repeats.seeds + CONTROLS
    size = 4 * len(pair) * pair.y.dim * at_each
    at_once = max(1, PREDICTION_BYTES // size)
    for start in range(0, len(splits), at_once):
        together = splits[start : start + at_once]
        orders = [
            (rows, seed, own if seed < repeats.seeds else _control(pair, repeats, rows, seed))
            for rows in together
            for seed in range(at_each)
        ]
        runs = [
            Split(
                rows.train,
                rows.watched,
                np.ones_like(rows.test) if everything else rows.test,
                _initial(repeats, rows, seed),
                None if order is own else order,
            )
            for rows, seed, order in orders
        ]
        fitted = fit(inputs, pair.y.values, runs, training, groups=pair.groups, device=repeats.device)
        outcomes = [
            Outcome(rows, order, one.prediction, one.epoch)
            for (rows, _, order), one in zip(orders, fitted, strict=True)
        ]
        for number in range(len(together)):
            mine = outcomes[number * at_each : (number + 1) * at_each]
            yield mine[: repeats.seeds], mine[repeats.seeds :]


def _control(pair: Pair, repeats: Repeats, rows: Rows, number: int) -> Order:
    purpose = f"control {number - repeats.seeds} of split {rows.number}"
    return shuffled_order(pair.groups, rng_for(repeats.seed, purpose))


def _initial(repeats: Repeats, rows: Rows, number: int) -> int:
    purpose = f"initial weights {number} of split {rows.number}"
    return seed_for(repeats.seed, purpose)


def trained_score(
    pair: Pair,
    metric: str,
    values: NDArray[np.float64],
    controls: NDArray[np.float64],
    repeats: Repeats,
    *,
    experiment: str,
    bounds: tuple[float, float] = (0.0, 1.0),
    p: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Score:
    """Return the mean over splits and seeds as a score, with interval, spread of the seeds and control.

    Args:
        pair: what it was trained on.
        metric: the score's name.
        values: [splits, seeds].
        controls: the same on shuffled pairs, re-trained, in any shape.
        repeats: how often.
        experiment: the marker of the test.
        bounds: of the score.
        p: fields of the null beside the control's mean and standard deviation.
        params: what else to say of how it came about.
        fields: of the score.
    """
    splits, seeds = values.shape
    ratio = 1 / (PARTS - 1)
    null = {"kind": "re-trained on shuffled pairs", **(p or {})}
    null |= {
        "mean": float(controls.mean()),
        "std": float(controls.std(ddof=1)) if controls.size > 1 else None,
    }
    common = {**identity(pair, experiment, repeats.seed), "metric": metric}
    enough = common["n"] >= MIN_GROUPS
    return Score(
        **common,
        **fields,
        value=float(values.mean()),
        null=Null(**null),
        interval=corrected_interval(values.mean(axis=1), ratio, bounds=bounds) if enough else None,
        flags=() if enough else ("n_too_small",),
        repeats=tuple(values.ravel().tolist()),
        params={
            **preprocessing(pair),
            "splits": splits,
            "seeds": seeds,
            "test_to_train": ratio,
            "seed_spread": seed_spread(values) if seeds > 1 else None,
            "controls": controls.size,
            **(params or {}),
        },
    )


def not_applicable(
    pair: Pair, metric: str, error: DegenerateError, repeats: Repeats, *, experiment: str, **fields: Any
) -> Score:
    """Return the score that says why there is none."""
    return Score(
        metric=metric,
        **identity(pair, experiment, repeats.seed),
        **fields,
        value=None,
        status="not_applicable",
        reason=why_not(error, Sharing.of_pair(pair)),
        params=preprocessing(pair),
    )
