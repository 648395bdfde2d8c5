"""Made-up scores and arrays of attention, layers, influence and sensitivity, for the figures' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.types import Interval, Null, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS = ("value", "raw", "negated", "cls attention")


def make_attention(encoders: Sequence[str]) -> tuple[list[Score], list[dict[str, Any]]]:
    """Return localisation scores, and maps of two images, of every encoder."""
    rng = np.random.default_rng(3)
    scores, files = [], []
    for encoder in encoders:
        for variant in ("value", "raw", "negated", "CLS attention, any object"):
            for metric in ("localisation_auc", "pointing_game", "overlap_iou"):
                value = float(rng.uniform(0.1, 0.9))
                scores.append(
                    Score(
                        "attention",
                        metric,
                        value,
                        encoder,
                        None,
                        "shapes-2@1000",
                        64,
                        (),
                        variant=variant,
                        chance=0.5,
                        null=Null("prompts permuted", 0.4, 0.03, p=0.01),
                        interval=Interval(value - 0.05, value + 0.05, "jackknife over images"),
                    )
                )
        rows = [(i, method) for i in range(2) for method in METHODS]
        files.append(
            {
                "encoder": np.array(encoder),
                "images": rng.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8),
                "image": np.array([i for i, _ in rows]),
                "prompt": np.array(["" if "attention" in m else "A red circle." for _, m in rows]),
                "method": np.array([m for _, m in rows]),
                "map": rng.normal(size=(len(rows), 4, 4)).astype(np.float32),
                "box": np.tile([0.1, 0.2, 0.4, 0.5], (len(rows), 1)),
            }
        )
    return scores, files


def make_pairs(encoders: Sequence[str], llms: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the grids of layers and the influences of samples, of every pair."""
    rng = np.random.default_rng(4)
    layers, influences = [], []
    for names in [(encoder, llm) for llm in llms for encoder in encoders]:
        about = {side: np.array(name) for side, name in zip(("encoder", "llm"), names, strict=True)}
        grids = {m: rng.uniform(0, 0.4, (6, 5)) for m in ("debiased_cka", "mutual_knn")}
        limits = {f"{m}_limit": np.array(0.1) for m in grids}
        layers.append({**about, **grids, **limits, "pooling": np.array("cls"), "first": np.array(0)})
        influences.append(
            {
                **about,
                "metric": np.array("debiased_cka"),
                "value": np.array(0.2),
                "ids": np.array([f"sample-{i}" for i in range(30)]),
                "labels": np.array([("chart", "table")[i % 2] for i in range(30)]),
                "influence": rng.normal(0, 0.01, 30),
            }
        )
    return {"layers": layers, "influence": influences}


def make_varied(encoders: Sequence[str], llms: Sequence[str]) -> list[Score]:
    """Return the scores of every pair under three variants."""
    rng = np.random.default_rng(5)
    scores = []
    for variant in ("as scored", "pooling mean", "lengths kept"):
        for encoder, llm in [(encoder, llm) for llm in llms for encoder in encoders]:
            value = float(rng.uniform(0, 0.5))
            scores.append(
                Score(
                    "sensitivity",
                    "varied_calibrated_cka",
                    value,
                    encoder,
                    llm,
                    "sample_data@1a2b3c4d",
                    90,
                    (192, 256),
                    variant=variant,
                    interval=Interval(value - 0.05, value + 0.05, "delete-block jackknife, G=90"),
                    deletions=tuple(value + rng.normal(0, 0.001, 90)),
                )
            )
    return scores
