"""Every layer of each encoder against every layer of each LLM: is the end where they are most alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Computed, Cost, Experiment, Part
from alignbench.experiments.layers.grid import layer_scores

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.weights.custom import Custom


def grid(bench: Bench, encoder: Encoder | Custom, llm: LLM | Custom) -> Computed:
    """Return the best cell and the last one of the grid of layers, and the grid."""
    scores, arrays = layer_scores(encoder, llm, bench.layers, bench.dataset, bench.settings)
    return Computed(scores, arrays, "layers")


EXPERIMENT = Experiment(
    "layers",
    "every layer of each encoder against every layer of each LLM",
    (Part("layers", grid, of=("encoder", "llm"), uses=frozenset({"layers"}), cost=Cost(0.2, passes=1)),),
    not_for_arrays="needs both models",
    measures={
        "layers_debiased_cka": "Debiased CKA of two layers: the best of all cells, or the two last ones.",
        "layers_mutual_knn": "Neighbours that two layers share: the best of all cells, or the two last ones.",
    },
    figures=("alignbench.experiments.layers.figures",),
)
