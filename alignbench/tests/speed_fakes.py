"""Made-up timings, and a machine whose clock goes by what a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.machine import Machine, Usage
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

METRICS: dict[str, tuple[float | None, ...]] = {
    "linear_cka": (0.5, 6.0, 50.0),
    "rsa": (2.0, 180.0, None),
    "spread": (0.1, 1.0, 12.0),
}
BATCHES = (1, 4, 16)


class FakeMachine(Machine):
    """A machine on which `work` takes what it is told to, and others take the CPU when they are told to.

    Args:
        seconds: of each call in turn; the last one of all that come after.
        waits: how long each call stands ready without a CPU; 0 of all that come after.
        threads: how many threads compute.
    """

    def __init__(self, seconds: Iterable[float], waits: Iterable[float] = (), *, threads: int = 1) -> None:
        super().__init__("cpu", threads)
        self.cores = 2
        self.clock = self.waiting = self.computing = self.other = 0.0
        self.calls = 0
        self.pauses: list[float] = []
        self._seconds = list(seconds)
        self._waits = list(waits)

    def work(self) -> None:
        took = self._seconds[min(self.calls, len(self._seconds) - 1)]
        wait = self._waits[self.calls] if self.calls < len(self._waits) else 0.0
        self.calls += 1
        self.clock += took + wait
        self.computing += took
        self.waiting += wait
        self.other += wait

    def now(self) -> float:
        return self.clock

    def computed(self) -> float:
        return self.computing

    def waited(self) -> float | None:
        return self.waiting

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock += seconds

    def usage(self) -> Usage:
        return Usage(self.clock, self.computing, self.computing + self.other)


def make_speed_scores(encoders: Sequence[str], llms: Sequence[str], weights: dict[str, Any]) -> list[Score]:
    """Return the scores of a speed run; the n-th encoder takes n + 1 milliseconds an image."""
    scores = [_score("decode_ms", 0.9, unit="ms/image")]
    for i, encoder in enumerate(encoders):
        side: dict[str, Any] = {"encoder": encoder, "weights": {encoder: weights.get(encoder, "embedded")}}
        scores.append(_score("preprocess_ms", 1.0, unit="ms/image", **side))
        for size in BATCHES:
            ms, at = 3.0 + (i + 1) * size, {"batch_size": size}
            scores += [
                _score("latency_ms", ms, at, unit="ms", **side),
                _score("throughput", size / ms * 1e3, at, unit="images/s", higher_is_better=True, **side),
                _score("peak_memory", 2.0 * size, at, unit="MiB", of="resident set growth", **side),
            ]
    for llm in llms:
        side = {"llm": llm, "weights": {llm: weights.get(llm, "embedded")}}
        scores += [
            _score("latency_ms", 130.0, {"texts": 32}, unit="ms", **side),
            _score("throughput", 246.0, {"texts": 32}, unit="texts/s", higher_is_better=True, **side),
            _score("token_throughput", 9800.0, {"texts": 32}, unit="tokens/s", higher_is_better=True, **side),
        ]
    for metric, costs in METRICS.items():
        for n, cost in zip((100, 1000, 5000), costs, strict=True):
            if cost is not None:
                scores.append(_score("metric_ms", cost, {"metric": metric, "n": n}, unit="ms"))
    return scores


def _score(
    metric: str,
    value: float,
    at: dict[str, Any] | None = None,
    *,
    unit: str,
    encoder: str | None = None,
    llm: str | None = None,
    weights: dict[str, str] | None = None,
    higher_is_better: bool = False,
    **params: Any,
) -> Score:
    timed = (
        {}
        if metric == "peak_memory"
        else {"rounds": 10, "std": value * 0.2, "q1": value * 0.95, "q3": value * 1.1}
    )
    return Score(
        experiment="speed",
        metric=metric,
        value=value,
        encoder=encoder,
        llm=llm,
        dataset="sample_data@1a2b3c4d",
        n=1,
        dims=(),
        higher_is_better=higher_is_better,
        unit=unit,
        variant=", ".join(f"{name} {value}" for name, value in (at or {}).items()),
        params={"at": at or {}, "device": "cpu", "threads": 1, "cores": 2, **timed, **params},
        weights=weights or {},
    )
