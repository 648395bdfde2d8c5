"""Made-up scores and arrays of the trained VLM, for the report's and the figures' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.types import Interval, Null, Score

if TYPE_CHECKING:
    from collections.abc import Sequence


def vlm_arrays(encoder: str, llm: str = "mini-llama", gain: float = 0.1, epochs: int = 5) -> dict[str, Any]:
    """Return what a pair's figures are drawn from: three splits with one training each."""
    rng = np.random.default_rng(0)
    right = 0.7 - gain / 2 + rng.normal(0, 0.02, (3, 1))
    names = {"encoder": encoder, "llm": llm, "projector": "linear"}
    return {
        **{name: np.array(value) for name, value in names.items()},
        "right": right,
        "shuffled": right + gain,
        "none": np.full((3, 1), 0.7),
        "test_to_train": np.array(0.25),
        "train_curve": np.linspace(0.9, 0.6, 3 * epochs).reshape(3, epochs),
        "held_out_curve": np.linspace(0.9, 0.7, 3 * epochs).reshape(3, epochs),
    }


def gain_score(encoder: str, llm: str = "mini-llama", gain: float = 0.1) -> Score:
    """Return the image gain of a pair."""
    return Score(
        "vlm",
        "image_gain",
        gain,
        encoder,
        llm,
        "sample_data@1a2b3c4d",
        90,
        (192, 256),
        variant="linear",
        null=Null("images permuted", mean=0.0, p=0.004),
        interval=Interval(gain - 0.1, gain + 0.1, "corrected t over 3 splits"),
    )


def vlm_run(encoders: Sequence[str], llms: Sequence[str]) -> tuple[list[Score], list[dict[str, Any]]]:
    """Return the gains and the arrays of all pairs."""
    pairs = [(e, m, 0.2 - 0.05 * i) for i, e in enumerate(encoders) for m in llms]
    return [gain_score(*pair) for pair in pairs], [vlm_arrays(*pair) for pair in pairs]
