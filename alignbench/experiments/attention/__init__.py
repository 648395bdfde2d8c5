"""Attention maps, checked: does an encoder see what a text names where it is, and does it look at objects?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.attention.scores import attention
from alignbench.experiments.base import Computed, Cost, Experiment, Part, Tab

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench


def maps(bench: Bench, encoder: Encoder) -> Computed:
    """Return how well an encoder's maps find what they name, and maps to be drawn."""
    settings = bench.settings
    scores, arrays = attention(
        encoder,
        lambda: bench.looking(encoder),
        subject=bench.subject,
        seed=settings.seed,
        draws=settings.draws,
    )
    return Computed(scores, arrays, "attention")


EXPERIMENT = Experiment(
    "attention",
    "where encoders look and what texts they find where; with --image and --text in yours",
    (Part("attention", maps, of=("encoder",), uses=frozenset({"maps"}), cost=Cost(0.8)),),
    options=("images", "prompts"),
    tab=Tab(
        "Attention Maps",
        "Where does an encoder look, and where does it find what a text names? In your image or, without "
        "one, in drawn scenes whose objects are known; these check every encoder either way.",
        controls=("image",),
    ),
    not_for_arrays="needs the encoder",
    measures={
        "localisation_auc": "How probably a pixel inside the named thing is higher than one outside.",
        "pointing_game": "How much of the map's highest patch lies inside the named thing.",
        "overlap_iou": "How far the map's highest patches and the named thing overlap.",
        "localisation_gain": "AUC of the value map less that of the raw one, on the same scenes.",
    },
    figures=("alignbench.experiments.attention.figures",),
)
