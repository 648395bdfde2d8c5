"""Speed: the time and memory that encoders, LLMs and metrics take; saved, and compared on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part, Tab
from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from alignbench.datasets import Dataset
    from alignbench.experiments.speed.works import Work
    from alignbench.weights.protocols import ImageModel, TextModel

SIZES = (100, 1_000, 5_000)
"""The numbers of rows of the embeddings that metrics are timed on."""


def decode(dataset: Dataset) -> Work:
    """Return the decoding of image files."""
    from alignbench.experiments.speed import works

    return works.decoding(dataset)


def preprocess(encoder: ImageModel, dataset: Dataset) -> Work:
    """Return the preprocessing of decoded images."""
    from alignbench.experiments.speed import works

    return works.preprocessing(encoder, dataset)


def encode(encoder: ImageModel, dataset: Dataset, batch_size: int) -> Work:
    """Return the embedding of preprocessed images, batch by batch."""
    from alignbench.experiments.speed import works

    return works.encoding(encoder, dataset, batch_size)


def embed_texts(llm: TextModel, dataset: Dataset) -> Work:
    """Return the embedding of texts."""
    from alignbench.experiments.speed import works

    return works.embedding_texts(llm, dataset)


def compute_metric(metric: str, n: int) -> Work:
    """Return the computation of a metric on synthetic embeddings of n rows."""
    from alignbench.experiments.speed import works

    return works.scoring(metric, n)


EXPERIMENT = Experiment(
    "speed",
    "latency, throughput and memory of encoders, LLMs and metrics",
    (
        Part("decode", decode, of=("dataset",), timed=True),
        Part("preprocess", preprocess, of=("timed_encoder", "dataset"), cost=Cost(0.2), timed=True),
        Part(
            "encode",
            encode,
            of=("timed_encoder", "dataset"),
            sweep={"batch_size": "batch_sizes"},
            cost=Cost(0.3),
            timed=True,
        ),
        Part("embed_texts", embed_texts, of=("timed_llm", "dataset"), cost=Cost(0.4), timed=True),
        Part(
            "metric",
            compute_metric,
            of=(),
            sweep={"metric": lambda: METRICS.names(default=True), "n": SIZES},
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
    title="Speed",
    place=60,
)
