"""Speed in a few lines: a table of encoders, one of LLMs, and a sentence on metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.experiments.speed.figures.dashboard import weights_beside
from alignbench.findings.numbers import measured
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import Score

MOST_SIZES = 5


@dataclass(frozen=True, slots=True)
class SpeedTable:
    """A table of models.

    Args:
        head: the names of the columns.
        rows: one per model; the first cell is its name, as scores have it.
    """

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class SpeedReport:
    """Everything that a run says about speed.

    Args:
        conditions: the device, the threads and the load of the timings.
        tables: the tables of encoders and of LLMs.
        rounds: the table of how much the rounds of a timing vary.
        sentence: the sentence on metrics.
        legend: the meaning of the tables' columns.
    """

    conditions: str
    tables: list[SpeedTable]
    rounds: SpeedTable | None
    sentence: str | None
    legend: str


def speed_report(scores: Iterable[Score]) -> SpeedReport | None:
    """Return everything that the scores say about speed; None if nothing was timed."""
    timed = speed_scores(scores)
    tables = [table for table in (encoder_table(timed), llm_table(timed)) if table is not None]
    sentence = metric_sentence(timed)
    if not tables and sentence is None:
        return None
    return SpeedReport(conditions(timed), tables, rounds_table(timed), sentence, legend(timed))


def speed_scores(scores: Iterable[Score]) -> list[Score]:
    """Return the scores of timings that have a value."""
    return [s for s in scores if s.experiment == "speed" and s.value is not None and "at" in s.params]


def encoder_table(scores: Iterable[Score]) -> SpeedTable | None:
    """Return latency by batch size, throughput and memory at the largest, and preparation per image."""
    own = speed_scores(scores)
    latency = {(s.encoder, s.params["at"].get("batch_size")): s for s in _of(own, "latency_ms") if s.encoder}
    sizes = sorted({size for _, size in latency if size})[-MOST_SIZES:]
    if not sizes:
        return None
    largest = sizes[-1]
    last = {(s.metric, s.encoder): s for s in own if s.params["at"].get("batch_size") == largest}
    prepare = {s.encoder: s for s in _of(own, "preprocess_ms")}
    head = ["encoder", *(f"ms at {size}" if size == sizes[0] else str(size) for size in sizes)]
    head += ["images/s", "MiB", "prepare"]
    rows = [
        [
            str(encoder),
            *(_number(latency.get((encoder, size))) for size in sizes),
            _number(last.get(("throughput", encoder))),
            _memory(last.get(("peak_memory", encoder))),
            _number(prepare.get(encoder)),
        ]
        for encoder in dict.fromkeys(encoder for encoder, _ in latency)
    ]
    return SpeedTable(head, rows)


def llm_table(scores: Iterable[Score]) -> SpeedTable | None:
    """Return how much LLMs embed per second, and how much memory that takes."""
    timed = [score for score in speed_scores(scores) if score.llm]
    by_key = {(score.metric, score.llm): score for score in timed}
    llms = dict.fromkeys(score.llm for score in _of(timed, "throughput"))
    columns = {"texts/s": "throughput", "tokens/s": "token_throughput"}
    rows = [
        [
            str(llm),
            *(_number(by_key.get((metric, llm))) for metric in columns.values()),
            _memory(by_key.get(("peak_memory", llm))),
        ]
        for llm in llms
    ]
    return SpeedTable(["LLM", *columns, "MiB"], rows) if rows else None


def rounds_table(scores: Iterable[Score]) -> SpeedTable | None:
    """Return how much the rounds of each model's timings vary: standard deviation and quartiles."""
    own = [
        score
        for score in _of(speed_scores(scores), "latency_ms")
        if (score.encoder or score.llm) and "rounds" in score.params
    ]
    spread = ("std", "q1", "q3")
    rows = [
        [
            str(score.encoder or score.llm),
            score.variant.replace("_", " "),
            _number(score),
            *(_measured(score.params.get(name)) for name in spread),
            str(score.params.get("rounds", "-")),
        ]
        for score in own
    ]
    return SpeedTable(["model", "timing", "median ms", "std", "q1", "q3", "rounds"], rows) if rows else None


def metric_sentence(scores: Iterable[Score]) -> str | None:
    """Return the fastest and the slowest metric at the largest timed number of rows."""
    timed = _of(speed_scores(scores), "metric_ms")
    if not timed:
        return None
    n = max(score.params["at"]["n"] for score in timed)
    costs = sorted((float(s.value or 0), s.params["at"]["metric"]) for s in timed if s.params["at"]["n"] == n)
    (low, fastest), (high, slowest) = costs[0], costs[-1]
    text = f"{plural(len(costs), 'metric')} at n = {n:,}: {fastest} takes {measured(low)} ms"
    if len(costs) > 1:
        text += f", {slowest} {measured(high)} ms"
    if others := len({score.params["at"]["metric"] for score in timed}) - len(costs):
        text += f"; {others} not timed there"
    return text


def conditions(scores: Iterable[Score]) -> str:
    """Return the device, the threads and the load of the timings."""
    timed = [s for s in speed_scores(scores) if "rounds" in s.params]
    devices = ", ".join(dict.fromkeys(str(s.params.get("device")) for s in timed))
    threads = ", ".join(dict.fromkeys(str(s.params.get("threads")) for s in timed))
    text = f"Speed on {devices}, {threads} thread{'' if threads == '1' else 's'}"
    busy = [float(s.params.get("load_by_others") or 0) for s in timed if "busy" in s.flags]
    if busy:
        cores = timed[0].params.get("cores")
        text += f"; other processes kept up to {max(busy):.1f} of {cores} cores busy"
    return text


def legend(scores: Iterable[Score]) -> str:
    """Return what the columns of the tables mean."""
    own = speed_scores(scores)
    parts = []
    if encoder_table(own):
        parts += [
            "ms = the median time of a batch of that many images",
            "images/s, MiB = at the largest batch",
        ]
        if _of(own, "preprocess_ms"):
            parts.append("prepare = ms to prepare an image")
    if any(s.metric == "peak_memory" for s in own):
        whats = dict.fromkeys(str(s.params.get("of")) for s in _of(own, "peak_memory"))
        known = any(weights_beside(s) is not None for s in _of(own, "peak_memory"))
        parts.append(f"MiB: {'weights + ' if known else ''}{', '.join(whats)}")
    return "; ".join(parts)


def _of(scores: Sequence[Score], metric: str) -> list[Score]:
    return [score for score in scores if score.metric == metric]


def _memory(score: Score | None) -> str:
    """Return the measured memory, after that of the weights if it does not include them: `1,023+22`."""
    weights = None if score is None else weights_beside(score)
    return _number(score) if weights is None else f"{measured(weights)}+{_number(score)}"


def _number(score: Score | None) -> str:
    return _measured(None if score is None else score.value)


def _measured(value: float | None) -> str:
    return "-" if value is None else measured(value)
