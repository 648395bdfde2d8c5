"""Scores that need a training: its splits and seeds, its control on shuffled pairs, and its score."""

from __future__ import annotations

from dataclasses import dataclass
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
    from alignbench.experiments.repeats import Repeats
    from alignbench.projectors.fit import Split, Training
    from alignbench.types import Interval, Pair

    Mask = NDArray[np.bool_]
    Order = NDArray[np.intp]

PARTS = 5  # one group in five is held out, and one in five of the others is watched for early stopping
TEST_TO_TRAIN = 1 / (PARTS - 1)
FEWEST = 10  # groups, of which two are held out
CONTROLS = 1  # trainings on shuffled pairs in every split
PREDICTION_BYTES = 200_000_000  # the most bytes of predictions in memory at once


def course(training: Training, epochs: Sequence[int]) -> dict[str, Any]:
    """Return the `params` of a score that describe the training of its projectors.

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
    """The rows of one split as masks [n]: trained on, watched for early stopping, and held out for the score.

    Without early stopping `watched` equals `test`, and its loss decides nothing.
    """

    number: int
    train: Mask
    watched: Mask
    test: Mask

    def split(self, seed: int, order: Order | None = None, *, everything: bool = False) -> Split:
        """Return a training on these rows.

        Args:
            seed: the seed of its initial weights.
            order: row i of x is trained towards the text of row order[i]; None stands for its own text.
            everything: predict all rows instead of the held-out ones.
        """
        from alignbench.projectors.fit import Split

        predicted = np.ones_like(self.test) if everything else self.test
        return Split(self.train, self.watched, predicted, seed, order)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one training: its prediction, where row i of x was paired with text order[i]."""

    rows: Rows
    order: Order
    prediction: NDArray[np.float32]
    epoch: int


def plan(
    groups: Sequence[str], repeats: Repeats, *, early_stopping: bool = False, fewest: int = FEWEST
) -> list[Rows]:
    """Return the rows of every split; all rows of a group are trained on, watched, or held out together.

    Raises:
        TooFewSamplesError: there are fewer groups than `fewest`.
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
    """Return an order [n] that gives the rows of every group the texts of a group drawn at random.

    Groups are exchanged as a whole; if the drawn group has fewer texts than there are rows, texts repeat.
    """
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    order = np.empty(len(codes), dtype=np.intp)
    for rows, other in zip(members, rng.permutation(len(members)), strict=True):
        order[rows] = np.resize(members[other], len(rows))
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
    """Yield, split by split, the outcomes of the trainings and those of trainings on shuffled pairs.

    Args:
        pair: the embeddings.
        splits: the splits, as `plan` returns them.
        training: the projector, its loss and early stopping.
        repeats: the seeds and the device.
        x: patches [n, p, dx] to project instead of the pair's vision vectors.
        everything: predict all rows instead of the held-out ones.
    """
    from alignbench.projectors.fit import fit

    inputs = pair.x.values if x is None else x
    unchanged, at_each = np.arange(len(pair)), repeats.seeds + CONTROLS
    size = 4 * len(pair) * pair.y.dim * at_each
    at_once = max(1, PREDICTION_BYTES // size)
    for start in range(0, len(splits), at_once):
        trials = [(rows, number) for rows in splits[start : start + at_once] for number in range(at_each)]
        runs = []
        for rows, number in trials:
            seed = seed_for(repeats.seed, f"initial weights {number} of split {rows.number}")
            runs.append(rows.split(seed, _control(pair, repeats, rows, number), everything=everything))
        fitted = fit(inputs, pair.y.values, runs, training, groups=pair.groups, device=repeats.device)
        outcomes = [
            Outcome(rows, unchanged if run.order is None else run.order, result.prediction, result.epoch)
            for (rows, _), run, result in zip(trials, runs, fitted, strict=True)
        ]
        for first in range(0, len(outcomes), at_each):
            of_split = outcomes[first : first + at_each]
            yield of_split[: repeats.seeds], of_split[repeats.seeds :]


def _control(pair: Pair, repeats: Repeats, rows: Rows, number: int) -> Order | None:
    """Return the order of a training on shuffled pairs; None for the first ones, which are on true pairs."""
    if number < repeats.seeds:
        return None
    purpose = f"control {number - repeats.seeds} of split {rows.number}"
    return shuffled_order(pair.groups, rng_for(repeats.seed, purpose))


def split_interval(
    values: NDArray[np.float64],
    groups: int,
    *,
    ratio: float = TEST_TO_TRAIN,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval | None:
    """Return the interval of a trained score's mean; None if there are too few groups for one.

    Args:
        values: [splits, seeds].
        groups: the number of groups.
        ratio: the number of held-out groups over that of groups that are trained on.
        bounds: the bounds of the score.
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
        pair: the pair that was trained on.
        metric: the name of the metric.
        values: [splits, seeds].
        controls: the values after training on shuffled pairs, in any shape.
        repeats: how many trainings there were.
        experiment: the experiment that the score is filed under.
        bounds: the bounds of the score.
        ratio: the number of held-out groups over that of groups that are trained on.
        p: fields of the null besides the control's mean and standard deviation.
        params: further `params` of the score.
        flags: further flags besides that of too few groups.
        fields: further fields of the score.
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
    """Return a score without a value that says why there is none."""
    return Score(
        **{**identity(pair, experiment, repeats.seed), "metric": metric, **fields},
        value=None,
        status="not_applicable",
        reason=why_not(error, Sharing.of_pair(pair)),
        params={**preprocessing(pair), **(params or {})},
    )
