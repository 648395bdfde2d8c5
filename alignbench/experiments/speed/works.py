"""What is timed (decoding, preprocessing, encoders, LLMs and metrics), and the scores of the timings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import cycle, islice
from statistics import stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets import open_image
from alignbench.embed.batches import text_batches
from alignbench.embed.models import embed_of, image_calls, info_of
from alignbench.experiments.speed.rounds import TooSlow
from alignbench.metrics import METRICS
from alignbench.types import Score
from alignbench.weights.handle import Handle
from alignbench.weights.protocols import prepares_images, prepares_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from alignbench.datasets import Dataset, Sample
    from alignbench.experiments.speed.machine import Machine
    from alignbench.experiments.speed.rounds import Timing
    from alignbench.metrics import Metric
    from alignbench.types import ModelInfo
    from alignbench.weights.protocols import ImageModel, TextModel

IMAGES = 16  # decoded or preprocessed in a call
TEXTS = 32  # embedded in a call
TOKENS_PER_BATCH = 2048  # as in embedding
WIDTH = 256  # of both sides of the synthetic embeddings
PARTS = (10, 5)  # a tenth and a fifth of the rows tell roughly how long all of them will take
_FEWEST = 100  # rows; the time of fewer says nothing about that of many
TYPES = ("chart", "table", "document")


@dataclass(frozen=True, slots=True)
class Work:
    """Something to be timed.

    Args:
        latency: the name of the metric that records the time, in milliseconds.
        call: does the work; None if there is nothing to do, and `reason` says why.
        per: what the recorded time is divided by: 1 for a whole batch, or the number of its parts.
        items: how many images, texts or rows a call handles.
        throughput: name of a metric per second -> (how many items a call counts, unit).
        at: what tells this work from other work of the same model, such as {"batch_size": 4}.
        dataset: name and digest, or "synthetic".
        model: the model that does the work; None if there is none.
        dims: the width of both sides of a metric.
        brief: whether there is so much work of this kind that a run of everything gives it little time.
        memory: whether to measure also the memory that it needs.
        weights: how many bytes the model's weights take in memory; 0 if unknown.
        group: the group in pytest-benchmark's table.
        series: the name that work with more or fewer items shares; "" if there is no such work.
        parts: items -> the same work with that many items, to predict how long all items will take.
        reason: why there is nothing to do.
    """

    latency: str
    call: Callable[[], object] | None
    dataset: str
    items: int
    group: str
    per: int = 1
    throughput: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    at: Mapping[str, Any] = field(default_factory=dict)
    model: ModelInfo | None = None
    dims: tuple[int, ...] = ()
    brief: bool = False
    memory: bool = False
    weights: int = 0
    series: str = ""
    parts: Mapping[int, Callable[[], object]] = field(default_factory=dict)
    reason: str = ""


def decoding(dataset: Dataset) -> Work:
    """Return the decoding of images from their bytes in memory."""
    files = [sample.image_bytes() for sample in _spread(dataset.samples, IMAGES)]
    return Work(
        latency="decode_ms",
        call=lambda: [open_image(data) for data in files],
        per=len(files),
        items=len(files),
        dataset=dataset.label,
        group="images",
    )


def preprocessing(encoder: ImageModel, dataset: Dataset) -> Work:
    """Return the preprocessing of decoded images, apart from the model."""
    images = [sample.open_image() for sample in _spread(dataset.samples, IMAGES)]
    preprocess = encoder.preprocess if prepares_images(encoder) else None
    info = info_of(encoder, "vision")
    return Work(
        latency="preprocess_ms",
        call=None if preprocess is None else lambda: [preprocess(image) for image in images],
        per=len(images),
        items=len(images),
        dataset=dataset.label,
        model=info,
        group="images",
        reason="" if preprocess is not None else f"{info.label} preprocesses inside embed()",
    )


def encoding(encoder: ImageModel, dataset: Dataset, batch_size: int) -> Work:
    """Return a forward pass of a batch; if an encoder has only `embed`, that includes its preprocessing."""
    samples = islice(cycle(_spread(dataset.samples, batch_size)), batch_size)  # repeated if there are too few
    images = [sample.open_image() for sample in samples]
    prepare, forward = image_calls(encoder)
    batch = [prepare(image) for image in images]
    return Work(
        latency="latency_ms",
        call=lambda: forward(batch),
        items=batch_size,
        throughput={"throughput": (batch_size, "images/s")},
        at={"batch_size": batch_size},
        dataset=dataset.label,
        model=info_of(encoder, "vision"),
        memory=True,
        weights=encoder.weight_bytes if isinstance(encoder, Handle) else 0,
        group="encoders",
    )


def embedding_texts(llm: TextModel, dataset: Dataset) -> Work:
    """Return the embedding of texts as a run embeds them: tokenised, and in batches by length."""
    texts = [sample.text for sample in _spread(dataset.samples, TEXTS)]
    count = {"throughput": (len(texts), "texts/s")}
    if prepares_texts(llm):
        count["token_throughput"] = (sum(map(len, llm.tokenize(texts))), "tokens/s")

    def embed() -> object:
        if not prepares_texts(llm):
            return embed_of(llm, "text")(texts)
        tokens = llm.tokenize(texts)
        batches = text_batches([len(of) for of in tokens], TOKENS_PER_BATCH)
        return [llm.forward([tokens[i] for i in batch]) for batch in batches]

    return Work(
        latency="latency_ms",
        call=embed,
        items=len(texts),
        throughput=count,
        at={"texts": len(texts)},
        dataset=dataset.label,
        model=info_of(llm, "text"),
        memory=True,
        weights=llm.weight_bytes if isinstance(llm, Handle) else 0,
        group="LLMs",
    )


def scoring(metric: str, n: int) -> Work:
    """Return the computation of a metric's value on n synthetic rows, without null and interval."""
    parts = [n // part for part in PARTS] if n >= 10 * _FEWEST else []
    return Work(
        latency="metric_ms",
        call=_metric_call(METRICS.get(metric), n),
        items=n,
        at={"metric": metric, "n": n},
        dataset="synthetic",
        dims=(WIDTH, WIDTH) if METRICS.get(metric).two_sided else (WIDTH,),
        brief=True,
        group=f"metrics, n = {n:,}",
        series=f"metric {metric}",
        parts={rows: _metric_call(METRICS.get(metric), rows) for rows in parts},
    )


def _metric_call(metric: Metric, n: int) -> Callable[[], float]:
    x, y, labels = synthetic(n)
    data = {"labels": labels, "groups": np.arange(n).astype(str), "seed": 0}
    dims = (WIDTH, WIDTH) if metric.two_sided else (WIDTH,)
    settings = {} if metric.settings is None else metric.settings(n, dims)
    keywords = {name: data[name] for name in metric.keywords} | dict(settings)
    other = y if metric.two_sided else labels
    return lambda: metric(x, other, **keywords)


@lru_cache(maxsize=8)
def synthetic(n: int) -> tuple[Any, Any, Any]:
    """Return two sides [n, WIDTH] that share half of their variance, and labels [n]; always the same."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, WIDTH))
    x = shared + rng.standard_normal((n, WIDTH))
    y = shared @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0] + rng.standard_normal((n, WIDTH))
    return x, y, np.asarray(TYPES)[np.arange(n) % len(TYPES)]


def expected_seconds(items: int, known: Mapping[int, float]) -> float:
    """Return roughly how long work takes, assuming that it grows with a power of the items from 0 to 3.

    Args:
        items: the number of items, more than any known one.
        known: items -> seconds, at least two of them; the two largest are used.
    """
    (fewer, less), (more, most) = sorted(known.items())[-2:]
    power = np.log(max(most, 1e-9) / max(less, 1e-9)) / np.log(more / fewer)
    return float(most * (items / more) ** np.clip(power, 0.0, 3.0))


def refuse_slow(work: Work, longest: float, known: Mapping[int, float], machine: Machine) -> None:
    """Refuse work that would take too long, judging by work with fewer items: timed before, or its parts.

    Args:
        work: the work to be timed.
        longest: the most seconds that it may take.
        known: items -> seconds of the same work, as far as it was timed before.
        machine: the clocks.

    Raises:
        TooSlow: the work would take longer.
    """
    fewer = {items: seconds for items, seconds in known.items() if items < work.items}
    for items, part in sorted(work.parts.items()):
        too_slow = any(seconds > longest for seconds in fewer.values())
        if not too_slow and items not in fewer and (len(fewer) < 2 or max(fewer) < items):
            fewer[items] = min(machine.timed(part)[0] for _ in range(2))
    expected = list(fewer.values())
    if len(fewer) > 1:
        expected.append(expected_seconds(work.items, fewer))
    if any(seconds > longest for seconds in expected):
        raise TooSlow


def timing_scores(work: Work, timing: Timing, **how: Any) -> list[Score]:
    """Return the scores of a timing: the median time in milliseconds, and the throughput per second.

    The rounds of one process say little about the next run, so there is no interval; the quartiles and the
    standard deviation of the rounds are in `params`.

    Args:
        work: what was timed.
        timing: the rounds.
        how: the device, the threads, ..., which are recorded with each score.
    """
    low, high = timing.quartiles
    rounds = {
        "rounds": len(timing.seconds),
        "calls_a_round": timing.calls,
        "warmups": timing.warmups,
        "repeated_rounds": timing.repeated,
        "disturbed_rounds": timing.disturbed,
        "load_by_others": None if timing.others is None else round(timing.others, 3),
        "cores": timing.cores,
    }
    flags = ("busy",) if timing.busy else ()
    in_ms = 1e3 / work.per
    times = {
        "std": None if timing.deviation is None else timing.deviation * in_ms,
        "min": min(timing.seconds) * in_ms,
        "q1": low * in_ms,
        "q3": high * in_ms,
        "max": max(timing.seconds) * in_ms,
    }
    unit = "ms" if work.per == 1 else "ms/image"
    scores = [_score(work, work.latency, timing.median * in_ms, unit, {**rounds, **times, **how}, flags)]
    for name, (count, unit) in work.throughput.items():
        rates = {
            "std": stdev(count / each for each in timing.seconds) if len(timing.seconds) > 1 else None,
            "q1": count / high,
            "q3": count / low,
        }
        scores.append(_score(work, name, count / timing.median, unit, {**rounds, **rates, **how}, flags))
    return scores


def memory_score(work: Work, mib: float | None, device: str, **how: Any) -> Score:
    """Return the score of the peak memory of a call, with the size of the weights in `params`."""
    weights = {"weights_mib": round(work.weights / 2**20, 2)} if work.weights else {}
    gauge = (
        "allocated on the device, weights included" if device.startswith("cuda") else "resident set growth"
    )
    reason = f"{device}: this system does not say how much memory a process takes"
    return _score(work, "peak_memory", mib, "MiB", {"of": gauge, **weights, **how}, reason=reason)


def not_timed(work: Work) -> Score:
    """Return a score without a value for work that can't be done."""
    return _score(work, work.latency, None, "ms", {}, reason=work.reason)


def _score(
    work: Work,
    metric: str,
    value: float | None,
    unit: str,
    params: Mapping[str, Any],
    flags: tuple[str, ...] = (),
    reason: str = "",
) -> Score:
    info = work.model
    return Score(
        experiment="speed",
        metric=metric,
        value=value,
        encoder=info.label if info is not None and info.side == "vision" else None,
        llm=info.label if info is not None and info.side == "text" else None,
        dataset=work.dataset,
        n=work.items,
        dims=work.dims,
        status="ok" if value is not None else "not_applicable",
        reason=reason if value is None else None,
        higher_is_better=metric in work.throughput,
        unit=unit,
        variant=", ".join(f"{name} {value}" for name, value in work.at.items()),
        params={"at": dict(work.at), **params, **({} if info is None else {"model": dict(info.params)})},
        flags=flags,
        weights={} if info is None else {info.label: info.weights},
    )


def _spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Return at most `most` samples, evenly from all, since data are sorted by type."""
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int))
    return [samples[i] for i in chosen]
