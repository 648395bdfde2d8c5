"""Speed: the time and memory that encoders, LLMs and metrics take; saved, and compared on demand."""

from __future__ import annotations

from alignbench.experiments.base import Cost, Experiment, Part, Tab
from alignbench.experiments.speed import works
from alignbench.experiments.speed.works import Work
from alignbench.metrics import METRICS

EXPERIMENT = Experiment(
    "speed",
    "latency, throughput and memory of encoders, LLMs and metrics",
    (
        Part("decode", works.decoding, of=("dataset",), timed=True),
        Part("preprocess", works.preprocessing, of=("timed_encoder", "dataset"), cost=Cost(0.2), timed=True),
        Part(
            "encode",
            works.encoding,
            of=("timed_encoder", "dataset"),
            sweep={"batch_size": "batch_sizes"},
            cost=Cost(0.3),
            timed=True,
        ),
        Part("embed_texts", works.embedding_texts, of=("timed_llm", "dataset"), cost=Cost(0.4), timed=True),
        Part(
            "metric",
            works.scoring,
            of=(),
            sweep={"metric": METRICS.names, "n": works.SIZES},
            cost=Cost(0.09, asked=1.9),  # if asked for, it also times slow metrics and large n
            timed=True,
        ),
    ),
    options=("batch_sizes",),
    tab=Tab(
        "Inference Speed",
        "How long do images and texts take, by batch size, and how much memory?",
        controls=("llms", "data", "batch_sizes"),
    ),
    not_for_arrays="times metrics and models",
    measures={
        "latency_ms": "Median time of a batch in the model, without preprocessing of the images.",
        "throughput": "Images or texts per second.",
        "token_throughput": "Tokens per second.",
        "peak_memory": "Peak memory: on a CPU what a call adds, on CUDA everything, weights included.",
        "preprocess_ms": "Time to prepare an image for the model.",
        "decode_ms": "Time to decode an image file.",
        "metric_ms": "Time to compute the metric's value, without null and interval.",
    },
    figures=("alignbench.experiments.speed.figures.dashboard",),
)

__all__ = ["EXPERIMENT", "Work"]
