"""Made-up scores and loss curves of the experiment compare, for tests of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.projectors import PROJECTORS
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.types import Score

TYPES = ("chart", "document", "table")


def compare_scores(
    make_score: Callable[..., Score],
    encoders: Sequence[str],
    llms: Sequence[str],
    projectors: Sequence[str] = PROJECTORS,
    types: Sequence[str] = TYPES,
) -> list[Score]:
    """Return the scores by type, by projector, and of the models with each other."""
    fields: dict[str, Any] = {"experiment": "compare"}
    null = Null("shuffled", 0.0, 0.02, p=0.001, draws=999)
    scores: list[Score] = []
    for llm in llms:
        for i, encoder in enumerate(encoders):
            for t, data_type in enumerate(types):
                value = 0.4 - 0.2 * ((i + t) % len(encoders))
                scores.append(
                    make_score(
                        "calibrated_cka", value, encoder, llm, n=30, data_type=data_type, null=null, **fields
                    )
                )
            for p, projector in enumerate(projectors):
                trained = fields | {"variant": projector, "deletions": (), "repeats": (0.1, 0.2)}
                mse, cosine = 0.8 + 0.2 * p + 0.05 * i, 0.4 - 0.05 * p - 0.02 * i
                control = [Null("shuffled", mean, 0.05, p=0.002, draws=999) for mean in (1.6, 0.01)]
                error: dict[str, Any] = trained | {"chance": 1.0, "higher_is_better": False}
                scores.append(make_score("projection_mse", mse, encoder, llm, null=control[0], **error))
                scores.append(
                    make_score(
                        "projection_cosine", cosine, encoder, llm, null=control[1], chance=0.0, **trained
                    )
                )
    fields["null"] = null
    for side, names in (("encoder", encoders), ("llm", llms)):
        for a, first in enumerate(names):
            for b, second in enumerate(names[a + 1 :]):
                sides = (first, None) if side == "encoder" else (None, first)
                for metric in ("calibrated_cka", "mutual_knn"):
                    scores.append(
                        make_score(metric, 0.1 + 0.1 * ((a + b) % 7), *sides, other=second, **fields)
                    )
    return scores


def loss_curves(
    encoders: Sequence[str], llms: Sequence[str], projectors: Sequence[str] = PROJECTORS, epochs: int = 40
) -> list[Mapping[str, NDArray[Any]]]:
    """Return the arrays of the loss curves: training goes down, held-out goes down and up again."""
    time = np.linspace(0, 1, epochs)
    return [
        {
            "encoder": np.array(encoder),
            "llm": np.array(llm),
            "projector": np.array(projector),
            "train": np.stack([1 - time] * 2),
            "held_out": np.stack([1 - time + 1.5 * time**2] * 2),
            "control_train": np.stack([1 - time]),
            "control_held_out": np.stack([1 + time]),
        }
        for llm in llms
        for encoder in encoders
        for projector in projectors
    ]
