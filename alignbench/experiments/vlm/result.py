"""The settings of the trainings of a pair, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.experiments.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.types import ModelInfo

REPEATS = Repeats(splits=3, seeds=1, epochs=8)
"""Few repeats, since a training takes far more work than that of a projector of embeddings."""


@dataclass(frozen=True, slots=True)
class VLMSettings:
    """How the projectors of a pair are trained and judged.

    Args:
        projector: one of `alignbench.projectors.PROJECTORS`.
        repeats: number of splits, seeds and epochs; an epoch passes over the training images, each with one
            of its wordings.
        image_tokens: the most vectors that an image becomes; patches are averaged over a grid of that many.
            "cross_attention" has its own number.
        batch: the number of captions in a step.
        rate: a step of Adam moves an entry of an image token by at most about this many times the scale of
            the LLM's tokens, whatever the width of the encoder.
        shrinkage: the share of the mean variance that whitening adds to each direction of the patches; None
            does not whiten them.
    """

    projector: str = "linear"
    repeats: Repeats = REPEATS
    image_tokens: int = 1
    batch: int = 8
    rate: float = 0.5
    shrinkage: float | None = 0.3


@dataclass(frozen=True, slots=True)
class Job:
    """One training: its rows, and the questions that test it.

    Args:
        split: the number of the split.
        seed: the seed of weights and batches.
        train: the rows that are trained on.
        test: one row of each held-out group [m].
        blocks: the block of each test row [m]; rows of one block exchange images.
        other: for each test row, the test row whose image is the control for its questions [m].
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
class TrainingResult:
    """The results of one training on its held-out groups, in nats.

    Args:
        losses: summed -log p of caption i with the image of caption j [m, m]; NaN if j is of another block.
        tokens: the number of tokens of each caption [m].
        right: -log p per token with the own image, captions weighted by their tokens.
        shuffled: the same with the images of others, over all derangements inside blocks.
        none: the same without any image.
        answers: the literal answers to the job's questions.
        other_answers: the literal answers to the same questions about another image.
        train_curve: -log p per token over the batches of each epoch [epochs].
        held_out_curve: -log p per token of held-out captions with their own images after each epoch.
        integration: the modality integration rate of held-out images and their captions; NaN if undefined.
        untrained_integration: the same before the training.
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
    integration: float
    untrained_integration: float


@dataclass(frozen=True, slots=True)
class VLMResult:
    """All trainings of one encoder with one LLM.

    Args:
        encoder: the vision side.
        llm: the text side.
        dataset: the data's label.
        samples: the samples that were trained and tested on.
        jobs: the trainings, sorted by split and then by seed.
        trained: the result of each job.
        settings: the settings of the trainings.
        params: further `params` of the scores.
    """

    encoder: ModelInfo
    llm: ModelInfo
    dataset: str
    samples: tuple[Sample, ...]
    jobs: tuple[Job, ...]
    trained: tuple[TrainingResult, ...]
    settings: VLMSettings
    params: Mapping[str, Any]

    def types(self, job: Job) -> NDArray[np.str_]:
        """Return the data type of each test row of a training [m]."""
        return np.asarray([self.samples[row].data_type for row in job.test])
