"""Made-up runs with plausible scores and plot inputs, hostile ones included, for tests of report and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignbench.types import Interval, ModelInfo, Null, Run, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("chart", "table", "document")
FAMILIES = {
    "mini-clip": "clip",
    "mini-siglip": "siglip",
    "mini-dinov2": "dinov2",
    "random-vit": "other",
    "clip": "clip",
    "siglip": "siglip",
    "dinov2": "dinov2",
    "internvit": "internvit",
    "paligemma": "paligemma",
    "mini-llama": "llama",
    "mini-qwen": "qwen",
}
ENCODERS = ("mini-clip", "mini-siglip", "mini-dinov2", "random-vit")
LLMS = ("mini-llama", "mini-qwen")
HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "\x1b[2J\x1b[31mred\x1b[0m\u202eevil",
    "비전-인코더-한국어-이름이-아주-길다-정말로-길다",
    "an-encoder-with-a-very-long-name-that-goes-on-and-on-for-ever-v2-final",
    "$x^$ a|b *c* `d` @someone #12 https://evil.example",
)


def make_model(name: str, side: str = "vision", stand_in_for: str | None = None) -> ModelInfo:
    weights = "stand-in" if stand_in_for else "random" if name.startswith("random") else "embedded"
    params = {"pooling": "cls" if side == "vision" else "mean", "l2": True, "dtype": "bf16 autocast"}
    return ModelInfo(
        name=name,
        side=side,  # type: ignore[arg-type]
        family=FAMILIES.get(name, "other"),
        source=f"sample_data/models/{name}",
        weights=weights,  # type: ignore[arg-type]
        revision="0123456789abcdef",
        stand_in_for=stand_in_for,
        params=params,
    )


def make_run(
    encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS, models: Sequence[ModelInfo] = (), n: int = 90
) -> Run:
    return Run(
        id="20261123-174443-coral",
        started="2026-11-23T17:44:43+00:00",
        seconds=41.5,
        command="pytest benchmarks/ -k coral",
        options={"encoders": list(encoders), "llms": list(llms), "n_samples": 30},
        seed=42,
        versions={"alignbench": "0.1.0", "numpy": "2.4.6"},
        git_commit="0123456789abcdef0123456789abcdef01234567",
        machine={"cpu": "x86_64", "cores": 2, "device": "cpu"},
        models=tuple(models) or tuple([make_model(e) for e in encoders] + [make_model(m, "text") for m in llms]),
        dataset={
            "name": "sample_data",
            "digest": "1a2b3c4d" * 8,
            "origin": "sample_data (no --align-data-root, no VLM_DATA_ROOT)",
            "n": n,
            "types": dict.fromkeys(TYPES, n // 3),
            "dropped": [{"where": "labels.jsonl:7", "reason": "image <img src=x onerror=alert(1)> not found"}],
        },
        warnings=("the cache was of another version and was left alone",),
    )


def make_score(
    metric: str,
    value: float | None,
    encoder: str | None = "mini-clip",
    llm: str | None = "mini-llama",
    *,
    spread: float = 0.03,
    null: Null | None = None,
    n: int = 90,
    deletions: Sequence[float] | None = None,
    **fields: object,
) -> Score:
    """Return a score; deletions scatter around the value as 30 blocks of a metric of that spread would."""
    if value is not None and deletions is None:
        noise = np.random.default_rng(abs(hash((metric, encoder, llm))) % 2**32).normal(size=30)
        deletions = value + spread / np.sqrt(30) * (noise - noise.mean()) / noise.std()
    interval = None if value is None else Interval(value - 2 * spread, value + 2 * spread, "delete-block jackknife")
    plain = {
        "experiment": "cka",
        "dataset": "sample_data@1a2b3c4d",
        "dims": (192, 256),
        "n": n,
        "null": null,
        "interval": interval,
        "deletions": tuple(deletions if deletions is not None else ()),
        "status": "ok" if value is not None else "not_applicable",
        "reason": None if value is not None else "zero variance in x",
        "params": {"mode": "cross-modal"},
        "reproduce": f"pytest benchmarks/ -k {metric} --encoders {encoder} --llms {llm}",
    } | fields
    return Score(metric=metric, value=value, encoder=encoder, llm=llm, **plain)  # type: ignore[arg-type]


def without_interval(score: Score) -> Score:
    """Return the score as it is of fewer than 20 groups."""
    return replace(score, interval=None, deletions=(), n=9, flags=(*score.flags, "n_too_small"))
