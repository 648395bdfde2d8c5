"""Which experiment draws which figure: one list, for its command, its marker and its tab of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

TOOLKIT_CORAL = (
    "eas_dashboard",
    "cka_vs_coral",
    "coral_comparison",
    "covariance_heatmaps",
    "eigenvalue_spectrum",
    "intra_modal_similarity",
)
"""The six figures that the research toolkit's CORAL analysis leaves, under its names."""

FIGURES_OF: dict[str, tuple[str, ...]] = {
    "cka": ("cka_comparison", "alignment_summary"),
    "compare": (
        "alignment_summary",
        "cka_comparison",
        "cka_by_data_type",
        "projector_comparison",
        "sample_influence",
        "model_similarity",
    ),
    "multi-llm": ("multi_llm_matrix",),
    "coral": ("coral_dashboard", *TOOLKIT_CORAL, "sample_similarity"),
    "eas": ("eas_dashboard",),
    "embedding": ("embedding_scatter", "procrustes_overlay", "cross_modal_similarity"),
    "elas": ("elas_matrix",),
    "e2e": ("e2e_retrieval", "metric_vs_e2e"),
    "layers": ("layer_grid",),
    "sensitivity": ("sensitivity",),
    "attention": ("attention_of_texts", "attention_own", "attention_localisation"),
    "speed": ("speed_dashboard",),
    "vlm": ("vlm_gain", "vlm_curves"),
}
"""Command -> the figures that its run leaves, in the order in which the page shows them."""

TAKES = {
    "intra_modal_similarity": "takes two encoders or two LLMs",
    "model_similarity": "takes two encoders or two LLMs",
    "attention_of_texts": "takes an encoder whose maps can be computed",
    "attention_own": "takes an encoder whose maps can be computed",
}
"""What a figure needs beside the run of its command."""


def not_drawn(drawn: Collection[str]) -> dict[str, list[str]]:
    """Return command -> the figures that it draws and that are missing; each under the first that draws it.

    Args:
        drawn: the names of the figures that there are; where there are none at all, none were asked for.
    """
    missing: dict[str, list[str]] = {}
    seen = set(drawn)
    for command, figures in FIGURES_OF.items() if drawn else ():
        own = [figure for figure in figures if figure not in seen]
        seen.update(own)
        if own:
            missing[f"alignbench {command}"] = own
    return missing


def needs_of(figure: str) -> str:
    """Return what the figure needs beside its command, in brackets, or nothing."""
    return f" ({TAKES[figure]})" if figure in TAKES else ""
