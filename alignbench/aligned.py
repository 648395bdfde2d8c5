"""`assert_aligned`: for your own tests, which fail if an encoder does not fit an LLM well enough."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from alignbench.datasets.copies import REPEATED, copies_of
from alignbench.errors import AlignbenchWarning, InputError
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.findings.numbers import probability
from alignbench.metrics import METRICS
from alignbench.stats import LEVEL
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alignbench.metrics import Metric
    from alignbench.types import Pair, Score

EXPERIMENT = "custom"


def assert_aligned(
    pair: Pair,
    metric: str | Metric = "calibrated_cka",
    at_least: float | None = None,
    alpha: float | None = LEVEL,
    *,
    at_most: float | None = None,
    record: Callable[[Metric, Pair], Score] | None = None,
) -> Score:
    """Return the score of a pair if it is good enough and better than chance.

    Args:
        pair: the embeddings of both sides, as the fixture `pair` gives them.
        metric: a registered metric, or its name.
        at_least: the smallest value that is accepted, for a metric of which higher is better.
        alpha: the largest p that is accepted: how often shuffled pairs may score as well. With None, p is not
            judged. A metric that does not see which text belongs to which image has no p, and needs None.
        at_most: the largest value that is accepted, for a metric of which lower is better.
        record: the fixture `record`. It computes the score with the options of the run and adds it to the
            report, even if it is not good enough. Without it, the suite's defaults are used; `record.score`
            can add the returned score to the report.

    Returns:
        The score with null, interval and flags.

    Raises:
        AssertionError: the score is not good enough or does not exist; one line gives the numbers.
        UnknownNameError: the metric is not registered.
        InputError: no score could pass, or every score would.

    Examples:
        >>> import numpy as np
        >>> from alignbench.types import Embeddings, ModelInfo, Pair
        >>> x = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
        >>> ids = tuple(map(str, range(30)))
        >>> images = Embeddings(ModelInfo("mine", "vision", "other", "here", "custom"), x, ids)
        >>> texts = Embeddings(ModelInfo("llm", "text", "other", "here", "custom"), 2 * x, ids)
        >>> pair = Pair(images, texts, labels=("all",) * 30, groups=ids, dataset="toy")
        >>> round(assert_aligned(pair, at_least=0.9).value, 3)
        1.0
    """
    __tracebackhide__ = True
    known = METRICS.get(metric)
    _check(known, at_least, at_most, alpha)
    score = _score(known, pair) if record is None else record(known, pair)
    if score.value is None:
        raise AssertionError(f"{pair.name}: {known.name} does not exist: {score.reason}")
    p = None if score.null is None else score.null.p
    if alpha is not None and p is None:
        raise InputError(
            f"{pair.name}: {known.name} has no p here; give alpha=None to ask for its value alone"
        )
    if problems := list(_problems(score, p, at_least, at_most, alpha)):
        raise AssertionError(f"{pair.name}: {_described(score, p)}; asked for {' and '.join(problems)}")
    return score


def _score(metric: Metric, pair: Pair) -> Score:
    """Return the score under the suite's defaults; it is flagged if rows are copies that are not grouped."""
    score = score_pair(metric, pair, Settings(), experiment=EXPERIMENT)
    sides = [(side.model.label, side.values) for side in (pair.x, pair.y)]
    advice = "Give the pair's groups: rows of one image, or of one text, are one."
    copies = copies_of(sides, pair.groups, advice)
    for sentence in copies:
        warnings.warn(sentence, AlignbenchWarning, stacklevel=3)
    return score.flagged(REPEATED) if copies else score


def _check(metric: Metric, at_least: float | None, at_most: float | None, alpha: float | None) -> None:
    wrong = at_most if metric.higher_is_better else at_least
    if wrong is not None:
        better, right = ("higher", "at_least") if metric.higher_is_better else ("lower", "at_most")
        raise InputError(f"assert_aligned: of {metric.name} {better} is better; give {right}, got {wrong}")
    bound = at_least if metric.higher_is_better else at_most
    if bound is not None and not math.isfinite(bound):
        raise InputError(f"assert_aligned: expected a finite bound of {metric.name}, got {bound}")
    if alpha is not None and not 0 < alpha < 1:
        raise InputError(f"assert_aligned: alpha: expected a value between 0 and 1, or None, got {alpha}")
    if bound is None and alpha is None:
        raise InputError("assert_aligned: expected a bound or an alpha: nothing is asked for")


def _problems(
    score: Score, p: float | None, at_least: float | None, at_most: float | None, alpha: float | None
) -> Iterator[str]:
    value = score.value
    assert value is not None
    if at_least is not None and value < at_least:
        yield f"at least {at_least:g}"
    if at_most is not None and value > at_most:
        yield f"at most {at_most:g}"
    if alpha is not None and p is not None and p > alpha:
        draws = None if score.null is None else score.null.draws
        least = 0.0 if not draws else 1 / (draws + 1)
        why = f" (which {draws} permutations can't show: draw more)" if least > alpha else ""
        yield f"p of at most {alpha:g}{why}"


def _described(score: Score, p: float | None) -> str:
    """Return the value with its interval, p and n."""
    interval = score.interval
    parts = [
        "no interval"
        if interval is None
        else f"{interval.level:.0%} interval {number(interval.low)} to {number(interval.high)}",
        "no p" if p is None else f"p {probability(p)}",
        f"n {score.n}",
    ]
    return f"{score.metric} is {number(score.value)} ({', '.join(parts)})"
