"""Similarity of distributions by Deep CORAL and spectra, within and across sides, blind to the pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Experiment, Part, Tab
from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Pair


def distributions() -> list[str]:
    """Return the metrics of two distributions."""
    return METRICS.names(family="coral") + METRICS.names(family="spectra")


def alone() -> list[str]:
    """Return the metrics of one model."""
    return METRICS.names(kind="unary")


def distribution(bench: Bench, pair: Pair, metric: str) -> CellResult:
    """Return a metric of two distributions; the first metric adds the arrays for the figures of the pair."""
    from alignbench.experiments.coral.arrays import covariance_arrays

    first = metric == distributions()[0]
    arrays = covariance_arrays(pair, bench.basis_settings) if first else None
    return CellResult([bench.score(metric, pair)], arrays, "coral")


def model_alone(bench: Bench, side: Pair, metric: str) -> CellResult:
    """Return a metric of one model; the first metric adds the model's cosines among samples."""
    from alignbench.experiments.coral.arrays import similarity_arrays

    arrays = similarity_arrays(side, bench.settings) if metric == alone()[0] else None
    return CellResult([bench.score(metric, side)], arrays, "similarity")


EXPERIMENT = Experiment(
    "coral",
    "do the two clouds have the same shape? Deep CORAL and spectra",
    (
        Part("cross_modal", distribution, sweep={"metric": distributions}),
        Part("vision_vision", distribution, of=("vision_pair",), sweep={"metric": distributions}),
        Part("text_text", distribution, of=("text_pair",), sweep={"metric": distributions}),
        Part("vision_alone", model_alone, of=("vision_side",), sweep={"metric": alone}),
        Part("text_alone", model_alone, of=("text_side",), sweep={"metric": alone}),
    ),
    options=("basis", "k"),
    needs={"cka": ("linear_cka", "calibrated_cka"), "eas": ("eas", "eas_adjusted")},
    tab=Tab(
        "CORAL Analysis",
        "Do the two clouds have the same shape? CORAL never sees which text belongs to which image; CKA and "
        "EAS, which do, are shown beside it.",
    ),
    measures={
        "mean_distance": "How far apart the two means are in the shared basis, which CORAL ignores.",
    },
    figures=(
        "alignbench.experiments.coral.figures.comparison",
        "alignbench.experiments.coral.figures.alignment",
        "alignbench.experiments.coral.figures.spectra",
        "alignbench.experiments.coral.figures.intra_modal",
        "alignbench.experiments.coral.figures.samples",
    ),
    title="Deep CORAL: likeness of distributions",
    place=40,
)
