"""Attention maps, checked on known scenes: does an encoder see things where they are, and look at objects?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, Part, Tab

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench


def maps(bench: Bench, encoder: Encoder) -> CellResult:
    """Return how well an encoder's maps find what a text names, and the maps to draw."""
    from alignbench.experiments.attention.scores import attention

    settings = bench.settings
    scores, arrays = attention(
        encoder,
        lambda: bench.looking(encoder),
        subject=bench.subject,
        seed=settings.seed,
        draws=settings.draws,
    )
    return CellResult(scores, arrays, "attention")


EXPERIMENT = Experiment(
    "attention",
    "where encoders look, and where they find what a text names; with --image and --text in your images",
    (Part("attention", maps, of=("encoder",), uses=frozenset({"maps"}), cost=Cost(0.8)),),
    options=("images", "prompts"),
    tab=Tab(
        "Attention Maps",
        "Where does an encoder look, and where does it find what a text names? The maps are of your image "
        "or, without one, of drawn scenes. Every encoder is also checked on scenes whose objects are known.",
        controls=("image",),
    ),
    not_for_arrays="needs the encoder",
    measures={
        "localisation_auc": "The probability that a pixel inside the named thing is higher than one outside.",
        "pointing_game": "How much of the map's highest patch lies inside the named thing.",
        "overlap_iou": "How far the map's highest patches and the named thing overlap.",
        "localisation_gain": "AUC of the value map minus that of the raw map, on the same scenes.",
    },
    figures=("alignbench.experiments.attention.figures",),
    title="Attention maps, checked on scenes with known places",
    place=70,
)
