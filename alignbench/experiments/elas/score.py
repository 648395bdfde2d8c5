"""ELAS of a pair: a projector, of split after split, and the four parts of its score."""

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

    from alignbench.experiments.trained import Outcome, Repeats
    from alignbench.hidden import Patches
    from alignbench.types import Pair, Score

EXPERIMENT = "elas"
PROJECTOR = "linear"
"""The one whose scores have no variant."""


def elas_score(
    pair: Pair,
    repeats: Repeats,
    projector: str = PROJECTOR,
    patches: Patches | None = None,
    *,
    loss: str | None = None,
) -> Score:
    """Return ELAS over splits and seeds, with its parts, and what the same gives on shuffled pairs.

    A linear projector is solved, with a penalty on its weights; others are trained to the end, by mean
    squared error. linear_cka is of all pairs (one row a group), so it is the same in every split and for
    every projector.

    Args:
        pair: an encoder's and an LLM's embeddings.
        repeats: number of splits, seeds and epochs.
        projector: of `alignbench.projectors.PROJECTORS`; "2layer_mlp" is that of ELAS as published. Of any
            but the linear one the score's variant has the name.
        patches: the encoder's, which "cross_attention" reads.
        loss: of `alignbench.projectors.LOSSES`, instead of "ridge" (linear) or "mse" (others).

    Raises:
        InputError: an unknown projector, or "cross_attention" without patches.
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
        own, shuffled, epochs = [], [], []
        for trained, controls in train_all(pair, splits, training, repeats, x=x, everything=True):
            own += [_parts(pair, trained, rows)]
            epochs += [one.epoch for one in trained]
            shuffled += [_parts(pair, controls, rows)]
    except DegenerateError as error:
        return not_applicable(pair, "elas", error, repeats, experiment=EXPERIMENT, variant=variant)
    return trained_score(
        pair,
        "elas",
        np.asarray([[elas(parts) for parts in split] for split in own]),
        np.asarray([[elas(parts) for parts in split] for split in shuffled]),
        repeats,
        experiment=EXPERIMENT,
        variant=variant,
        params={
            "parts": _mean(own),
            "shuffled_parts": _mean(shuffled),
            "part_repeats": {name: [[p[name] for p in split] for split in own] for name in ELAS_WEIGHTS},
            **course(training, epochs),
            "centred": "on the train rows' mean of y",
        },
    )


def _parts(pair: Pair, outcomes: Sequence[Outcome], rows: NDArray[np.intp]) -> list[dict[str, float]]:
    ckas: dict[bytes, float] = {}
    found = []
    for one in outcomes:
        y = pair.y.values[one.order]
        key = one.order.tobytes()
        if key not in ckas:
            ckas[key] = linear_cka(pair.x.values[rows], y[rows])
        found.append(elas_parts(ckas[key], one.prediction, y, one.rows.train, one.rows.test))
    return found


def _mean(parts: Sequence[Sequence[dict[str, float]]]) -> dict[str, float]:
    each = [part for split in parts for part in split]
    return {name: float(np.mean([part[name] for part in each])) for name in ELAS_WEIGHTS}
