"""End to end: with a trained projector, does a held-out image find its text, and a text its image?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part, Tab
from alignbench.experiments.repeats import SOLVED_SPLITS, Repeats

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair, Score


def retrieval(bench: Bench, pair: Pair, loss: str) -> list[Score]:
    """Return how well held-out images and texts find each other after training by a loss."""
    from alignbench.experiments.e2e.retrieval import e2e_scores

    return e2e_scores(pair, loss, Repeats.of(bench, loss))


_REPEATS = {"epochs": 300, "splits": 5, "seeds": 5}
_TRAINED = {
    loss: Cost(seconds, "projector", _REPEATS)
    for loss, seconds in (("contrastive", 2.8), ("cosine", 1.2), ("mse", 0.5))
}
EXPERIMENT = Experiment(
    "e2e",
    "a projector is trained, then held-out images look for their texts",
    (
        Part(
            "e2e",
            retrieval,
            sweep={"loss": "losses"},
            cost=Cost(0.5, "projector", {"splits": SOLVED_SPLITS}, other=_TRAINED),
        ),
    ),
    options=("epochs", "splits", "seeds", "losses"),
    needs={
        "cka": ("linear_cka", "calibrated_cka", "mutual_knn"),
        "coral": ("ncoral",),
        "eas": ("eas", "eas_adjusted"),
    },
    tab=Tab(
        "E2E Validation",
        "After a projector is trained, does an image that it never saw find its text, and a text its image? "
        "And do scores that need no training predict that?",
        controls=("llms", "data", "losses", "epochs", "splits", "seeds"),
    ),
    measures={
        "mrr": "Mean reciprocal rank of the right text (or image) among the held-out candidates.",
        "median_rank": "The median rank of the right text (or image) among held-out candidates; 1 is best.",
        "recall_at_1": "How often the right text (or image) is the first of the held-out candidates.",
        "recall_at_5": "How often the right text (or image) is among the first 5 held-out candidates.",
        "recall_at_10": "How often the right text (or image) is among the first 10 held-out candidates.",
    },
    figures=("alignbench.experiments.e2e.figures",),
    title="Retrieval after a projector",
    place=110,
)
