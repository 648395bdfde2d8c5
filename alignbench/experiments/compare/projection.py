"""Encoders compared by trained projectors: held-out error and cosine, beside a control on shuffled pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError, TooFewSamplesError
from alignbench.experiments.trained import PARTS, course, not_applicable, plan, trained_score
from alignbench.projectors import RIDGE, loss_of
from alignbench.projectors.patches import MOST_PATCHES, width_read
from alignbench.rows import unit_rows
from alignbench.stats import (
    draw_permutations,
    draw_within,
    multi_split_p,
    one_per_group,
    p_value,
    rng_for,
    seed_for,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.trained import Repeats, Rows
    from alignbench.hidden import Patches
    from alignbench.projectors.fit import Split, TrainedProjector
    from alignbench.types import Pair, Score

    Matrix = NDArray[np.float64]
    Vectors = NDArray[np.float32]


FEWEST = 3 * PARTS  # groups
OVERTRAINED = 1.05
MOST_SHUFFLED = 2000
NULL_KIND = "trained on shuffled pairs, once; p: held-out pairs shuffled, twice the median"


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure of predictions: the mean of the diagonal of a table [m, m] of predictions and targets."""

    metric: str
    higher_is_better: bool
    bounds: tuple[float, float]
    chance: float


_MEASURES = (
    _Measure("projection_mse", False, (0.0, np.inf), 1.0),
    _Measure("projection_cosine", True, (-1.0, 1.0), 0.0),
)


def error_table(prediction: Vectors, target: Vectors, mean: Vectors) -> Matrix:
    r"""Return $\|f_i - y_j\|^2 / \frac{1}{m}\sum_k \|y_k - \bar y\|^2$ for each prediction i and target j.

    The mean of the diagonal is the error as a share of the targets' variance around the train mean: 0 for
    perfect predictions, 1 for the train mean itself.

    Args:
        prediction: the predictions of the held-out rows [m, d].
        target: the targets of the held-out rows [m, d].
        mean: the mean of the targets that were trained on [d].

    Raises:
        DegenerateError: all targets equal the train mean.
    """
    f, y = prediction.astype(np.float64) - mean, target.astype(np.float64) - mean
    variance = float(np.square(y).sum(axis=1).mean())
    if not variance:
        raise DegenerateError("projection_mse: the held-out targets have no variance around the train mean")
    squares = np.square(f).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None, :] - 2 * (f @ y.T)
    table: Matrix = np.maximum(squares, 0.0) / variance
    return table


def cosine_table(prediction: Vectors, target: Vectors, mean: Vectors) -> Matrix:
    """Return the cosine of each prediction with each target [m, m], both centred on the train mean.

    Raises:
        DegenerateError: a row equals the train mean and has no direction.
    """
    f, y = prediction.astype(np.float64) - mean, target.astype(np.float64) - mean
    if not all(np.linalg.norm(side, axis=1).all() for side in (f, y)):
        raise DegenerateError("projection_cosine: a held-out row is the train mean and has no direction")
    table: Matrix = unit_rows(f) @ unit_rows(y).T
    return table


_TABLES = {"projection_mse": error_table, "projection_cosine": cosine_table}


def project(
    pair: Pair,
    repeats: Repeats,
    projector: str = "linear",
    patches: Patches | None = None,
    *,
    lr: float = 1e-3,
    experiment: str = "compare",
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Return the held-out scores of projectors from vision to text, and the loss curves of those trained.

    A linear projector is solved with a penalty on its weights; others are trained by MSE, and their weights
    after the last epoch count.

    One row of every group takes part. One further training on shuffled pairs gives the mean of the null; p
    comes from shuffling the held-out pairs of the other trainings within each split.

    Args:
        pair: an encoder's and an LLM's embeddings.
        repeats: number of splits and epochs; each split is trained once, with initial weights of its own.
        projector: one of `alignbench.projectors.PROJECTORS`.
        patches: the encoder's patches, which "cross_attention" reads.
        lr: the learning rate of Adam.
        experiment: the experiment that the scores are filed under.

    Returns:
        Scores of `projection_mse` and `projection_cosine`, and arrays for a figure: losses [splits, epochs]
        of trained and held-out rows, for true and for shuffled pairs. There are no arrays if there are too
        few groups or if nothing was trained epoch by epoch.
    """
    from alignbench.projectors.fit import Training, fit

    training = Training(projector, loss_of(projector), repeats.epochs, lr)
    rows = one_per_group(np.asarray(pair.groups), repeats.seed)
    sample = pair.take(rows)
    x = sample.x.values if patches is None else patches.values[rows]
    fields: dict[str, Any] = {
        "experiment": experiment,
        "dims": (x.shape[-1], sample.y.dim),
        "variant": projector,
    }
    params: dict[str, Any] = {} if training.loss == RIDGE else {"optimizer": "Adam", "lr": lr}
    if patches is not None:
        params |= {
            "patches": patches.count,
            "patches_pooled_to": min(x.shape[1], MOST_PATCHES),
            "patch_width": width_read(x),
        }
    try:
        splits = plan(sample.groups, repeats, fewest=FEWEST)
    except TooFewSamplesError as error:
        return [_missing(pair, measure, error, repeats, params, fields) for measure in _MEASURES], {}
    trials = _trials(splits, repeats.seed)
    fitted = fit(x, sample.y.values, trials, training, device=repeats.device)
    params |= course(training, [trained.epoch for trained in fitted])
    params["test_to_train"] = float(trials[0].test.sum() / trials[0].train.sum())
    if training.loss != RIDGE:
        params |= _overtraining(fitted[:-1])
    types = codes_of(np.asarray(sample.labels))
    scores, codes = [], [types[rows.test] for rows in splits]
    for measure in _MEASURES:
        try:
            trainings = zip(trials, fitted, strict=True)
            tables = [_table(measure, sample.y.values, split, trained) for split, trained in trainings]
            scores.append(_score(pair, measure, tables, codes, repeats, params, fields))
        except DegenerateError as error:
            scores.append(_missing(pair, measure, error, repeats, params, fields))
    return scores, {} if training.loss == RIDGE else _curves(pair, projector, fitted)


def initial_seeds(seed: int, splits: int) -> tuple[int, ...]:
    """Return the seed of the initial weights in each split; the control starts like the first split."""
    return tuple(seed_for(seed, "initial weights of split", number) for number in range(splits))


def _trials(splits: Sequence[Rows], seed: int) -> list[Split]:
    """Return one training per split, then the control: the first split with train and test pairs shuffled."""
    seeds = initial_seeds(seed, len(splits))
    first, rng = splits[0], rng_for(seed, "shuffled control", "0")
    order = np.arange(len(first.train), dtype=np.intp)
    for part in map(np.flatnonzero, (first.train, first.test)):
        order[part] = part[rng.permutation(len(part))]
    trials = [rows.split(seed) for rows, seed in zip(splits, seeds, strict=True)]
    return [*trials, first.split(seeds[0], order)]


def _overtraining(trained: Sequence[TrainedProjector]) -> dict[str, Any]:
    """Return at which epoch the mean held-out loss was lowest; it is only reported and selects nothing."""
    losses = np.mean([fitted.held_out_loss for fitted in trained], axis=0)
    best = int(losses.argmin())
    return {"lowest_held_out_epoch": best + 1, "overtraining": float(losses[-1] / losses[best])}


def _score(
    pair: Pair,
    measure: _Measure,
    tables: Sequence[Matrix],
    codes: Sequence[NDArray[np.intp]],
    repeats: Repeats,
    params: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> Score:
    """Return the score of a measure from its table in each split; the last table is that of the control."""
    values = np.asarray([[float(table.diagonal().mean())] for table in tables])
    p_values = [
        _shuffled_p(table, measure, repeats.permutations, types, repeats.seed, number)
        for number, (table, types) in enumerate(zip(tables[:-1], codes, strict=True))
    ]
    within = [p for _, p in p_values if p is not None]
    return trained_score(
        pair,
        measure.metric,
        values[:-1],
        values[-1:],
        repeats,
        bounds=measure.bounds,
        ratio=float(params["test_to_train"]),
        p={
            "kind": NULL_KIND,
            "p": multi_split_p([p for p, _ in p_values]),
            "draws": repeats.permutations,
            "within_p": multi_split_p(within) if len(within) == len(codes) else None,
        },
        params=params,
        flags=("overtrained",) if params.get("overtraining", 1.0) > OVERTRAINED else (),
        higher_is_better=measure.higher_is_better,
        chance=measure.chance,
        **fields,
    )


def _table(measure: _Measure, y: Vectors, split: Split, fitted: TrainedProjector) -> Matrix:
    paired = y if split.order is None else y[split.order]
    mean = paired[split.train].mean(axis=0, dtype=np.float64)
    return _TABLES[measure.metric](fitted.prediction, paired[split.test], mean)


def _shuffled_p(
    table: Matrix, measure: _Measure, draws: int, codes: NDArray[np.intp], seed: int, number: int
) -> tuple[float, float | None]:
    """Return p of a split whose held-out texts are shuffled: among all, and within each class.

    The second is None if no class has two members, or if there is only one class.
    """
    rng = rng_for(seed, "held-out pairs", str(number))
    chosen = np.sort(rng.permutation(len(table))[:MOST_SHUFFLED])
    table, classes = table[np.ix_(chosen, chosen)], codes_of(codes[chosen])
    rows, value = np.arange(len(table)), float(table.diagonal().mean())

    def p_of(orders: NDArray[np.intp]) -> float:
        drawn = table[rows, orders].mean(axis=1)
        return p_value(value, drawn, higher_is_better=measure.higher_is_better)

    anywhere = p_of(draw_permutations(len(table), draws, rng))
    if not 1 < int(classes.max()) + 1 < len(table):
        return anywhere, None
    return anywhere, p_of(draw_within(classes, draws, rng_for(seed, "held-out pairs within", str(number))))


def _missing(
    pair: Pair,
    measure: _Measure,
    error: DegenerateError,
    repeats: Repeats,
    params: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> Score:
    return not_applicable(
        pair,
        measure.metric,
        error,
        repeats,
        params=params,
        higher_is_better=measure.higher_is_better,
        **fields,
    )


def _curves(pair: Pair, projector: str, fitted: Sequence[TrainedProjector]) -> dict[str, NDArray[Any]]:
    """Return the losses after each epoch, of the trainings on true pairs and of the control."""
    arrays: dict[str, NDArray[Any]] = {
        "encoder": np.array(pair.x.model.label),
        "llm": np.array(pair.y.model.label),
        "projector": np.array(projector),
    }
    for prefix, some in (("", fitted[:-1]), ("control_", fitted[-1:])):
        arrays[f"{prefix}train"] = np.stack([trained.train_loss for trained in some]).astype(np.float32)
        arrays[f"{prefix}held_out"] = np.stack([trained.held_out_loss for trained in some]).astype(np.float32)
    return arrays
