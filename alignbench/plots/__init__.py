"""Figures: arrays and scores in, a matplotlib Figure out. Importing this imports no matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.inputs import Artifacts, CoralArrays, FigureInputs, SimilarityArrays, read_artifacts
from alignbench.plots.style import save, save_for_paper
from alignbench.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

FIGURES: Registry[Callable[[FigureInputs], Figure | None]] = Registry("figure")
"""Name of the file -> figure function; a function returns None where what it needs was not recorded."""

for _name, _module in {
    "eas_dashboard": "eas",
    "cka_vs_coral": "alignment",
    "coral_comparison": "coral",
    "covariance_heatmaps": "spectra",
    "eigenvalue_spectrum": "spectra",
    "intra_modal_similarity": "coral",
    "sample_similarity": "embedding",
    "coral_dashboard": "coral",
    "cka_comparison": "compare",
    "cka_by_data_type": "compare",
    "projector_comparison": "projectors",
    "model_similarity": "cells",
    "alignment_summary": "overview",
    "multi_llm_matrix": "matrix",
    "embedding_scatter": "layouts",
    "procrustes_overlay": "overlay",
    "cross_modal_similarity": "overlay",
    "speed_dashboard": "speed",
    "elas_matrix": "elas",
    "e2e_retrieval": "retrieval",
    "metric_vs_e2e": "retrieval",
    "vlm_gain": "vlm",
    "vlm_curves": "vlm",
    "sample_influence": "influence",
    "sensitivity": "sensitivity",
    "layer_grid": "layers",
    "attention_localisation": "attention",
    "attention_of_texts": "attention",
    "attention_own": "attention",
}.items():
    FIGURES.add(_name, f"alignbench.plots.{_module}:{_name}")

__all__ = [
    "FIGURES",
    "Artifacts",
    "CoralArrays",
    "FigureInputs",
    "SimilarityArrays",
    "read_artifacts",
    "save",
    "save_for_paper",
]
