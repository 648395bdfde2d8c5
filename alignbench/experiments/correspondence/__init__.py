"""Correspondence: do an encoder's patches find the same part of an object in another image?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, Part

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.weights.custom import Custom


def match(bench: Bench, encoder: Encoder | Custom) -> CellResult:
    """Return the C score of an encoder, and its matches in the first pairs of images."""
    from alignbench.experiments.correspondence.scores import c_score, grid_size, match_arrays, pairs_of

    data = pairs_of(bench)
    patches = bench.patches_of(encoder, data.images)
    grid = grid_size(encoder, patches)
    score = c_score(patches, grid, data, bench.settings)
    return CellResult([score], match_arrays(patches, grid, data), "matches")


def readable(bench: Bench) -> None:
    """Read the pairs of the folder that the user names.

    Raises:
        DataError: they can't be used.
    """
    from alignbench.experiments.correspondence.scores import pairs_of

    if bench.option("keypoints") is not None:
        pairs_of(bench)


EXPERIMENT = Experiment(
    "correspondence",
    "do patches find the same part of an object in another image? The C score, without any LLM",
    (
        Part(
            "correspondence",
            match,
            of=("encoder",),
            uses=frozenset({"own images"}),
            cost=Cost(2.0),
            check=readable,
        ),
    ),
    options=("keypoints",),
    long=True,
    not_for_arrays="needs patches of its own images",
    measures={
        "c_score": "The share of keypoints whose most similar patch in another image of the object is nearer "
        "to the same point than a tenth of the object's longer side.",
    },
    figures=("alignbench.experiments.correspondence.figures",),
    title="Correspondence of patches",
    place=80,
)
