"""What the trainings of a pair are given, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.experiments.trained import Repeats

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.types import ModelInfo

REPEATS = Repeats(splits=3, seeds=1, epochs=8)
"""A training takes far more work than that of a projector of embeddings."""


@dataclass(frozen=True, slots=True)
class VLMSettings:
    """How the projectors of a pair are trained and judged.

    Args:
        projector: of `alignbench.projectors.PROJECTORS`.
        repeats: number of splits, seeds and epochs: passes over the training images, each time with one of
            their wordings.
        image_tokens: the most vectors that an image becomes; patches are averaged over a grid of that many.
            "cross_attention" has its own number.
        batch: captions a step.
    """

    projector: str = "linear"
    repeats: Repeats = REPEATS
    image_tokens: int = 1
    batch: int = 8


@dataclass(frozen=True, slots=True)
class Job:
    """One training: its rows, and what is asked of it after.

    Args:
        split: number of the split.
        seed: of weights and batches.
        train: the rows that are trained on.
        test: one row of each held-out group [m].
        blocks: which test rows exchange images [m]: those of one number.
        other: the place, among the test rows, whose image a question is asked of as a control [m].
        questions: (place among the test rows, question) of each question.
    """

    split: int
    seed: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    blocks: NDArray[np.intp]
    other: NDArray[np.intp]
    questions: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """What one training gave on its held-out groups, in nats.

    Args:
        losses: summed -log p of caption i from the image of j [m, m]; NaN where j is of another block.
        tokens: of each caption [m].
        right: -log p a token from the own image, captions weighted by their tokens.
        shuffled: the same from others' images, over all derangements inside blocks.
        none: the same without any image.
        answers: to the job's questions, as they were said.
        other_answers: to the same questions about another image.
        train_curve: -log p a token over each epoch's batches [epochs].
        held_out_curve: the same of held-out captions from their own images after each epoch.
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.float64]
    right: float
    shuffled: float
    none: float
    answers: tuple[str, ...]
    other_answers: tuple[str, ...]
    train_curve: NDArray[np.float64]
    held_out_curve: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VLMResult:
    """All trainings of one encoder with one LLM.

    Args:
        encoder: the vision side.
        llm: the text side.
        dataset: the data's label.
        samples: as trained and tested on.
        jobs: split-major, all seeds of a split together.
        trained: what each gave.
        settings: as asked.
        params: what else a score should say.
    """

    encoder: ModelInfo
    llm: ModelInfo
    dataset: str
    samples: tuple[Sample, ...]
    jobs: tuple[Job, ...]
    trained: tuple[Trained, ...]
    settings: VLMSettings
    params: Mapping[str, Any]
