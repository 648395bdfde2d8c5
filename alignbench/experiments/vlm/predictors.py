"""What a training gives besides the gain: the A score, modality integration, and the gain within a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.experiments.vlm.control import DERANGEMENTS, gain_within
from alignbench.stats import multi_split_p, seed_spread
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.vlm.result import VLMResult
    from alignbench.types import Interval

    Values = NDArray[np.float64]
    IntervalMaker = Callable[[Values, tuple[float, float]], Interval | None]


def a_score(
    numbers: Mapping[str, Values], nulls: Sequence[Null], common: Mapping[str, Any], interval: IntervalMaker
) -> Score:
    r"""Return $-\log$ of `caption_perplexity`: the mean log-likelihood of a token of held-out captions.

    Args:
        numbers: -log p per token [splits, seeds] with their own images ("right"), others and none.
        nulls: the null of each split, with shuffled images.
        common: the fields that all scores of the result share.
        interval: makes an interval of values [splits, seeds] and bounds.

    Source:
        Yang et al. (2024), arXiv 2408.16357, version 3.
    """
    values = -numbers["right"]
    means, spreads = (np.asarray([getattr(null, name) for null in nulls]) for name in ("mean", "std"))
    params = {
        **common["params"],
        "shuffled": float(-numbers["shuffled"].mean()),
        "no_image": float(-numbers["none"].mean()),
        **_spread(values),
    }
    return Score(
        metric="a_score",
        value=float(values.mean()),
        interval=interval(values, (-np.inf, 0.0)),
        null=Null(
            "shuffled images", mean=float(-means.mean()), std=float(spreads.mean()), draws=DERANGEMENTS
        ),
        repeats=tuple(values.ravel()),
        unit="nats per token",
        **{**common, "params": params},
    )


def integration_score(result: VLMResult, common: Mapping[str, Any], interval: IntervalMaker) -> Score:
    """Return the modality integration rate after the training, beside that before it.

    Args:
        result: the trainings.
        common: the fields that all scores of the result share.
        interval: makes an interval of values [splits, seeds] and bounds.
    """
    values, untrained = (
        _by_split(result, [getattr(training, name) for training in result.trained])
        for name in ("integration", "untrained_integration")
    )
    fields = {**common, "metric": "mir", "higher_is_better": False, "unit": "log10"}
    if not (np.isfinite(values).all() and np.isfinite(untrained).all()):
        reason = "the LLM's states of image tokens or of text tokens are not finite, or all the same"
        return Score(value=None, status="not_applicable", reason=reason, **fields)
    spread = float(untrained.std(ddof=1)) if untrained.size > 1 else None
    return Score(
        value=float(values.mean()),
        interval=interval(values, (-np.inf, np.inf)),
        null=Null("projectors before their training", mean=float(untrained.mean()), std=spread),
        repeats=tuple(values.ravel()),
        **{**fields, "params": {**common["params"], **_spread(values)}},
    )


def within_type_score(
    result: VLMResult, nulls: Sequence[Null], common: Mapping[str, Any], interval: IntervalMaker
) -> Score:
    """Return the gain of the right image over others of its data type, in nats per token.

    Args:
        result: the trainings.
        nulls: the null of each split, with the p of images permuted within data types.
        common: the fields that all scores of the result share.
        interval: makes an interval of values [splits, seeds] and bounds.
    """
    found = [
        gain_within(training.losses, training.tokens, job.blocks, result.types(job))
        for job, training in zip(result.jobs, result.trained, strict=True)
    ]
    fields = {**common, "metric": "gain_within_type", "unit": "nats per token"}
    known = [gain for gain in found if gain is not None]
    if len(known) < len(found):
        reason = "some held-out parts have no two images of one data type to exchange; use more samples"
        return Score(value=None, status="not_applicable", reason=reason, **fields)
    values = _by_split(result, known)
    null = Null(
        "images permuted within data types, splits combined",
        mean=0.0,
        p=multi_split_p([null.within_p for null in nulls if null.within_p is not None]),
        draws=result.settings.repeats.permutations,
    )
    return Score(
        value=float(values.mean()),
        interval=interval(values, (-np.inf, np.inf)),
        null=null,
        chance=0.0,
        repeats=tuple(values.ravel()),
        **{**fields, "params": {**common["params"], **_spread(values)}},
    )


def _by_split(result: VLMResult, values: Sequence[float]) -> Values:
    repeats = result.settings.repeats
    return np.asarray(values, dtype=np.float64).reshape(repeats.splits, repeats.seeds)


def _spread(values: Values) -> dict[str, float]:
    return {"seed_spread": seed_spread(values)} if values.shape[1] > 1 else {}
