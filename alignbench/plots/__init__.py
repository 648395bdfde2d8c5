"""Figures: arrays and scores in, a matplotlib Figure out. Importing this imports no matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.alignment import cka_vs_coral, eas_dashboard
from alignbench.plots.coral import coral_comparison, coral_dashboard
from alignbench.plots.embedding import intra_modal_similarity
from alignbench.plots.inputs import CoralArrays, FigureInputs, SimilarityArrays, read_artifacts
from alignbench.plots.spectra import covariance_heatmaps, eigenvalue_spectrum
from alignbench.plots.style import save

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[FigureInputs], Figure | None]] = {
    "eas_dashboard": eas_dashboard,
    "cka_vs_coral": cka_vs_coral,
    "coral_comparison": coral_comparison,
    "covariance_heatmaps": covariance_heatmaps,
    "eigenvalue_spectrum": eigenvalue_spectrum,
    "intra_modal_similarity": intra_modal_similarity,
    "coral_dashboard": coral_dashboard,
}
"""Name of the file -> figure function; a function returns None where what it needs was not recorded."""

__all__ = [
    "FIGURES",
    "CoralArrays",
    "FigureInputs",
    "SimilarityArrays",
    "cka_vs_coral",
    "coral_comparison",
    "coral_dashboard",
    "covariance_heatmaps",
    "eas_dashboard",
    "eigenvalue_spectrum",
    "intra_modal_similarity",
    "read_artifacts",
    "save",
]
