"""One cell of the validity study: scores and outcomes of an encoder with an LLM on one set of drawings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.errors import DegenerateError
from alignbench.experiments.e2e.retrieval import e2e_scores
from alignbench.experiments.elas.score import elas_score
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.scoring import Settings, evaluate_pair
from alignbench.experiments.vlm.result import VLMSettings
from alignbench.experiments.vlm.scores import train_vlm
from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.experiments.vlm.result import VLMResult
    from alignbench.hidden import Patches
    from alignbench.llms.base import CausalLM
    from alignbench.types import Pair

    # data type -> name -> value; undefined values are left out
    Values = dict[str, dict[str, float]]

# The metrics that a reader would choose between. Functions of another one are left out, for example
# `calibrated_mutual_knn`: for one n and k, it is a straight line over `mutual_knn`.
PREDICTORS = (
    "linear_cka",
    "debiased_cka",
    "calibrated_cka",
    "rbf_cka",
    "mutual_knn",
    "cknna",
    "procrustes_similarity",
    "rsa",
    "ridge_r2",
    "ridge_r2_reverse",
    "ncoral",
    "bures_similarity",
    "mean_distance",
    "spectral_ncoral",
    "spectral_divergence",
    "discriminability",
    "knn_accuracy",
    "eas",
    "eas_adjusted",
    "calibrated_cknna",
    "calibrated_procrustes",
    "cycle_knn",
    "cycle_knn_reverse",
    "lcs_knn",
    "edit_knn",
    "svcca",
    "pwcca",
    "cca_mean",
    "svcca_heldout",
    "pwcca_heldout",
    "logme",
    "gw_distance",
    "gw_identity",
)
C_SCORE = "c_score"
STUDIED = (*PREDICTORS, C_SCORE)
"""The predictors that take no training; the C score is of an encoder and drawings of its own."""
TRAINED_PREDICTORS = ("elas", "mir")
"""The predictors that come from a training: of ELAS, and of the VLM whose results are outcomes."""
RETRIEVAL = {
    "image_to_text contrastive": "mrr_image_to_text",
    "text_to_image contrastive": "mrr_text_to_image",
}
VLM_OUTCOMES = ("image_gain", "gain_within_type", "caption_log_perplexity")
OUTCOMES = (*RETRIEVAL.values(), *VLM_OUTCOMES)
LOWER_IS_BETTER = frozenset({"caption_log_perplexity"})


@dataclass(frozen=True, slots=True)
class CellSettings:
    """How a cell is scored and trained; if this changes, the file of the cell is stale.

    Args:
        seed: the seed of all random numbers.
        splits: the splits of end to end, with one training each.
        elas_splits: the splits of ELAS, with one training each; 0 leaves ELAS out.
        epochs: the epochs of end to end and ELAS.
        vlm_splits: the number of trainings of the VLM.
        vlm_epochs: the epochs of each of them; 0 leaves the VLM out.
        width: the width of the study's narrowest encoder, which bounds the shared basis of CORAL.
        by_type: whether each data type is also scored alone.
    """

    seed: int = 42
    splits: int = 5
    elas_splits: int = 2
    epochs: int = 300
    vlm_splits: int = 1
    vlm_epochs: int = 8
    width: int = 48
    by_type: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        return asdict(self)

    @property
    def repeats(self) -> Repeats:
        """Number of splits, seeds and epochs of end to end and ELAS."""
        return Repeats(self.seed, self.splits, 1, self.epochs, permutations=0)

    @property
    def vlm(self) -> VLMSettings:
        """How VLMs are trained: as when the study was made, before patches were whitened."""
        repeats = Repeats(self.seed, self.vlm_splits, 1, self.vlm_epochs)
        return VLMSettings(repeats=repeats, rate=2.0, shrinkage=None)


def cell(
    pair: Pair,
    settings: CellSettings,
    vlm: Callable[[], tuple[Patches, CausalLM, Dataset]] | None = None,
    predictors: Sequence[str] = PREDICTORS,
) -> dict[str, Values]:
    """Return {"metrics": ..., "outcomes": ...} by data type of a pair; undefined values are left out.

    Args:
        pair: the embeddings.
        settings: the settings of the scores and trainings.
        vlm: returns patches, the loaded LLM with its head, and the samples; None leaves the VLM out.
        predictors: the names of the metrics.
    """
    metrics = metrics_by_type(pair, settings, predictors)
    if settings.elas_splits:
        score = elas_score(pair, replace(settings.repeats, splits=settings.elas_splits), loss="mse")
        if score.value is not None:
            metrics[ALL]["elas"] = score.value
    parts = parts_of(pair, settings)
    outcomes = {data_type: retrieval_values(part, settings) for data_type, part in parts.items()}
    if vlm is not None and settings.vlm_epochs:
        result = trained_vlm(*vlm(), settings)
        for data_type in parts:
            outcomes[data_type] |= vlm_outcomes(result, data_type)
        rate = float(np.mean([training.integration for training in result.trained]))
        if np.isfinite(rate):
            metrics[ALL]["mir"] = rate
    return {"metrics": metrics, "outcomes": outcomes}


def parts_of(pair: Pair, settings: CellSettings) -> dict[str, Pair]:
    """Return data type -> the rows of a pair that are of it, beginning with all rows."""
    types = sorted(set(pair.labels)) if settings.by_type and len(set(pair.labels)) > 1 else []
    rows = {kind: [i for i, label in enumerate(pair.labels) if label == kind] for kind in types}
    return {ALL: pair, **{kind: pair.take(chosen) for kind, chosen in rows.items()}}


def metrics_by_type(pair: Pair, settings: CellSettings, predictors: Sequence[str]) -> Values:
    """Return data type -> predictor -> its value on a pair, for those that need no training."""
    parts = parts_of(pair, settings)
    return {data_type: metric_values(part, settings, predictors) for data_type, part in parts.items()}


def metric_values(
    pair: Pair, settings: CellSettings, predictors: Sequence[str] = PREDICTORS
) -> dict[str, float]:
    """Return the value of each predictor that is defined on a pair, without any permutations."""
    scoring = Settings(settings.seed, dims=(settings.width,))
    values = {}
    for name in predictors:
        metric = METRICS.get(name)
        try:
            values[name] = evaluate_pair(metric, pair, scoring, null=False, interval=False).value
        except DegenerateError:
            continue
    return values


def retrieval_values(pair: Pair, settings: CellSettings) -> dict[str, float]:
    """Return the held-out MRR in both directions after a contrastive training."""
    scores = e2e_scores(pair, "contrastive", settings.repeats)
    return {
        RETRIEVAL[score.variant]: score.value
        for score in scores
        if score.metric == "mrr" and score.value is not None
    }


def trained_vlm(patches: Patches, llm: CausalLM, data: Dataset, settings: CellSettings) -> VLMResult:
    """Return the trainings of a VLM on the captions of `data`."""
    # Short answers are not among the outcomes, and generating them takes longer than scoring the captions.
    samples = [replace(sample, exchanges=()) for sample in data.samples]
    return train_vlm(patches, samples, llm, settings.vlm, dataset=data.label)


def vlm_outcomes(result: VLMResult, data_type: str) -> dict[str, float]:
    """Return the outcomes of a trained VLM on held-out captions of a data type, in nats per token."""
    parts = []
    for job, trained in zip(result.jobs, result.trained, strict=True):
        types = np.asarray([result.samples[row].data_type for row in job.test])
        chosen = np.ones(len(types), dtype=bool) if data_type == ALL else types == data_type
        parts.append(caption_values(trained.losses, trained.tokens, types, chosen))
    means = dict(zip(VLM_OUTCOMES, np.mean(parts, axis=0).tolist(), strict=True))
    # With few samples, a type may have no held-out caption, or none to exchange images with.
    return {name: value for name, value in means.items() if np.isfinite(value)}


def caption_values(
    losses: NDArray[np.float64],
    tokens: NDArray[np.float64],
    types: NDArray[np.str_],
    chosen: NDArray[np.bool_],
) -> tuple[float, float, float]:
    """Return the gain of the own image over others, the gain over others of its type, and -log p, per token.

    Args:
        losses: summed -log p of caption i with the image of caption j [m, m]; NaN if it was not computed.
        tokens: the number of tokens of each caption [m].
        types: the data type of each caption [m].
        chosen: the captions that count [m].
    """
    if not chosen.any():
        return float("nan"), float("nan"), float("nan")
    own, apart = np.diag(losses), ~np.eye(len(losses), dtype=bool)
    same = types[:, None] == types[None, :]
    gains = []
    for others in (apart, apart & same):
        masked = np.where(others, losses, np.nan)
        rows = chosen & np.isfinite(masked).any(axis=1)
        if rows.any():
            gained = (np.nanmean(masked[rows], axis=1) - own[rows]).sum()
            gains.append(float(gained / tokens[rows].sum()))
        else:
            gains.append(float("nan"))
    return gains[0], gains[1], float(own[chosen].sum() / tokens[chosen].sum())
