"""Scores that take a training: its splits and seeds, its control, and what goes with its score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import TooFewSamplesError
from alignbench.experiments.scoring import identity, preprocessing
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.projectors import OF_PATCHES, RIDGE
from alignbench.stats import assign, corrected_interval, repeated_split, rng_for, seed_for, seed_spread
from alignbench.stats.interval import MIN_GROUPS
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.errors import DegenerateError
    from alignbench.experiments.base import Bench, Use
    from alignbench.projectors.fit import Split, Training
    from alignbench.types import Interval, Pair

    Mask = NDArray[np.bool_]
    Order = NDArray[np.intp]

PARTS = 5  # one group in five is held out, and one in five of the others watched for early stopping
TEST_TO_TRAIN = 1 / (PARTS - 1)
FEWEST = 10  # groups: two are held out then
CONTROLS = 1  # re-trained on shuffled pairs, in every split
PERMUTATIONS = 999
SOLVED_SPLITS = 40  # where projectors are solved
PREDICTION_BYTES = 200_000_000  # bytes of predictions held at once


def patches_if_read(values: Mapping[str, object]) -> frozenset[Use]:
    """Return what a training of `values["projector"]` takes of an encoder beside its embeddings."""
    return frozenset({"patches"}) if values.get("projector") == OF_PATCHES else frozenset()


@dataclass(frozen=True, slots=True)
class Repeats:
    """Number of splits, seeds and epochs of a trained score.

    Args:
        seed: of splits, initial weights and controls.
        splits: of the groups into those that are trained on and those that are held out.
        seeds: trainings a split, from other initial weights.
        epochs: passes over the training rows, at most.
        permutations: of held-out pairs, where p comes from them.
        device: "cpu", "cuda", ...
    """

    seed: int = 42
    splits: int = 5
    seeds: int = 5
    epochs: int = 300
    permutations: int = PERMUTATIONS
    device: str = "cpu"

    @classmethod
    def of(cls, bench: Bench, loss: str = "") -> Repeats:
        """Return what the options of a run say.

        Args:
            bench: of the run.
            loss: that projectors are made for. To solve them costs little, and more splits make intervals
                narrower.
        """
        from alignbench.weights.precision import resolve_device

        permutations = bench.option("permutations")
        return cls(
            bench.option("seed"),
            bench.option("splits", SOLVED_SPLITS if loss == RIDGE else None),
            bench.option("seeds"),
            bench.option("epochs"),
            PERMUTATIONS if permutations is None else permutations,
            resolve_device(bench.option("device")),
        ).for_loss(loss)

    def for_loss(self, loss: str) -> Repeats:
        """Return the same with one seed where projectors are solved: they have no initial weights."""
        return replace(self, seeds=1) if loss == RIDGE else self


def course(training: Training, epochs: Sequence[int]) -> dict[str, Any]:
    """Return what a score says about the training of its projectors.

    Args:
        training: the settings of the trainings.
        epochs: the epoch that each training kept.
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

    def split(self, seed: int, order: Order | None = None, *, everything: bool = False) -> Split:
        """Return a training on these rows.

        Args:
            seed: of its initial weights.
            order: row i of x is trained towards the text of row order[i]; None: its own.
            everything: predict all rows instead of the held-out ones.
        """
        from alignbench.projectors.fit import Split

        predicted = np.ones_like(self.test) if everything else self.test
        return Split(self.train, self.watched, predicted, seed, order)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training gave: its prediction, of texts `order` (row i of x has text order[i])."""

    rows: Rows
    order: Order
    prediction: NDArray[np.float32]
    epoch: int


def plan(
    groups: Sequence[str], repeats: Repeats, *, early_stopping: bool = False, fewest: int = FEWEST
) -> list[Rows]:
    """Return the rows of every split: a group is wholly trained on, wholly watched, or wholly held out.

    Raises:
        TooFewSamplesError: fewer groups than `fewest`.
    """
    names = np.asarray(groups).astype(str)
    count = count_of(names)
    if count < fewest:
        raise TooFewSamplesError(
            f"expected at least {fewest} groups to train on some and hold out others, got {count}; "
            "use more samples"
        )
    splits = []
    for number in range(repeats.splits):
        train, test = repeated_split(names, repeats.seed, number, PARTS)
        watched = test
        if early_stopping:
            rest = np.flatnonzero(train)
            part = assign(names[rest], PARTS, repeats.seed, f"validation of split {number}") == 0
            watched = np.zeros_like(test)
            watched[rest[part]] = True
            train = train & ~watched
        splits.append(Rows(number, train, watched, test))
    return splits


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
    from alignbench.projectors.fit import fit

    inputs = pair.x.values if x is None else x
    own, at_each = np.arange(len(pair)), repeats.seeds + CONTROLS
    size = 4 * len(pair) * pair.y.dim * at_each
    at_once = max(1, PREDICTION_BYTES // size)
    for start in range(0, len(splits), at_once):
        trials = [(rows, seed) for rows in splits[start : start + at_once] for seed in range(at_each)]
        runs = [
            rows.split(
                _initial(repeats, rows, seed), _control(pair, repeats, rows, seed), everything=everything
            )
            for rows, seed in trials
        ]
        fitted = fit(inputs, pair.y.values, runs, training, groups=pair.groups, device=repeats.device)
        outcomes = [
            Outcome(rows, own if run.order is None else run.order, one.prediction, one.epoch)
            for (rows, _), run, one in zip(trials, runs, fitted, strict=True)
        ]
        for first in range(0, len(outcomes), at_each):
            of_split = outcomes[first : first + at_each]
            yield of_split[: repeats.seeds], of_split[repeats.seeds :]


def _control(pair: Pair, repeats: Repeats, rows: Rows, number: int) -> Order | None:
    """Return the order of a training on shuffled pairs, which come after those on the true ones."""
    if number < repeats.seeds:
        return None
    purpose = f"control {number - repeats.seeds} of split {rows.number}"
    return shuffled_order(pair.groups, rng_for(repeats.seed, purpose))


def _initial(repeats: Repeats, rows: Rows, number: int) -> int:
    return seed_for(repeats.seed, f"initial weights {number} of split {rows.number}")


def split_interval(
    values: NDArray[np.float64],
    groups: int,
    *,
    ratio: float = TEST_TO_TRAIN,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval | None:
    """Return the interval of a trained score's mean; None with too few groups for one.

    Args:
        values: [splits, seeds].
        groups: how many there are.
        ratio: held-out groups over those that are trained on.
        bounds: of the score.
    """
    if groups < MIN_GROUPS:
        return None
    return corrected_interval(values.mean(axis=1), ratio, bounds=bounds)


def trained_score(
    pair: Pair,
    metric: str,
    values: NDArray[np.float64],
    controls: NDArray[np.float64],
    repeats: Repeats,
    *,
    experiment: str,
    bounds: tuple[float, float] = (0.0, 1.0),
    ratio: float = TEST_TO_TRAIN,
    p: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    flags: Sequence[str] = (),
    **fields: Any,
) -> Score:
    """Return the mean over splits and seeds as a score, with interval, spread of the seeds and control.

    Args:
        pair: what it was trained on.
        metric: the score's name.
        values: [splits, seeds].
        controls: the same on shuffled pairs, re-trained, in any shape.
        repeats: how many trainings there are.
        experiment: the marker of the test.
        bounds: of the score.
        ratio: held-out groups over those that are trained on.
        p: fields of the null beside the control's mean and standard deviation.
        params: what else to say of how it came about.
        flags: beside that of too few groups.
        fields: of the score.
    """
    splits, seeds = values.shape
    null = {"kind": "re-trained on shuffled pairs", **(p or {})}
    null |= {
        "mean": float(controls.mean()),
        "std": float(controls.std(ddof=1)) if controls.size > 1 else None,
    }
    score = {**identity(pair, experiment, repeats.seed), "metric": metric, **fields}
    interval = split_interval(values, score["n"], ratio=ratio, bounds=bounds)
    return Score(
        **score,
        value=float(values.mean()),
        null=Null(**null),
        interval=interval,
        flags=(*(("n_too_small",) if interval is None else ()), *flags),
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
    pair: Pair,
    metric: str,
    error: DegenerateError,
    repeats: Repeats,
    *,
    experiment: str,
    params: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Score:
    """Return the score that says why there is none."""
    return Score(
        **{**identity(pair, experiment, repeats.seed), "metric": metric, **fields},
        value=None,
        status="not_applicable",
        reason=why_not(error, Sharing.of_pair(pair)),
        params={**preprocessing(pair), **(params or {})},
    )
