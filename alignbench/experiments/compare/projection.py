"""Encoders compared by what trained projectors make of them: held-out error and cosine, beside a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import DegenerateError, TooFewSamplesError
from alignbench.experiments.scoring import identity, preprocessing
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.projectors import RIDGE
from alignbench.projectors.patches import MOST_PATCHES, width_read
from alignbench.rows import unit_rows
from alignbench.stats import (
    corrected_interval,
    draw_permutations,
    draw_within,
    multi_split_p,
    one_per_group,
    p_value,
    repeated_split,
    rng_for,
    seed_for,
)
from alignbench.stats.interval import MIN_GROUPS
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.hidden import Patches
    from alignbench.projectors.fit import Split, TrainedProjector
    from alignbench.types import Pair

    Matrix = NDArray[np.float64]
    Vectors = NDArray[np.float32]


PARTS = 5  # one group in five is held out
FEWEST = 3 * PARTS
OVERTRAINED = 1.05
MOST_SHUFFLED = 2000
NULL_KIND = "trained on shuffled pairs, once; p: held-out pairs shuffled, twice the median"


@dataclass(frozen=True, slots=True)
class Projection:
    """How projectors are trained and judged.

    Args:
        projector: of `alignbench.projectors.PROJECTORS`; "cross_attention" reads patches.
        epochs: full-batch steps of Adam; the weights after the last one count. A linear projector is solved
            and takes none.
        splits: how many times 80% of the groups are drawn anew to train on, each with weights of its own.
        lr: Adam's learning rate.
        seed: of splits, initial weights and permutations.
        permutations: of held-out pairs, a split; None: 999.
        device: "auto", "cpu", "cuda", ...
    """

    projector: str = "linear"
    epochs: int = 300
    splits: int = 5
    lr: float = 1e-3
    seed: int = 42
    permutations: int | None = None
    device: str = "cpu"

    @property
    def loss(self) -> str:
        """What projectors are made for: with a penalty where it can be solved, else squared error."""
        return RIDGE if self.projector == "linear" else "mse"


@dataclass(frozen=True, slots=True)
class _Measure:
    """A score of predictions: the mean of a table's diagonal, [m, m] of predictions against targets."""

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

    The mean of the diagonal is the error that is left of the targets' variance around the train mean: 0 for
    perfect predictions, 1 for the train mean itself.

    Args:
        prediction: of the held-out rows [m, d].
        target: theirs [m, d].
        mean: of the targets that were trained on [d].

    Raises:
        DegenerateError: all targets are the train mean.
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
        DegenerateError: a row is the train mean itself, and has no direction.
    """
    f, y = prediction.astype(np.float64) - mean, target.astype(np.float64) - mean
    if not all(np.linalg.norm(side, axis=1).all() for side in (f, y)):
        raise DegenerateError("projection_cosine: a held-out row is the train mean and has no direction")
    table: Matrix = unit_rows(f) @ unit_rows(y).T
    return table


_TABLES = {"projection_mse": error_table, "projection_cosine": cosine_table}


def project(
    pair: Pair, how: Projection, patches: Patches | None = None, *, experiment: str = "compare"
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Return the held-out scores of projectors from vision to text, and the loss curves of those trained.

    A linear one is solved, with a penalty on its weights; others are trained by MSE.

    One row of every group goes in. A training on shuffled pairs goes beside those on the true ones: it is the
    null's mean. Its p comes from shuffling the held-out pairs of the others, a split at a time.

    Args:
        pair: an encoder's and an LLM's embeddings.
        how: architecture and protocol.
        patches: the encoder's, for "cross_attention".
        experiment: what the scores are filed under.

    Returns:
        Scores of `projection_mse` and `projection_cosine`, and a figure's arrays: losses [splits, epochs] of
        trained and held-out rows, for true and for shuffled pairs; none where there are too few groups, or
        where nothing was trained epoch by epoch.
    """
    rows = one_per_group(np.asarray(pair.groups), how.seed)
    x = (pair.x.values if patches is None else patches.values)[rows]
    y = pair.y.values[rows]
    common: dict[str, Any] = {
        **identity(pair, experiment, how.seed),
        "dims": (x.shape[-1], y.shape[1]),
        "variant": how.projector,
    }
    described = preprocessing(pair) | _protocol(how)
    if patches is not None:
        described |= {"patches": patches.values.shape[1], "patches_pooled_to": min(x.shape[1], MOST_PATCHES)}
        described["patch_width"] = width_read(x)
    if len(rows) < FEWEST:
        few = TooFewSamplesError(
            f"expected at least {FEWEST} groups to hold out one in {PARTS}, got {len(rows)}; use more samples"
        )
        reason = why_not(few, Sharing.of_pair(pair))
        return [_missing(measure, reason, common, described) for measure in _MEASURES], {}
    splits = _splits(np.asarray(pair.groups)[rows], how)
    trained, control = _fit(x, y, splits, how)
    described |= {} if how.loss == RIDGE else _course(trained)
    described["test_to_train"] = float(splits[0].test.sum() / splits[0].train.sum())
    codes = codes_of(np.asarray(pair.labels)[rows])
    scores = []
    for measure in _MEASURES:
        try:
            scores.append(_score(measure, y, splits, (trained, control), codes, how, common, described))
        except DegenerateError as error:
            scores.append(_missing(measure, str(error), common, described))
    return scores, _curves(pair, how, trained, control)


def _protocol(how: Projection) -> dict[str, Any]:
    from alignbench.projectors.ridge import PENALTY

    made: dict[str, Any] = {"optimizer": "Adam", "lr": how.lr, "epochs": how.epochs}
    if how.loss == RIDGE:
        made = {"penalty": PENALTY}
    return {
        "projector": how.projector,
        "loss": how.loss,
        **made,
        "splits": how.splits,
        "seeds": 1,
        "controls": 1,
    }


def initial_seeds(how: Projection) -> tuple[int, ...]:
    """Return the seed of the initial weights in each split; the control starts as the first of them."""
    return tuple(seed_for(how.seed, "initial weights of split", number) for number in range(how.splits))


def _splits(groups: NDArray[np.str_], how: Projection) -> list[Split]:
    """Return the splits, then the control: the first of them with pairs shuffled inside train and test."""
    from alignbench.projectors.fit import Split

    splits = []
    for number, seed in enumerate(initial_seeds(how)):
        train, test = repeated_split(groups, how.seed, number, PARTS)
        splits.append(Split(train, test, test, seed))
    rng = rng_for(how.seed, "shuffled control", "0")
    train, test = splits[0].train, splits[0].test
    order = np.arange(len(groups), dtype=np.intp)
    for part in map(np.flatnonzero, (train, test)):
        order[part] = part[rng.permutation(len(part))]
    return [*splits, Split(train, test, test, splits[0].seed, order)]


def _fit(
    x: Vectors, y: Vectors, splits: Sequence[Split], how: Projection
) -> tuple[list[TrainedProjector], list[TrainedProjector]]:
    from alignbench.projectors.fit import Training, fit
    from alignbench.weights.precision import resolve_device

    training = Training(how.projector, how.loss, how.epochs, how.lr)
    fitted = fit(x, y, splits, training, device=resolve_device(how.device))
    return fitted[: how.splits], fitted[how.splits :]


def _course(trained: Sequence[TrainedProjector]) -> dict[str, Any]:
    """Return where the mean held-out loss was lowest: looked up afterwards, so it chose nothing."""
    losses = np.mean([fitted.held_out_loss for fitted in trained], axis=0)
    best = int(losses.argmin())
    return {"lowest_held_out_epoch": best + 1, "overtraining": float(losses[-1] / losses[best])}


def _score(
    measure: _Measure,
    y: Vectors,
    splits: Sequence[Split],
    fitted: tuple[Sequence[TrainedProjector], Sequence[TrainedProjector]],
    codes: NDArray[np.intp],
    how: Projection,
    common: dict[str, Any],
    described: dict[str, Any],
) -> Score:
    tables = [
        _table(measure, y, split, one) for split, one in zip(splits, [*fitted[0], *fitted[1]], strict=True)
    ]
    values = np.asarray([float(table.diagonal().mean()) for table in tables])
    repeats, control = values[: how.splits], values[how.splits]
    draws = 999 if how.permutations is None else how.permutations
    own = [
        _shuffled_p(tables[i], measure, draws, codes[splits[i].test], how.seed, i) for i in range(how.splits)
    ]
    within = [p for _, p in own if p is not None]
    enough = common["n"] >= MIN_GROUPS
    flags = [] if enough else ["n_too_small"]
    if described.get("overtraining", 1.0) > OVERTRAINED:
        flags.append("overtrained")
    return Score(
        metric=measure.metric,
        value=float(repeats.mean()),
        higher_is_better=measure.higher_is_better,
        chance=measure.chance,
        null=Null(
            NULL_KIND,
            mean=float(control),
            p=multi_split_p([p for p, _ in own]),
            draws=draws,
            within_p=multi_split_p(within) if len(within) == how.splits else None,
        ),
        interval=corrected_interval(repeats, described["test_to_train"], bounds=measure.bounds)
        if enough
        else None,
        repeats=tuple(repeats),
        flags=tuple(flags),
        params=described,
        **common,
    )


def _table(measure: _Measure, y: Vectors, split: Split, fitted: TrainedProjector) -> Matrix:
    paired = y if split.order is None else y[split.order]
    mean = paired[split.train].mean(axis=0, dtype=np.float64)
    return _TABLES[measure.metric](fitted.prediction, paired[split.test], mean)


def _shuffled_p(
    table: Matrix, measure: _Measure, draws: int, codes: NDArray[np.intp], seed: int, number: int
) -> tuple[float, float | None]:
    """Return how often a split's held-out texts, dealt out anew, fit as well; and inside each class only.

    The second is None where no class has two members, or there is only one class.
    """
    rng = rng_for(seed, "held-out pairs", str(number))
    chosen = np.sort(rng.permutation(len(table))[:MOST_SHUFFLED])
    table, classes = table[np.ix_(chosen, chosen)], codes_of(codes[chosen])
    own, value = np.arange(len(table)), float(table.diagonal().mean())

    def p_of(orders: NDArray[np.intp]) -> float:
        drawn = table[own, orders].mean(axis=1)
        return p_value(value, drawn, higher_is_better=measure.higher_is_better)

    anywhere = p_of(draw_permutations(len(table), draws, rng))
    if not 1 < int(classes.max()) + 1 < len(table):
        return anywhere, None
    return anywhere, p_of(draw_within(classes, draws, rng_for(seed, "held-out pairs within", str(number))))


def _missing(measure: _Measure, reason: str, common: dict[str, Any], described: dict[str, Any]) -> Score:
    return Score(
        metric=measure.metric,
        value=None,
        status="not_applicable",
        reason=reason,
        higher_is_better=measure.higher_is_better,
        params=described,
        **common,
    )


def _curves(
    pair: Pair, how: Projection, trained: Sequence[TrainedProjector], control: Sequence[TrainedProjector]
) -> dict[str, NDArray[Any]]:
    if how.loss == RIDGE:
        return {}
    arrays: dict[str, NDArray[Any]] = {
        "encoder": np.array(pair.x.model.label),
        "llm": np.array(pair.y.model.label),
        "projector": np.array(how.projector),
    }
    for name, runs in (("", trained), ("control_", control)):
        arrays[f"{name}train"] = np.stack([run.train_loss for run in runs]).astype(np.float32)
        arrays[f"{name}held_out"] = np.stack([run.held_out_loss for run in runs]).astype(np.float32)
    return arrays
