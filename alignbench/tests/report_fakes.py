"""Made-up runs: plausible scores and plot inputs, hostile ones included, for tests of report and figures."""

from __future__ import annotations

import zlib
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.findings import Findings
from alignbench.plots import Artifacts, CoralArrays, FigureInputs, SimilarityArrays
from alignbench.session.result import Result
from alignbench.tests.asked_fakes import asked_scores, matches
from alignbench.tests.attention_fakes import make_attention, make_pairs, make_varied
from alignbench.tests.compare_fakes import compare_scores, loss_curves
from alignbench.tests.speed_fakes import make_speed_scores
from alignbench.tests.vlm_fakes import vlm_run
from alignbench.types import Interval, ModelInfo, Null, Run, Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def make_result(scores: Sequence[Score], run: Run | None = None) -> Result:
    """Return the result of a session that computed these scores."""
    return Result((), tuple(scores), {}, run or make_run())


def make_run(
    encoders: Sequence[str] = ENCODERS,
    llms: Sequence[str] = LLMS,
    models: Sequence[ModelInfo] = (),
    n: int = 90,
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
        models=tuple(models)
        or tuple([make_model(e) for e in encoders] + [make_model(m, "text") for m in llms]),
        dataset={
            "name": "sample_data",
            "digest": "1a2b3c4d" * 8,
            "origin": "sample_data (no --align-data-root, no VLM_DATA_ROOT)",
            "n": n,
            "types": dict.fromkeys(TYPES, n // 3),
            "dropped": [
                {"where": "labels.jsonl:7", "reason": "image <img src=x onerror=alert(1)> not found"}
            ],
        },
        loads=({"model": "mini-clip", "seconds": 0.42},),
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
    **fields: Any,
) -> Score:
    """Return a score; deletions scatter around the value as 30 blocks of a metric of that spread would."""
    if value is not None and deletions is None:
        seed = zlib.crc32(f"{metric} {encoder} {llm}".encode(errors="replace"))
        noise = np.random.default_rng(seed).normal(size=30)
        deletions = value + spread / np.sqrt(30) * (noise - noise.mean()) / noise.std()
    interval = (
        None if value is None else Interval(value - 2 * spread, value + 2 * spread, "delete-block jackknife")
    )
    plain: dict[str, Any] = {
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
    return Score(metric=metric, value=value, encoder=encoder, llm=llm, **plain)


def without_interval(score: Score) -> Score:
    """Return the score as it is of fewer than 20 groups."""
    return replace(score, interval=None, deletions=(), n=9, flags=(*score.flags, "n_too_small"))


def make_scores(encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS) -> list[Score]:
    """Return the scores of a whole run: CKA, CORAL in three modes, EAS with its parts, speed."""
    rng = np.random.default_rng(0)
    scores: list[Score] = []
    for j, llm in enumerate(llms):
        for i, encoder in enumerate(encoders):
            aligned = max(0.02, 0.45 - 0.09 * i - 0.03 * j)
            ncoral = 0.12 + 0.05 * ((i * 3 + j) % 7)
            weights = {encoder: make_model(encoder).weights, llm: "embedded"}
            scores += _cross_modal(encoder, llm, aligned, ncoral, dict(weights))
    for side, names in (("encoder", encoders), ("llm", llms)):
        mode = "vision-vision" if side == "encoder" else "text-text"
        for a, first in enumerate(names):
            for second in names[a + 1 :]:
                sides = (first, None) if side == "encoder" else (None, first)
                for metric in ("ncoral", "spectral_ncoral"):
                    scores.append(
                        make_score(
                            metric,
                            float(rng.uniform(0.02, 0.5)),
                            *sides,
                            other=second,
                            experiment="coral",
                            higher_is_better=False,
                            params={"mode": mode, "align": "procrustes"},
                            flags=("conservative",),
                        )
                    )
                scores.append(
                    make_score(
                        "coral_similarity",
                        0.9999997,
                        *sides,
                        spread=1e-8,
                        other=second,
                        experiment="coral",
                        params={"mode": mode, "align": "procrustes"},
                        flags=("conservative", "saturated"),
                    )
                )
    kinds: dict[str, str] = {name: make_model(name).weights for name in encoders}
    return scores + make_speed_scores(encoders, llms, kinds)


def _cross_modal(
    encoder: str, llm: str, aligned: float, ncoral: float, weights: dict[str, str]
) -> list[Score]:
    exact = Null(
        "exact and 999 permutations",
        0.0,
        0.02,
        aligned / 0.02,
        0.001 if aligned > 0.04 else 0.3,
        999,
        0.01,
        0.02,
    )
    biased = Null("exact and 999 permutations", 0.35, 0.03, aligned / 0.03, 0.001, 999, 0.4, 0.02)
    shuffled = Null("shuffled pairs", 0.5, 0.015, draws=199)
    coral: dict[str, Any] = {"experiment": "coral", "weights": weights, "flags": ("conservative",)}
    eas: dict[str, Any] = {
        "experiment": "eas",
        "weights": weights,
        "null": shuffled,
        "flags": ("conservative",),
    }
    saturated = eas | {"flags": ("saturated", "conservative")}
    disc = 0.3 + 0.5 * aligned
    adjusted = {"calibrated_cka": aligned, "1 - ncoral": 1 - ncoral, "knn above chance": disc}
    published = {
        "linear_cka": 0.35 + 0.6 * aligned,
        "coral_similarity": 0.9999998,
        "discriminability_raw": disc + 0.1,
    }

    def total(parts: dict[str, float]) -> float:
        return sum(weight * part for weight, part in zip((0.3, 0.3, 0.4), parts.values(), strict=True))

    return [
        make_score("calibrated_cka", aligned, encoder, llm, null=exact, weights=weights),
        make_score("linear_cka", published["linear_cka"], encoder, llm, null=biased, weights=weights),
        make_score("ncoral", ncoral, encoder, llm, higher_is_better=False, **coral),
        make_score("spectral_ncoral", ncoral * 0.7, encoder, llm, higher_is_better=False, **coral),
        make_score("spectral_divergence", ncoral * 0.4, encoder, llm, higher_is_better=False, **coral),
        make_score("coral_distance", 1e-7, encoder, llm, spread=1e-8, higher_is_better=False, **coral),
        make_score(
            "coral_similarity",
            0.9999998,
            encoder,
            llm,
            spread=1e-8,
            **coral | {"flags": ("conservative", "saturated")},
        ),
        make_score(
            "eas",
            total(published),
            encoder,
            llm,
            **saturated,
            params={"mode": "cross-modal", "parts": published},
        ),
        make_score(
            "eas_adjusted",
            total(adjusted),
            encoder,
            llm,
            **eas | {"null": replace(shuffled, mean=0.36)},
            params={"mode": "cross-modal", "parts": adjusted},
        ),
    ]


def make_trained_scores(encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS) -> list[Score]:
    """Return the scores of elas and e2e: each over 5 splits and 5 seeds, with a re-trained control."""
    scores: list[Score] = []
    params: dict[str, Any] = {"splits": 5, "seeds": 5, "epochs": 300, "seed_spread": 0.01, "candidates": 18.0}
    for j, llm in enumerate(llms):
        for i, encoder in enumerate(encoders):
            fields: dict[str, Any] = {"weights": {encoder: make_model(encoder).weights, llm: "embedded"}}
            good = max(0.3, 0.9 - 0.12 * i - 0.05 * j)
            parts = {"linear_cka": 0.5 * good, "1 - mse": 0.3 * good, "1 - gap": 0.4, "cosine": good}
            shuffled = {"linear_cka": 0.15, "1 - mse": 0.0, "1 - gap": 0.38, "cosine": 0.02}
            own = params | {"parts": parts, "shuffled_parts": shuffled}
            null = Null("re-trained on shuffled pairs", 0.12, 0.02)
            elas = sum(w * v for w, v in zip((0.3, 0.3, 0.2, 0.2), parts.values(), strict=True))
            fields["experiment"] = "elas"
            scores.append(make_score("elas", elas, encoder, llm, null=null, params=own, **fields))
            fields["experiment"] = "e2e"
            for direction in ("image_to_text", "text_to_image"):
                for measure, chance in (("recall_at_1", 0.06), ("recall_at_5", 0.28), ("mrr", 0.19)):
                    null = Null("re-trained on shuffled pairs", chance + 0.01, 0.05, p=0.002, draws=999)
                    value = chance + (1 - chance) * 0.5 * good
                    variant = f"{direction} contrastive"
                    score = make_score(measure, value, encoder, llm, null=null, params=params, **fields)
                    scores.append(replace(score, chance=chance, variant=variant))
    return scores


def make_arrays(
    encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS, n: int = 90, k: int = 9
) -> tuple[list[CoralArrays], list[SimilarityArrays]]:
    """Return plot inputs: covariances, spectra of different steepness, cosines with blocks by type."""
    rng = np.random.default_rng(1)
    labels = tuple(sorted(TYPES[i % 3] for i in range(n)))
    spectra = {name: np.exp(-np.arange(64) / (2.0 + 2 * i)) for i, name in enumerate([*encoders, *llms])}
    spectra = {name: s / s.sum() for name, s in spectra.items()}
    coral = []
    for llm in llms:
        for encoder in encoders:
            sides = []
            for _ in range(2):
                root = rng.normal(size=(k, k)) * 0.3 + np.diag(np.exp(-np.arange(k) / 3))
                cov = root @ root.T
                sides.append(cov / np.trace(cov))
            coral.append(CoralArrays(encoder, llm, "cross-modal", spectra[encoder], spectra[llm], *sides))
    similarity = []
    for i, name in enumerate([*encoders, *llms]):
        x = rng.normal(size=(n, 16)) + 0.5 * i
        x[:, :3] += 2 * (np.array(labels)[:, None] == np.array(sorted(TYPES)))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        similarity.append(SimilarityArrays(name, x @ x.T, labels))
    return coral, similarity


def write_arrays(folder: Path, coral: Sequence[CoralArrays], similarity: Sequence[SimilarityArrays]) -> None:
    """Write plot inputs as experiments do."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, arrays in enumerate(coral):
        fields: Any = {name: np.asarray(value) for name, value in asdict(arrays).items()}
        np.savez(folder / f"coral-{i:02}.npz", **fields)
    for i, own in enumerate(similarity):
        np.savez(
            folder / f"similarity-{i:02}.npz", name=own.name, cosine=own.cosine, labels=np.array(own.labels)
        )


def make_inputs(encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS, k: int = 9) -> FigureInputs:
    """Return what all figures of a whole run are drawn from; who asks for the same gets the same object."""
    return _made_inputs(tuple(encoders), tuple(llms), k)


@cache
def _made_inputs(encoders: tuple[str, ...], llms: tuple[str, ...], k: int) -> FigureInputs:
    coral, similarity = make_arrays(encoders, llms, k=k)
    gains, trained = vlm_run(encoders, llms)
    localised, maps = make_attention(encoders)
    scores = [
        *make_scores(encoders, llms),
        *compare_scores(make_score, encoders, llms),
        *make_matrix(encoders, llms),
        *make_trained_scores(encoders, llms),
        *gains,
        *localised,
        *make_varied(encoders, llms),
        *asked_scores(make_score, encoders, llms),
    ]
    artifacts: dict[str, Any] = {
        "losses": loss_curves(encoders, llms),
        **make_spaces(encoders, llms),
        "vlm": trained,
        "attention": maps,
        "matches": matches(encoders),
        **make_pairs(encoders, llms),
    }
    return Findings.of(scores, make_run(encoders, llms)).figure_inputs(
        Artifacts(coral, similarity, artifacts)
    )


def make_matrix(encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS) -> list[Score]:
    """Return the scores of the LLM matrices: the last encoder is no better than shuffled pairs."""
    scores = []
    for metric, higher in (("calibrated_cka", True), ("bures_similarity", False)):
        for j, llm in enumerate(llms):
            for i, encoder in enumerate(encoders):
                aligned = max(0.02, 0.45 - 0.09 * i - 0.03 * j)
                null = Null(
                    "permutation of groups", 0.0, 0.02, p=0.4 if i and i == len(encoders) - 1 else 0.001
                )
                value = aligned if higher else 1 - aligned
                about: dict[str, Any] = {"experiment": "multi_llm", "higher_is_better": higher, "null": null}
                scores.append(make_score(metric, value, encoder, llm, **about))
    return scores


def make_spaces(
    encoders: Sequence[str] = ENCODERS, llms: Sequence[str] = LLMS, n: int = 90, types: Sequence[str] = TYPES
) -> dict[str, list[dict[str, Any]]]:
    """Return layouts of every model by every method, and an overlay of every pair."""
    rng = np.random.default_rng(2)
    labels = np.array([types[i % len(types)] for i in range(n)])
    ids = np.array([f"sample-{i}" for i in range(n)])
    layouts = [
        {
            "name": np.array(name),
            "method": np.array(method),
            "points": rng.normal(size=(n, 2)) + (labels == types[0])[:, None],
            "labels": labels,
            "ids": ids,
        }
        for name in (*encoders, *llms)
        for method in ("tsne", "umap", "pca")
    ]
    half = slice(0, n, 2)
    overlays = []
    for encoder in encoders:
        for llm in llms:
            x = rng.normal(size=(len(labels[half]), 2))
            about = {"name_x": np.array(encoder), "name_y": np.array(llm), "labels": np.sort(labels[half])}
            cross = np.tanh(x @ x.T)
            overlays.append({**about, "x": x, "y": x + 0.3, "cross": cross, "ids": ids[half]})
    return {"layout": layouts, "overlay": overlays}
