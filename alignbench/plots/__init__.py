"""Figures: each takes arrays and scores and returns a matplotlib Figure. This imports no matplotlib."""

from alignbench.plots.declared import FIGURES, Caption, FigureSpec, declare_figure
from alignbench.plots.inputs import Artifacts, CoralArrays, FigureInputs, SimilarityArrays, read_artifacts
from alignbench.plots.style import save, save_for_paper

__all__ = [
    "FIGURES",
    "Artifacts",
    "Caption",
    "CoralArrays",
    "FigureInputs",
    "FigureSpec",
    "SimilarityArrays",
    "declare_figure",
    "read_artifacts",
    "save",
    "save_for_paper",
]
