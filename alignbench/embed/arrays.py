"""Embeddings of models that are arrays: read from their file, never computed or cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets import Dataset
from alignbench.embed.models import info_of
from alignbench.embed.unit import unit
from alignbench.errors import ModelError
from alignbench.types import Embeddings
from alignbench.weights.arrays import array_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.weights.protocols import Model


def runs(model: Model) -> bool:
    """Whether there is a model that can run, be timed, or give more than its vectors: not for arrays."""
    return array_file(model) is None


def from_arrays(model: Model, dataset: Dataset | Sequence[str]) -> Embeddings | None:
    """Return the vectors of a dataset's samples if the model is an array; None if it has to run.

    Raises:
        ModelError: the array's rows don't match the samples, or can't be used.
    """
    file = array_file(model)
    if file is None:
        return None
    if not isinstance(dataset, Dataset):
        raise ModelError(f"{file.name}: arrays have the vectors of a dataset, not of other texts")
    ids = tuple(sample.id for sample in dataset.samples)
    vectors = file.vectors_of(dataset)
    info = info_of(model, "vision")
    return Embeddings(info, unit(vectors, ids, file.name) if info.params["l2"] else vectors, ids)
