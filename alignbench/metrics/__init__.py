"""Every score of the suite: pure float64 functions, and METRICS with what each of them promises."""

from alignbench.metrics.base import INVARIANCES, METRICS, Metric, NullModel
from alignbench.metrics.basis import SharedBasis, shared_k, to_shared_basis
from alignbench.metrics.cka import (
    calibrated_cka,
    debiased_cka,
    linear_cka,
    linear_cka_null,
    rbf_cka,
    unbiased_hsic,
)
from alignbench.metrics.classes import (
    cosine_variance,
    discriminability,
    discriminability_raw,
    knn_accuracy,
    spread,
)
from alignbench.metrics.composite import eas, eas_adjusted, eas_adjusted_parts, eas_parts
from alignbench.metrics.coral import (
    bures_similarity,
    coral_distance,
    coral_distance_lw,
    coral_similarity,
    covariance,
    ledoit_wolf,
    mean_distance,
    ncoral,
    ncoral_lw,
    unit_trace,
)
from alignbench.metrics.neighbors import mutual_knn
from alignbench.metrics.spectra import spectral_divergence, spectral_kl, spectral_ncoral, spectrum

__all__ = [
    "INVARIANCES",
    "METRICS",
    "Metric",
    "NullModel",
    "SharedBasis",
    "bures_similarity",
    "calibrated_cka",
    "coral_distance",
    "coral_distance_lw",
    "coral_similarity",
    "cosine_variance",
    "covariance",
    "debiased_cka",
    "discriminability",
    "discriminability_raw",
    "eas",
    "eas_adjusted",
    "eas_adjusted_parts",
    "eas_parts",
    "knn_accuracy",
    "ledoit_wolf",
    "linear_cka",
    "linear_cka_null",
    "mean_distance",
    "mutual_knn",
    "ncoral",
    "ncoral_lw",
    "rbf_cka",
    "shared_k",
    "spectral_divergence",
    "spectral_kl",
    "spectral_ncoral",
    "spectrum",
    "spread",
    "to_shared_basis",
    "unbiased_hsic",
    "unit_trace",
]
