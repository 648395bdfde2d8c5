"""A small VLM that is really trained: a projector learns to let the frozen LLM predict captions of images.

This is the first stage of LLaVA, with a frozen encoder. The results on held-out groups are compared with
those of the same trained projector with other images, and without any image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.experiments.trained import TEST_TO_TRAIN, plan, split_interval
from alignbench.experiments.vlm.answers import answer_scores, asked
from alignbench.experiments.vlm.control import DERANGEMENTS, derangement, image_blocks, shuffled_nulls
from alignbench.experiments.vlm.learning import MORE, UNDERFIT, learning_flags
from alignbench.experiments.vlm.predictors import a_score, integration_score, within_type_score
from alignbench.experiments.vlm.result import Job, VLMResult, VLMSettings
from alignbench.stats import multi_split_p, rng_for, seed_for, seed_spread
from alignbench.types import Interval, Null, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset, Sample
    from alignbench.hidden import Patches
    from alignbench.llms.base import CausalLM
    from alignbench.types import ModelInfo

    IntervalMaker = Callable[[NDArray[np.float64], tuple[float, float]], Interval | None]

METRICS = (
    "caption_perplexity",
    "a_score",
    "image_gain",
    "gain_within_type",
    "mir",
    "answer_exact_match",
)
LOWER_IS_BETTER = frozenset({"caption_perplexity", "mir"})


def plan_jobs(samples: Sequence[Sample], settings: VLMSettings) -> tuple[Job, ...]:
    """Return the trainings of a pair, which are the same for every encoder and LLM.

    All images and wordings of a group are in the same part.

    Raises:
        TooFewSamplesError: there are too few groups.
    """
    groups, repeats = np.asarray([sample.group for sample in samples]), settings.repeats
    jobs = []
    for split in plan(groups.tolist(), repeats):
        number, train, rows = split.number, np.flatnonzero(split.train), np.flatnonzero(split.test)
        test = rows[np.unique(groups[rows], return_index=True)[1]]
        test.sort()
        rng = rng_for(repeats.seed, "vlm", str(number))
        blocks = image_blocks(groups[test], repeats.seed, f"vlm {number}")
        other = derangement(np.zeros(len(test), dtype=np.intp), rng)
        questions = tuple((place, q) for place, row in enumerate(test) for q, _, _ in asked(samples[row]))
        seeds = [seed_for(repeats.seed, "vlm", number, again) for again in range(repeats.seeds)]
        jobs += [Job(number, seed, train, test, blocks, other, questions) for seed in seeds]
    return tuple(jobs)


def train_vlm(
    patches: Patches,
    samples: Sequence[Sample],
    llm: CausalLM,
    settings: VLMSettings,
    *,
    dataset: str,
    tell: Callable[[int], None] | None = None,
) -> VLMResult:
    """Train the projectors of one encoder and one LLM, and test each on its held-out groups.

    Args:
        patches: the encoder's patches; row i is that of sample i.
        samples: the data.
        llm: the loaded LLM, whose weights are not changed.
        settings: the settings of the training.
        dataset: the label of the data.
        tell: called with 1 after each training.

    Raises:
        TooFewSamplesError: there are too few groups.
        DataError: a caption has no tokens.
        ModelError: the loss is not finite.
    """
    from alignbench.experiments.vlm.training import run_jobs

    jobs = plan_jobs(samples, settings)
    trained, params = run_jobs(patches.values, samples, llm, jobs, settings, tell)
    return VLMResult(patches.model, llm.info, dataset, tuple(samples), jobs, tuple(trained), settings, params)


def vlm(
    patches: Callable[[], Patches],
    llm: Callable[[], CausalLM],
    data: Dataset,
    settings: VLMSettings,
    *,
    names: tuple[ModelInfo, ModelInfo],
    tell: Callable[[int], None] | None = None,
) -> tuple[list[Score], dict[str, NDArray[Any]] | None]:
    """Return all scores of one encoder and one LLM, and the arrays for their figures.

    If nothing can be trained, no model is loaded, and the scores have the status `not_applicable` and the
    reason.

    Args:
        patches: returns the encoder's patches.
        llm: loads and returns the LLM with its head.
        data: the samples.
        settings: the settings of the training.
        names: the encoder and the LLM, for scores without a value.
        tell: called with 1 after each training.
    """
    try:
        plan_jobs(data.samples, settings)
    except DegenerateError as error:
        sharing = Sharing.of_samples(data.samples)
        reason = why_not(error, sharing)
        return not_trainable(reason, *names, data.label, sharing.groups, settings), None
    result = train_vlm(patches(), data.samples, llm(), settings, dataset=data.label, tell=tell)
    return vlm_scores(result), vlm_arrays(result)


def vlm_scores(result: VLMResult) -> list[Score]:
    """Return the perplexity of captions, the gain from the image, modality integration and answers."""
    numbers, repeats = _log_perplexities(result), result.settings.repeats
    nulls = [_nulls(result, number) for number in range(repeats.splits)]
    gain = _gain(result, numbers, nulls)
    common, interval = _common(result), _interval_maker(result)
    curves, p = _curves(result), gain.null.p if gain.null is not None else None
    flags = learning_flags(curves["train_curve"], curves["held_out_curve"], p)
    advice = {"epochs_to_try": MORE * repeats.epochs} if UNDERFIT in flags else {}
    learnt = (
        _perplexity(result, numbers, nulls),
        a_score(numbers, nulls, common, interval),
        gain,
        within_type_score(result, nulls, common, interval),
        integration_score(result, common, interval),
    )
    return [
        *(
            replace(score, flags=(*score.flags, *flags), params={**score.params, **advice})
            for score in learnt
        ),
        *answer_scores(result, common, interval),
    ]


def vlm_arrays(result: VLMResult) -> dict[str, NDArray[Any]]:
    """Return the arrays for the figures: log perplexities [splits, seeds] and loss curves."""
    names = {"encoder": result.encoder.label, "llm": result.llm.label, "projector": result.settings.projector}
    return {
        **{name: np.array(value) for name, value in names.items()},
        **_log_perplexities(result),
        "test_to_train": np.array(_test_to_train(result)),
        **_curves(result),
    }


def _curves(result: VLMResult) -> dict[str, NDArray[np.float64]]:
    """Return the loss curves [trainings, epochs] of training batches, and then of held-out captions."""
    return {
        "train_curve": np.stack([training.train_curve for training in result.trained]),
        "held_out_curve": np.stack([training.held_out_curve for training in result.trained]),
    }


def not_trainable(
    reason: str, encoder: ModelInfo, llm: ModelInfo, dataset: str, n: int, settings: VLMSettings
) -> list[Score]:
    """Return scores without values, each with the reason."""
    empty = VLMResult(encoder, llm, dataset, (), (), (), settings, {})
    common = {**_common(empty), "n": n, "status": "not_applicable", "reason": reason, "value": None}
    return [Score(metric=name, higher_is_better=name not in LOWER_IS_BETTER, **common) for name in METRICS]


def _common(result: VLMResult) -> dict[str, Any]:
    settings, repeats = result.settings, result.settings.repeats
    sides = (result.encoder, result.llm)
    return {
        "experiment": "vlm",
        "encoder": result.encoder.label,
        "llm": result.llm.label,
        "dataset": result.dataset,
        "variant": settings.projector,
        "n": len({sample.group for sample in result.samples}),
        "dims": result.params.get("dims", ()),
        "seed": repeats.seed,
        "weights": {side.label: side.weights for side in sides},
        "params": {
            "mode": "cross-modal",
            "projector": settings.projector,
            "epochs": repeats.epochs,
            "splits": repeats.splits,
            "seeds": repeats.seeds,
            "batch": settings.batch,
            "test_to_train": _test_to_train(result),
            "preprocessing": {side.label: dict(side.params) for side in sides},
            **{name: value for name, value in result.params.items() if name != "dims"},
        },
    }


def _test_to_train(result: VLMResult) -> float:
    if not result.jobs:
        return TEST_TO_TRAIN
    groups = np.asarray([sample.group for sample in result.samples])
    ratios = [len(job.test) / len(set(groups[job.train])) for job in result.jobs]
    return float(np.mean(ratios))


def _log_perplexities(result: VLMResult) -> dict[str, NDArray[np.float64]]:
    """Return -log p per token [splits, seeds] of held-out captions with their own, other and no images."""
    shape = (result.settings.repeats.splits, result.settings.repeats.seeds)
    numbers = {}
    for name in ("right", "shuffled", "none"):
        values = [getattr(training, name) for training in result.trained]
        numbers[name] = np.asarray(values, dtype=np.float64).reshape(shape)
    return numbers


def _nulls(result: VLMResult, split: int) -> Null:
    """Return the null of a split, whose images are shuffled; seeds are averaged before."""
    of_split = [i for i, job in enumerate(result.jobs) if job.split == split]
    losses = np.mean([result.trained[i].losses for i in of_split], axis=0)
    job, repeats = result.jobs[of_split[0]], result.settings.repeats
    return shuffled_nulls(
        losses,
        result.trained[of_split[0]].tokens,
        job.blocks,
        result.types(job),
        repeats.permutations,
        rng_for(repeats.seed, "vlm null", str(split)),
    )


def _interval_maker(result: VLMResult) -> IntervalMaker:
    ratio, groups = _test_to_train(result), len({sample.group for sample in result.samples})
    return lambda values, bounds: split_interval(values, groups, ratio=ratio, bounds=bounds)


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {"seed_spread": seed_spread(values)} if values.shape[1] > 1 else {}


def _perplexity(
    result: VLMResult, numbers: Mapping[str, NDArray[np.float64]], nulls: Sequence[Null]
) -> Score:
    common, right = _common(result), numbers["right"]
    logs = _interval_maker(result)(right, (0.0, np.inf))
    interval = None if logs is None else replace(logs, low=np.exp(logs.low), high=np.exp(logs.high))
    means = np.asarray([null.mean for null in nulls], dtype=np.float64)
    spreads = np.asarray([null.std for null in nulls], dtype=np.float64)
    mean = float(np.exp(means.mean()))
    params = {
        **common.pop("params"),
        "averaged": "logarithms",
        "shuffled": float(np.exp(numbers["shuffled"].mean())),
        "no_image": float(np.exp(numbers["none"].mean())),
        **_spread(right),
    }
    return Score(
        metric="caption_perplexity",
        value=float(np.exp(right.mean())),
        interval=interval,
        null=Null("shuffled images", mean=mean, std=mean * float(spreads.mean()), draws=DERANGEMENTS),
        repeats=tuple(np.exp(right).ravel()),
        higher_is_better=False,
        unit="per token",
        params=params,
        **common,
    )


def _gain(result: VLMResult, numbers: Mapping[str, NDArray[np.float64]], nulls: Sequence[Null]) -> Score:
    common = _common(result)
    gain = numbers["shuffled"] - numbers["right"]
    interval = _interval_maker(result)(gain, (-np.inf, np.inf))
    within = [null.within_p for null in nulls if null.within_p is not None]
    params = {
        **common.pop("params"),
        # The perplexity with the right image over that with another one.
        "ratio": float(np.exp(-gain.mean())),
        "ratio_low": None if interval is None else float(np.exp(-interval.high)),
        "ratio_high": None if interval is None else float(np.exp(-interval.low)),
        "gain_over_no_image": float((numbers["none"] - numbers["right"]).mean()),
        "gain_within_type": _mean_or_none([null.within_mean for null in nulls]),
        **_spread(gain),
    }
    return Score(
        metric="image_gain",
        value=float(gain.mean()),
        interval=interval,
        null=Null(
            "images permuted among held-out groups, splits combined",
            mean=0.0,
            p=multi_split_p([null.p for null in nulls if null.p is not None]),
            draws=result.settings.repeats.permutations,
            within_p=multi_split_p(within) if within else None,
        ),
        chance=0.0,
        repeats=tuple(gain.ravel()),
        unit="nats per token",
        params=params,
        **common,
    )


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
