"""Scores of nested samples of a run, and of averaged captions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.many import most_groups, subsample
from alignbench.experiments.scaling.names import AT_N, CAPTIONS, STANDS
from alignbench.experiments.scoring import evaluate_pair, identity, preprocessing
from alignbench.metrics import METRICS
from alignbench.rows import unit_rows
from alignbench.stats.scaling import SMALLEST, agreement, sizes_up_to, stands_from, told_apart
from alignbench.stats.splits import rng_for, some_groups
from alignbench.stats.standings import standings
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.experiments.scoring import Settings
    from alignbench.metrics import Metric
    from alignbench.types import Pair


def scaling(pairs: Sequence[Pair], metrics: Sequence[str], settings: Settings, draws: int) -> list[Score]:
    """Return for each metric and LLM the scores of nested samples, and the n from which their order stands.

    In each draw, the groups have a random order, and a sample of n groups has the first n of them: so a
    smaller sample is a part of the larger ones, and all encoders see the same samples.

    Args:
        pairs: every encoder with every LLM, over the same samples.
        metrics: the names of the metrics.
        settings: how the run scores.
        draws: the number of random orders.

    Raises:
        NotApplicableError: there are too few groups to take a part of them.
    """
    groups = min(pair.n_groups for pair in pairs)
    if groups <= SMALLEST:
        raise NotApplicableError(f"nested samples take more than {SMALLEST} groups, and there are {groups}")
    scores = []
    for name in metrics:
        metric = METRICS.get(name)
        for llm in dict.fromkeys(pair.y.model.label for pair in pairs):
            chosen = [_at_most(pair, metric, settings) for pair in pairs if pair.y.model.label == llm]
            scores += _of_llm(metric, chosen, settings, draws)
    return scores


def _at_most(pair: Pair, metric: Metric, settings: Settings) -> Pair:
    """Return the pair, or the sample of it that a run scores by this metric."""
    most = most_groups(metric, pair.n_groups)
    return pair if most == pair.n_groups else subsample(pair, most, settings.seed)


def _of_llm(metric: Metric, pairs: Sequence[Pair], settings: Settings, draws: int) -> list[Score]:
    """Return the scores of a metric of every encoder with one LLM."""
    *sizes, n = sizes_up_to(pairs[0].n_groups)
    whole = {pair.x.model.label: _whole(metric, pair, settings, AT_N, f"n = {n}") for pair in pairs}
    drawn: dict[int, dict[str, list[float]]] = {size: {} for size in sizes}
    scores: list[Score] = []
    for pair in pairs:
        encoder = pair.x.model.label
        for size in sizes:
            score = _sampled(metric, pair, settings, size, draws)
            scores.append(score)
            drawn[size][encoder] = list(score.repeats)
        scores += [whole[encoder], *_of_captions(metric, pair, settings)]
    if len(pairs) > 1:
        scores.append(_standing(metric, pairs[0], whole, drawn, settings))
    return scores


def _common(metric: Metric, pair: Pair, settings: Settings, what: str, variant: str) -> dict[str, Any]:
    return {
        **identity(pair, "scaling", settings.seed),
        "metric": what,
        "variant": f"{metric.name}, {variant}",
        "dims": (pair.x.dim, pair.y.dim),
        "higher_is_better": metric.higher_is_better,
        "unit": metric.unit,
        "params": {**preprocessing(pair), "of": metric.name},
    }


def _whole(metric: Metric, pair: Pair, settings: Settings, what: str, variant: str) -> Score:
    """Return the score of all samples of a pair, with its interval."""
    common = _common(metric, pair, settings, what, variant)
    try:
        evaluation = evaluate_pair(metric, pair, settings, null=False)
    except DegenerateError as error:
        return Score(value=None, status="not_applicable", reason=str(error), **common)
    return Score(
        value=evaluation.value,
        interval=evaluation.interval,
        deletions=evaluation.deletions,
        flags=evaluation.flags,
        **common,
    )


def _sampled(metric: Metric, pair: Pair, settings: Settings, size: int, draws: int) -> Score:
    """Return the mean of a metric over samples of a size; its `repeats` are the values of the samples."""
    names = np.asarray(pair.groups)
    common = _common(metric, pair, settings, AT_N, f"n = {size}") | {"n": size}
    common["params"] |= {"draws": draws}
    values = []
    try:
        for draw in range(draws):
            rows = np.flatnonzero(some_groups(names, size, settings.seed, f"scaling {draw}"))
            sample = pair.take(rows)
            values.append(evaluate_pair(metric, sample, settings, null=False, interval=False).value)
    except DegenerateError as error:
        return Score(value=None, status="not_applicable", reason=str(error), **common)
    return Score(value=float(np.mean(values)), repeats=tuple(values), **common)


def _standing(
    metric: Metric,
    pair: Pair,
    whole: dict[str, Score],
    drawn: dict[int, dict[str, list[float]]],
    settings: Settings,
) -> Score:
    """Return the smallest size from which samples order the encoders of an LLM as all samples do."""
    order = told_apart(standings(whole).tie_groups or ())
    shares = {
        size: agreement(order, values, metric.higher_is_better)
        for size, values in drawn.items()
        if all(values.values())
    }
    common = _common(metric, pair, settings, STANDS, "") | {
        "variant": metric.name,
        "encoder": None,
        "unit": "groups",
        "higher_is_better": False,
    }
    common["params"] = {
        "of": metric.name,
        "told_apart": [list(names) for names in order],
        "shares": {str(size): share for size, share in shares.items()},
    }
    if not order:
        reason = f"all {pair.n_groups} groups tell no two encoders apart, so there is no order to find again"
        return Score(value=None, status="not_applicable", reason=reason, **common)
    size = stands_from(shares)
    if size is None:
        largest = max(drawn)
        reason = (
            f"samples of {largest} groups give the order of all {pair.n_groups} in only "
            f"{shares.get(largest, 0.0):.0%} of draws; take more samples"
        )
        return Score(value=None, status="not_applicable", reason=reason, **common)
    return Score(value=size, **common)


def _of_captions(metric: Metric, pair: Pair, settings: Settings) -> Iterator[Score]:
    """Yield the scores with 1, 2, 4, ... texts of each image averaged, if images have several."""
    most = max((len(rows) for rows in _rows_of_images(pair).values()), default=0)
    if most > 1:
        for count in (*(2**i for i in range(most.bit_length()) if 2**i < most), most):
            averaged = average_texts(pair, count, settings.seed)
            yield _whole(metric, averaged, settings, CAPTIONS, f"{count} of an image")


def average_texts(pair: Pair, count: int, seed: int) -> Pair:
    """Return one row for each image: its vector, and the mean of the vectors of at most `count` of its texts.

    The texts are drawn by the seed. If the LLM's vectors have unit length, the means get it, too.
    """
    images = _rows_of_images(pair)
    first = np.array([rows[0] for rows in images.values()], dtype=np.intp)
    means = np.stack(
        [
            pair.y.values[rng_for(seed, "captions", name).permutation(rows)[:count]].mean(axis=0)
            for name, rows in images.items()
        ]
    )
    one = pair.take(first)
    values = unit_rows(means) if pair.y.model.params.get("l2", True) else means
    return replace(one, y=replace(one.y, values=np.asarray(values, dtype=pair.y.values.dtype)))


def _rows_of_images(pair: Pair) -> dict[str, list[int]]:
    """Return image -> its rows, without rows that repeat one of its texts; empty if images aren't known."""
    rows: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row, (image, text) in enumerate(zip(pair.images, pair.texts, strict=True)):
        rows[image].setdefault(text, row)
    return {image: list(texts.values()) for image, texts in rows.items()}
