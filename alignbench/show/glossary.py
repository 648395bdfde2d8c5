"""What each metric measures, in a sentence."""

from __future__ import annotations

from alignbench.metrics import METRICS

_OTHERS = {
    "mean_distance": "How far apart the two means are in the shared basis: what CORAL leaves out.",
    "elas": "How well a projector carries over: CKA, error, gap and cosine on held-out pairs.",
    "mrr": "Mean reciprocal rank of the right text (or image) among the held-out candidates.",
    "median_rank": "The middle rank of the right text (or image) among the held-out candidates; 1 is best.",
    "recall_at_1": "How often the right text (or image) is the first of the held-out candidates.",
    "recall_at_5": "How often the right text (or image) is among the first 5 held-out candidates.",
    "recall_at_10": "How often the right text (or image) is among the first 10 held-out candidates.",
    "projection_mse": "Error of a trained projector on held-out pairs; 1 is what the train mean gives.",
    "projection_cosine": "Cosine of projected images with their texts, held-out pairs, centred.",
    "trustworthiness": "Whether neighbours in the picture are neighbours in the space, too.",
    "continuity": "Whether neighbours in the space are neighbours in the picture, too.",
    "overlay_residual": "What is left between images and texts after a rotation fitted on other pairs.",
    "caption_perplexity": "How surprised the frozen LLM is by the held-out captions, given the image.",
    "image_gain": "What the right image is worth over another one, in nats per token of the caption.",
    "layers_debiased_cka": "Debiased CKA of two layers: the best of all cells, or the two last ones.",
    "layers_mutual_knn": "Neighbours that two layers share: the best of all cells, or the two last ones.",
    "localisation_auc": "How probably a pixel inside the named thing is higher in the map than one outside.",
    "pointing_game": "How much of the map's highest patch lies inside the named thing.",
    "overlap_iou": "How far the map's highest patches and the named thing overlap.",
    "localisation_gain": "AUC of the value map less that of the raw one, on the same scenes.",
    "influence_evenness": "How evenly samples carry the score: 1 all alike, near 1/n if one decides.",
    "latency_ms": "Median time of a batch in the model, without preparation of the images.",
    "throughput": "Images or texts per second.",
    "token_throughput": "Tokens per second.",
    "peak_memory": "Memory at its peak: on a CPU what a call adds, on CUDA everything including the weights.",
    "preprocess_ms": "Time to make an image ready for the model.",
    "decode_ms": "Time to decode an image file.",
    "metric_ms": "Time to compute the metric's value, without null and interval.",
}


def measures(metric: str) -> str:
    """Return what the metric measures, from the first line of its documentation; "" where that is unknown."""
    if metric in _OTHERS:
        return _OTHERS[metric]
    if metric not in METRICS.names():
        return ""
    lines = (METRICS.get(metric).fn.__doc__ or "").strip().splitlines()
    text = lines[0].removeprefix("Return ").replace("`", "") if lines else ""
    return text[:1].upper() + text[1:]
