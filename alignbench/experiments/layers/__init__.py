"""Every layer of each encoder against every layer of each LLM: are the last layers the most alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, Part

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.weights.custom import Custom


def grid(bench: Bench, encoder: Encoder | Custom, llm: LLM | Custom) -> CellResult:
    """Return the best cell and the last cell of the grid of layers, and the grid."""
    from alignbench.experiments.layers.grid import layer_scores

    protocol = bench.option("protocol")
    scores, arrays = layer_scores(encoder, llm, bench.layers, bench.dataset, bench.settings, protocol)
    return CellResult(scores, arrays, "layers")


EXPERIMENT = Experiment(
    "layers",
    "every layer of each encoder against every layer of each LLM",
    (Part("layers", grid, of=("encoder", "llm"), uses=frozenset({"layers"}), cost=Cost(0.2, passes=1)),),
    options=("protocol",),
    not_for_arrays="needs both models",
    measures={
        "prh_mutual_knn": "Neighbours that two layers share, by the protocol of Huh et al. (2024).",
        "layers_debiased_cka": "Debiased CKA of two layers: of the best two, or of the last two.",
        "layers_mutual_knn": "Neighbours that two layers share: of the best two, or of the last two.",
    },
    figures=("alignbench.experiments.layers.figures",),
    title="Every layer with every layer",
    place=120,
)
