"""ELAS of a pair: a projector is trained in every split, and its score has four parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.experiments.trained import course, not_applicable, plan, train_all, trained_score
from alignbench.metrics import ELAS_WEIGHTS, elas, elas_parts, linear_cka
from alignbench.projectors import loss_of
from alignbench.stats import one_per_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.repeats import Repeats
    from alignbench.experiments.trained import Outcome
    from alignbench.hidden import Patches
    from alignbench.types import Pair, Score

EXPERIMENT = "elas"
PROJECTOR = "linear"
"""The projector whose scores have no variant."""


def elas_score(
    pair: Pair,
    repeats: Repeats,
    projector: str = PROJECTOR,
    patches: Patches | None = None,
    *,
    loss: str | None = None,
) -> Score:
    """Return ELAS over splits and seeds with its parts, beside the same on shuffled pairs.

    A linear projector is solved with a penalty on its weights; others are trained for all epochs by mean
    squared error. linear_cka is of all pairs (one row per group), so it is the same in every split and for
    every projector.

    Args:
        pair: an encoder's and an LLM's embeddings.
        repeats: number of splits, seeds and epochs.
        projector: one of `alignbench.projectors.PROJECTORS`; "2layer_mlp" is that of ELAS as published. Its
            name is the variant of the score, unless it is the linear one.
        patches: the encoder's patches, which "cross_attention" reads.
        loss: one of `alignbench.projectors.LOSSES`, instead of "ridge" (linear) or "mse" (others).

    Raises:
        InputError: the projector is unknown, or "cross_attention" has no patches.
    """
    from alignbench.projectors.fit import Training

    loss = loss or loss_of(projector)
    training = Training(projector, loss, epochs=repeats.epochs)
    repeats = repeats.for_loss(loss)
    variant = "" if projector == PROJECTOR else projector
    x = None if patches is None else patches.values
    try:
        splits = plan(pair.groups, repeats)
        rows = one_per_group(np.asarray(pair.groups), repeats.seed)
        true, shuffled, epochs = [], [], []
        for trained, controls in train_all(pair, splits, training, repeats, x=x, everything=True):
            true.append(_parts(pair, trained, rows))
            epochs += [outcome.epoch for outcome in trained]
            shuffled.append(_parts(pair, controls, rows))
    except DegenerateError as error:
        return not_applicable(pair, "elas", error, repeats, experiment=EXPERIMENT, variant=variant)
    return trained_score(
        pair,
        "elas",
        np.asarray([[elas(parts) for parts in split] for split in true]),
        np.asarray([[elas(parts) for parts in split] for split in shuffled]),
        repeats,
        experiment=EXPERIMENT,
        variant=variant,
        params={
            "parts": _mean(true),
            "shuffled_parts": _mean(shuffled),
            "part_repeats": {name: [[p[name] for p in split] for split in true] for name in ELAS_WEIGHTS},
            **course(training, epochs),
            "centred": "on the train rows' mean of y",
        },
    )


def _parts(pair: Pair, outcomes: Sequence[Outcome], rows: NDArray[np.intp]) -> list[dict[str, float]]:
    ckas: dict[bytes, float] = {}
    parts = []
    for outcome in outcomes:
        y = pair.y.values[outcome.order]
        key = outcome.order.tobytes()
        if key not in ckas:
            ckas[key] = linear_cka(pair.x.values[rows], y[rows])
        parts.append(elas_parts(ckas[key], outcome.prediction, y, outcome.rows.train, outcome.rows.test))
    return parts


def _mean(parts: Sequence[Sequence[dict[str, float]]]) -> dict[str, float]:
    each = [part for split in parts for part in split]
    return {name: float(np.mean([part[name] for part in each])) for name in ELAS_WEIGHTS}
