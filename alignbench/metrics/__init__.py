"""Every score of the suite: pure float64 functions, and METRICS with the declared properties of each."""

from alignbench.metrics.base import INVARIANCES, METRICS, Metric, NullModel
from alignbench.metrics.basis import SharedBasis, shared_k, to_shared_basis
from alignbench.metrics.calibrated import calibrated
from alignbench.metrics.cca import cca_mean, pwcca, svcca
from alignbench.metrics.cca_heldout import pwcca_heldout, svcca_heldout
from alignbench.metrics.cka import (
    calibrated_cka,
    linear_cka,
    linear_cka_null,
    linear_cka_within_mean,
)
from alignbench.metrics.cka_debiased import debiased_cka, unbiased_hsic
from alignbench.metrics.cka_rbf import rbf_cka
from alignbench.metrics.classes import (
    cosine_variance,
    discriminability,
    discriminability_raw,
    knn_above_chance,
    knn_accuracy,
    spread,
)
from alignbench.metrics.composite import eas, eas_adjusted, eas_adjusted_parts, eas_parts
from alignbench.metrics.coral import (
    bures_similarity,
    coral_distance,
    coral_distance_lw,
    coral_similarity,
    mean_distance,
    ncoral,
    ncoral_lw,
)
from alignbench.metrics.coral_family import unit_trace
from alignbench.metrics.covariances import covariance, ledoit_wolf
from alignbench.metrics.cycles import cycle_knn, cycle_knn_reverse
from alignbench.metrics.elas import ELAS_WEIGHTS, elas, elas_parts
from alignbench.metrics.kernels import linear_sums
from alignbench.metrics.logme import logme
from alignbench.metrics.moments import Moments
from alignbench.metrics.neighbors import cknna, mutual_knn
from alignbench.metrics.pairwise import PairwiseScores, pairwise
from alignbench.metrics.procrustes import procrustes_similarity
from alignbench.metrics.regression import ridge_r2, ridge_r2_reverse
from alignbench.metrics.retrieval import (
    RankTable,
    Retrieval,
    cosine_similarity,
    mrr_chance,
    rank_table,
    recall_chance,
    retrieval,
)
from alignbench.metrics.rsa import rsa
from alignbench.metrics.sequences import edit_knn, lcs_knn
from alignbench.metrics.spectra import spectral_divergence, spectral_kl, spectral_ncoral, spectrum
from alignbench.metrics.transport import gw_distance, gw_identity, gw_parts

__all__ = [
    "ELAS_WEIGHTS",
    "INVARIANCES",
    "METRICS",
    "Metric",
    "Moments",
    "NullModel",
    "PairwiseScores",
    "RankTable",
    "Retrieval",
    "SharedBasis",
    "bures_similarity",
    "calibrated",
    "calibrated_cka",
    "cca_mean",
    "cknna",
    "coral_distance",
    "coral_distance_lw",
    "coral_similarity",
    "cosine_similarity",
    "cosine_variance",
    "covariance",
    "cycle_knn",
    "cycle_knn_reverse",
    "debiased_cka",
    "discriminability",
    "discriminability_raw",
    "eas",
    "eas_adjusted",
    "eas_adjusted_parts",
    "eas_parts",
    "edit_knn",
    "elas",
    "elas_parts",
    "gw_distance",
    "gw_identity",
    "gw_parts",
    "knn_above_chance",
    "knn_accuracy",
    "lcs_knn",
    "ledoit_wolf",
    "linear_cka",
    "linear_cka_null",
    "linear_cka_within_mean",
    "linear_sums",
    "logme",
    "mean_distance",
    "mrr_chance",
    "mutual_knn",
    "ncoral",
    "ncoral_lw",
    "pairwise",
    "procrustes_similarity",
    "pwcca",
    "pwcca_heldout",
    "rank_table",
    "rbf_cka",
    "recall_chance",
    "retrieval",
    "ridge_r2",
    "ridge_r2_reverse",
    "rsa",
    "shared_k",
    "spectral_divergence",
    "spectral_kl",
    "spectral_ncoral",
    "spectrum",
    "spread",
    "svcca",
    "svcca_heldout",
    "to_shared_basis",
    "unbiased_hsic",
    "unit_trace",
]
